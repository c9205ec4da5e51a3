//! Requests as they are checked, filled and judged.

use proptest::prelude::*;

use super::*;

const VALUES: Values<'_> = Values {
    input: "hi \"there\"",
    task_id: "t-1",
    attempt: 2,
    due_at: None,
    idempotency_key: "spark:t-1:2",
};

fn request(json: Value) -> HttpRequest {
    serde_json::from_value(json).unwrap()
}

#[track_caller]
fn refused(json: Value) -> String {
    request(json).check().unwrap_err().to_string()
}

fn filled(request: &HttpRequest, values: &Values<'_>) -> Value {
    serde_json::from_str(&request.fill(values).unwrap().body.unwrap()).unwrap()
}

#[test]
fn a_request_that_says_nothing_posts_the_input() {
    let request = request(json!({})).completed();
    assert_eq!(request.check(), Ok(()));
    assert_eq!(filled(&request, &VALUES), json!({"input": "hi \"there\""}));
    assert!(request.accepts(204) && !request.accepts(302));
}

#[test]
fn a_whole_gap_is_the_value_and_a_part_is_text() {
    let request = request(json!({"path": "/a/{{input}}/{{due_at}}?n={{attempt}}", "body": {
        "n": "{{attempt}}", "all": ["{{ input }}", "{{due_at}}", 7, null],
        "text": "{{task_id}}#{{attempt}} {{due_at}}:{{idempotency_key}}",
    }}));
    assert_eq!(request.check(), Ok(()));
    let body = filled(&request, &VALUES);
    let all = json!(["hi \"there\"", null, 7, null]);
    assert_eq!(body, json!({"n": 2, "all": all, "text": "t-1#2 :spark:t-1:2"}));
    let path = request.fill(&VALUES).unwrap().path;
    assert_eq!(path, "/a/hi%20%22there%22/?n=2");
    let climbing = Values { input: "..", ..VALUES };
    assert_eq!(request.fill(&climbing).unwrap().path, "/a/%2E%2E/?n=2");
}

#[test]
fn an_input_as_json_must_be_json() {
    let request = request(json!({"body": {"whole": "{{input_json}}", "part": "x={{input_json}}"}}));
    let values = Values { input: "{\"a\": [1, null]}", ..VALUES };
    let expected = json!({"whole": {"a": [1, null]}, "part": "x={\"a\":[1,null]}"});
    assert_eq!(filled(&request, &values), expected);
    assert!(matches!(request.fill(&VALUES), Err(BadTemplate::NotJson(_))));
}

#[test]
fn what_can_never_work_is_refused_when_it_is_saved() {
    for (json, part) in [
        (json!({"body": {"a": [{"b": "{{inptu}}"}]}}), "body/a/0/b: there is no placeholder"),
        (json!({"body": "{{input"}), "has no }}"),
        (json!({"body": {"{{input}}": 1}}), "not in the name"),
        (json!({"path": "/{{nope}}"}), "path: there is no placeholder \"nope\""),
        (json!({"path": "agents"}), "begin with a slash"),
        (json!({"path": "/a b"}), "no spaces"),
        (json!({"method": "GET", "body": {}}), "a GET request has no body"),
        (json!({"headers": {"a b": "x"}}), "cannot be sent"),
        (json!({"headers": {"X-A": "x\r\nHost: evil"}}), "cannot be sent"),
        (json!({"headers": {"Authorization": "Bearer x"}}), "belongs to the source"),
        (json!({"headers": {"x-api-KEY": "x"}}), "belongs to the source"),
        (json!({"success": {"status": "3xx"}}), "success.status"),
        (json!({"success": {"status": []}}), "success.status"),
        (json!({"success": {"path": "/a"}}), "together"),
        (
            json!({"success": {"path": "a", "equals": 1}}),
            "success.path: \"a\" is not a JSON pointer",
        ),
        (json!({"output": "result.text"}), "output: \"result.text\" is not a JSON pointer"),
    ] {
        let said = refused(json.clone());
        assert!(said.contains(part), "{json}: {said}");
    }
    for json in [json!({"method": "BREW"}), json!({"bdy": 1}), json!({"success": {"state": 1}})] {
        assert!(serde_json::from_value::<HttpRequest>(json.clone()).is_err(), "{json}");
    }
}

#[test]
fn an_answer_is_judged_by_the_rule_and_the_result_is_taken_out() {
    let rule = request(json!({
        "success": {"status": [202], "path": "/status", "equals": "ok"}, "output": "/result/text"
    }));
    assert!(rule.accepts(202) && !rule.accepts(200));
    let good = br#"{"status": "ok", "result": {"text": "done"}}"#;
    assert_eq!(rule.result(good), Ok(json!({"text": "done"})));
    let said = |body: &[u8]| rule.result(body).unwrap_err().to_string();
    assert!(said(br#"{"status": "error"}"#).contains("it has \"error\", and \"ok\" is wanted"));
    assert!(said(b"{}").contains("it has nothing"));
    assert!(said(br#"{"status": "ok"}"#).contains("where the result should be"));
    assert!(said(b"<html>").contains("not JSON"));
    let plain = request(json!({}));
    assert_eq!(plain.result(b"all good"), Ok(json!({"text": "all good"})));
    assert_eq!(plain.result(b""), Ok(json!({"text": ""})));
    assert_eq!(plain.result(br#"{"a": 1}"#), Ok(json!({"a": 1})));
}

proptest! {
    #[test]
    fn an_input_arrives_as_it_was_given(input in any::<String>()) {
        let request = request(json!({"body": {"whole": "{{input}}", "part": "<{{input}}>"}}));
        let values = Values { input: &input, ..VALUES };
        let expected = json!({"whole": input.clone(), "part": format!("<{input}>")});
        prop_assert_eq!(filled(&request, &values), expected);
    }

    #[test]
    fn a_path_keeps_its_shape_whatever_the_input_is(input in any::<String>()) {
        let request = request(json!({"path": "/a/{{input}}/b"}));
        let path = request.fill(&Values { input: &input, ..VALUES }).unwrap().path;
        prop_assert!(path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#' && byte != b'?'));
        prop_assert_eq!(path.matches('/').count(), 3);
    }

    #[test]
    fn what_passes_the_check_can_be_filled(text in "[a-z{} ]{0,20}") {
        let request = request(json!({"body": text}));
        prop_assert_eq!(request.check().is_ok(), request.fill(&Values { input: "1", ..VALUES }).is_ok());
    }
}
