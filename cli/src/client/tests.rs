//! The client against a tiny canned server: one connection a request, the answers in order.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;

/// A server that answers with what it is given, and tells what it was asked.
pub(crate) struct Canned {
    pub(crate) url: String,
    asked: mpsc::UnboundedReceiver<String>,
}

impl Canned {
    #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    pub(crate) async fn new(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (tell, asked) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                let mut part = [0_u8; 4096];
                while !is_whole(&request) {
                    let n = stream.read(&mut part).await.unwrap();
                    assert!(n > 0, "the request broke off");
                    request.extend_from_slice(&part[..n]);
                }
                tell.send(String::from_utf8(request).unwrap()).unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { url, asked }
    }

    fn client(&self, key: Option<&str>) -> Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Client::new(Target {
            server: self.url.clone(),
            key: key.map(str::to_owned),
            no_key: "none is in /data/api-key".into(),
            is_here: false,
            reason: Some("because\nwe can".into()),
            named: Named::default(),
        })
        .unwrap()
    }

    pub(crate) async fn asked(&mut self) -> String {
        self.asked.recv().await.unwrap()
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.trim().parse().unwrap())
}

pub(crate) fn answer(status: &str, headers: &str, body: &Value) -> String {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
    )
}

async fn refusal(status: &str, problem: &Value, key: Option<&str>) -> Trouble {
    let server = Canned::new(vec![answer(status, "", problem)]).await;
    let error = server.client(key).get(&["tasks", "x"], &[]).await.unwrap_err();
    error.downcast_ref::<Trouble>().unwrap().clone()
}

#[tokio::test]
async fn a_read_after_a_write_asks_for_its_position() {
    let mut server = Canned::new(vec![
        answer("200 OK", "", &json!({"id": "a"})),
        answer("201 Created", "x-spark-position: 42\r\n", &json!({"id": "b"})),
        answer("200 OK", "", &json!({"id": "b"})),
    ])
    .await;
    let client = server.client(Some("sk-1"));
    client.get(&["sources", "a b/c"], &[("n", "1&2".into())]).await.unwrap();
    let first = server.asked().await;
    assert!(first.starts_with("GET /api/v1/sources/a%20b%2Fc?n=1%262 HTTP/1.1\r\n"), "{first}");
    assert!(first.contains("x-api-key: sk-1\r\n") && !first.contains(MIN_POSITION), "{first}");
    assert!(!first.contains(REASON), "{first}");
    client.post(&["sources"], json!({"url": "u"})).await.unwrap();
    let second = server.asked().await;
    assert!(second.starts_with("POST /api/v1/sources HTTP/1.1\r\n"), "{second}");
    assert!(second.contains("x-spark-reason: because we can\r\n"), "{second}");
    assert!(second.ends_with(r#"{"url":"u"}"#), "{second}");
    client.get(&["sources", "b"], &[]).await.unwrap();
    let third = server.asked().await;
    assert!(third.contains("x-spark-min-position: 42\r\n"), "{third}");
}

#[tokio::test]
async fn a_list_is_read_page_after_page() {
    let page = |ids: &[u64], next: Value| {
        let items: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
        let has_more = !next.is_null();
        json!({"items": items, "total": 5, "limit": 2, "offset": 0, "has_more": has_more, "next_cursor": next})
    };
    let mut server = Canned::new(vec![
        answer("200 OK", "", &page(&[1, 2], json!("c1"))),
        answer("200 OK", "", &page(&[3, 4], json!("c2"))),
        answer("200 OK", "", &page(&[5], Value::Null)),
        answer("200 OK", "", &page(&[1, 2], json!("c1"))),
        answer("200 OK", "", &page(&[3], json!("c2"))),
    ])
    .await;
    let client = server.client(None);
    let list = client.list(&["tasks"], &[("status", "failed".into())], usize::MAX).await.unwrap();
    let ids: Vec<u64> = rows(&list).iter().map(|row| row["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, [1, 2, 3, 4, 5]);
    assert_eq!((list["total"].as_u64(), list["has_more"].as_bool()), (Some(5), Some(false)));
    assert!(server.asked().await.starts_with("GET /api/v1/tasks?status=failed&limit=100 "));
    assert!(server.asked().await.contains("limit=100&cursor=c1 "));
    assert!(server.asked().await.contains("cursor=c2 "));
    let three = client.list(&["tasks"], &[], 3).await.unwrap();
    assert_eq!(rows(&three).len(), 3);
    assert_eq!(three["has_more"], json!(true));
    assert!(server.asked().await.contains("limit=3 "));
    assert!(server.asked().await.contains("limit=1&cursor=c1 "));
}

#[tokio::test]
async fn a_refusal_says_what_why_and_what_next() {
    let problem = json!({
        "title": "There is no such thing", "detail": "no task has the id \"x\"", "code": "SPK-3001",
        "suggestions": ["y", "z"], "remedy": "did you mean y or z?",
    });
    let trouble = refusal("404 Not Found", &problem, Some("k")).await;
    assert_eq!(trouble.exit, Exit::NotFound);
    assert_eq!(trouble.lines(), ["error: no task has the id \"x\"", "  next: did you mean: y, z"]);

    let problem = json!({
        "detail": "cron: is wrong", "code": "SPK-1002", "errors": [{"field": "cron", "message": "31 Feb never comes"}],
        "remedy": "mend it",
    });
    let trouble = refusal("422 Unprocessable Content", &problem, Some("k")).await;
    assert_eq!(trouble.exit, Exit::Usage);
    assert_eq!(trouble.why, ["cron: 31 Feb never comes"]);
    assert_eq!(trouble.next, ["mend it"]);

    let problem = json!({"detail": "\"01\" could be any of 2 tasks", "code": "SPK-3002", "candidates": [
        {"id": "0193", "name": "a"}, {"id": "0194"}]});
    let trouble = refusal("409 Conflict", &problem, Some("k")).await;
    assert_eq!(trouble.exit, Exit::Conflict);
    assert_eq!(trouble.why, ["it could be 0193  a", "it could be 0194"]);

    let problem = json!({"detail": "it crashed", "code": "SPK-5001", "request_id": "r-1"});
    let trouble = refusal("500 Internal Server Error", &problem, Some("k")).await;
    assert_eq!(trouble.exit, Exit::Failed);
    assert!(trouble.next[0].contains("r-1"));
}

#[tokio::test]
async fn a_wrong_key_says_where_the_right_one_is() {
    let problem = json!({"detail": "X-API-Key header is missing", "code": "SPK-2001"});
    let without = refusal("401 Unauthorized", &problem, None).await;
    assert_eq!(without.exit, Exit::Auth);
    assert!(without.why[0].contains("/data/api-key"), "{without:?}");
    let with = refusal("403 Forbidden", &problem, Some("wrong")).await;
    assert_eq!(with.exit, Exit::Auth);
    assert!(with.next[0].contains("AUTOMAGIK_API_KEY") && !with.lines().concat().contains("wrong"));
    let problem = json!({"detail": "the API key ci has the role viewer", "code": "SPK-2003",
        "remedy": "send a key of this role"});
    let known = refusal("403 Forbidden", &problem, Some("k")).await;
    assert_eq!((known.exit, known.next), (Exit::Auth, vec!["send a key of this role".to_owned()]));
}

#[tokio::test]
async fn an_answer_that_is_not_sparks_is_told_as_such() {
    let html = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\n<html>".to_owned();
    let server = Canned::new(vec![html]).await;
    let error = server.client(None).get(&["tasks"], &[]).await.unwrap_err();
    assert!(error.to_string().contains("but not as Spark does"), "{error}");
    let plain = refusal("502 Bad Gateway", &json!("nginx"), None).await;
    assert!(plain.what.contains("502"), "{plain:?}");
    let langflow = refusal("404 Not Found", &json!({ "detail": "Not Found" }), None).await;
    assert_eq!(langflow.exit, Exit::Failed);
    assert!(langflow.what.ends_with("but not as Spark does"), "{langflow:?}");
    assert_eq!(langflow.why, ["it said: Not Found"]);
    assert!(langflow.next[0].contains("LangFlow"), "{langflow:?}");
}

#[tokio::test]
async fn without_a_server_it_says_how_to_start_one() {
    let server = Canned::new(vec![]).await;
    let mut client = server.client(None);
    let free = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap();
    client.base = Url::parse(&format!("http://{free}")).unwrap();
    client.target.server = format!("http://{free}");
    let error = client.get(&["tasks"], &[]).await.unwrap_err();
    let trouble = error.downcast_ref::<Trouble>().unwrap();
    assert_eq!(trouble.what, format!("no server at http://{free}"));
    assert_eq!(trouble.next[0], "start one with: automagik up");
    assert_eq!(trouble.exit, Exit::Failed);
}

#[tokio::test]
async fn a_wrong_address_or_key_says_where_it_was_found() {
    let server = Canned::new(vec![]).await;
    let mut target = server.client(Some("k")).target;
    target.named = Named {
        server: Some("the profile team".into()),
        profile: Some("team".into()),
        key: "the profile team".into(),
    };
    let nobody = target.nobody_there("refused".into());
    assert!(nobody.why[1].starts_with("the profile team names"), "{nobody:?}");
    assert!(nobody.next[1].contains("config set server URL --profile team"), "{nobody:?}");
    let problem = json!({"detail": "Invalid API key", "code": "SPK-2002"});
    let wrong = target.refused(StatusCode::UNAUTHORIZED, Some(&problem));
    assert_eq!(wrong.why, ["the server does not take the key of the profile team"]);
}

#[tokio::test]
async fn a_query_key_is_told_as_the_option_that_it_is() {
    for (key, option) in [("q", "--search"), ("since", "--since"), ("min_x", "--min-x")] {
        let message = "must be shorter";
        let problem = json!({
            "detail": format!("the query key {key:?} cannot be used: {message}"),
            "code": "SPK-1003", "errors": [{ "field": key, "message": message }],
        });
        let trouble = refusal("422 Unprocessable Content", &problem, Some("k")).await;
        assert_eq!(trouble.lines(), [format!("error: {option} cannot be used: {message}")]);
    }
}

#[tokio::test]
async fn nothing_comes_back_from_a_delete() {
    let server = Canned::new(vec![answer("204 No Content", "", &Value::Null)]).await;
    assert_eq!(server.client(None).delete(&["flows", "x"]).await.unwrap(), Value::Null);
}

#[test]
fn an_address_must_be_one() {
    for wrong in ["", "localhost:8888", "ftp://x", "http://"] {
        let error = parse_base(wrong).unwrap_err();
        assert_eq!(error.exit, Exit::Usage, "{wrong}");
    }
    let mut client_base = parse_base("http://h:1/spark/").unwrap();
    client_base.path_segments_mut().unwrap().pop_if_empty().push("api");
    assert_eq!(client_base.as_str(), "http://h:1/spark/api");
}
