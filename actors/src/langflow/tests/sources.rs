//! Probing a source, and what it has.

use super::*;
use crate::langflow::{BadUrl, RemoteFlow};

fn version(version: &str) -> Reply {
    Reply::json(200, &json!({"version": version, "package": "Langflow"}))
}

/// A server of this version, whose job API answers so.
async fn server(number: &'static str, jobs: Reply) -> Stub {
    Stub::start(move |asked| match asked.line.as_str() {
        "GET /api/v1/version" => version(number),
        "GET /api/v1/users/whoami" => Reply::json(200, &json!({"username": "e2e"})),
        line if line.starts_with("GET /api/v2/workflows?job_id=0000") => jobs.clone(),
        line => panic!("{line}"),
    })
    .await
}

#[tokio::test]
async fn a_current_server_offers_everything() {
    for jobs in [recorded!("v2_job_unknown"), recorded!("frontend_v2_job_unknown")] {
        let stub = server("1.13.0", jobs).await;
        let expected = Capabilities {
            version: "1.13.0".into(),
            background_jobs: true,
            traces: true,
            stream: true,
        };
        assert_eq!(client(&stub.url).probe().await, Ok(expected));
    }
}

#[tokio::test]
async fn the_job_api_is_tried_and_not_believed() {
    let off = json!({"detail": {"code": "DEVELOPER_API_DISABLED", "message": "off"}});
    for (number, jobs, traces, asked) in [
        ("1.11.6", Reply::json(403, &off), true, 3),
        ("1.12.0", Reply::page(200, "<html>"), true, 3),
        ("1.12.0", Reply::json(404, &json!({"detail": "Not Found"})), true, 3),
        // Before 1.11 the path takes other requests, whatever it answers here.
        ("1.10.3", recorded!("v2_job_unknown"), true, 2),
        ("1.7.3", recorded!("v2_job_unknown"), false, 2),
    ] {
        let stub = server(number, jobs).await;
        let capabilities = client(&stub.url).probe().await.unwrap();
        assert!(!capabilities.background_jobs, "{number}");
        assert_eq!((capabilities.traces, stub.asked().len()), (traces, asked), "{number}");
    }
}

#[tokio::test]
async fn a_refused_or_missing_key_is_told_apart() {
    let stub = Stub::start(|asked| match asked.line.as_str() {
        "GET /api/v1/version" => version("1.13.0"),
        _ if asked.key.is_none() => recorded!("list_auth_missing"),
        _ => recorded!("list_auth_wrong_key"),
    })
    .await;
    let refused = client(&stub.url).probe().await.unwrap_err();
    assert_eq!(refused.class, FailureClass::Auth);
    assert!(refused.message.contains("Invalid API key"), "{refused}");
    let keyless = LangFlow::new(http(), &stub.url, None).unwrap();
    let missing = keyless.probe().await.unwrap_err();
    assert_eq!(missing.class, FailureClass::Auth);
    assert!(missing.message.contains("needs an API key and none is given"), "{missing}");
}

#[tokio::test]
async fn what_is_no_langflow_is_said_to_be_none() {
    for reply in [
        recorded!("frontend_unknown_page"),
        Reply::page(404, "<title>nginx</title>"),
        Reply::json(404, &json!({"error": "no route"})),
        Reply::json(200, &json!({"hello": "world"})),
    ] {
        let stub = Stub::start(move |_| reply.clone()).await;
        let failure = client(&stub.url).probe().await.unwrap_err();
        assert_eq!(failure.class, FailureClass::BadAnswer, "{failure}");
        assert!(failure.message.contains("no LangFlow answers at"), "{failure}");
    }
}

#[tokio::test]
async fn a_refused_connection_is_unreachable() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let failure = client(&format!("http://127.0.0.1:{port}")).probe().await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Unreachable);
    assert!(failure.message.contains("is LangFlow running there?"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_not_up_yet() {
    let stub = Stub::start(|_| Reply::Silence).await;
    let failure = client(&stub.url).probe().await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Unreachable);
    assert!(failure.message.contains("gave no answer in time"), "{failure}");
}

#[tokio::test]
async fn redirects_are_followed_within_one_server_only() {
    let elsewhere = Stub::start(|_| panic!("the key must not go here")).await;
    let to = format!("location: {}/api/v1/version\r\n", elsewhere.url);
    let stub = Stub::start(move |asked| match asked.line.as_str() {
        "GET /api/v1/version" => Reply::Answer(307, to.clone(), String::new(), String::new()),
        "GET /api/v1/users/whoami" => {
            let to = "location: /api/v1/users/whoami/\r\n".to_owned();
            Reply::Answer(307, to, String::new(), String::new())
        }
        _ => Reply::json(200, &json!({})),
    })
    .await;
    let client = client(&stub.url);
    let failure = client.probe().await.unwrap_err();
    assert_eq!(failure.class, FailureClass::BadAnswer);
    assert!(failure.message.contains(&elsewhere.url), "{failure}");
    assert!(elsewhere.asked().is_empty());
    let followed: Value = client.json(client.get("/api/v1/users/whoami")).await.unwrap();
    assert_eq!(followed, json!({}));
}

#[tokio::test]
async fn flows_are_listed_with_their_folders() {
    let stub = Stub::start(|asked| match asked.line.as_str() {
        "GET /api/v1/projects/" => recorded!("projects_list"),
        line if line.starts_with("GET /api/v1/flows/?") => recorded!("flows_list_headers"),
        line => panic!("{line}"),
    })
    .await;
    let flows = client(&stub.url).list_flows().await.unwrap();
    assert!(flows.len() > 5);
    let expected = RemoteFlow {
        id: FLOW.into(),
        name: "e2e-echo".into(),
        description: "Returns what it is given.".into(),
        folder_id: Some("12e72495-dbbc-42ec-bb73-6b1dd3f36c5a".into()),
        folder: Some("Starter Project".into()),
        endpoint_name: Some("e2e-echo".into()),
        updated_at: Some("2026-11-23T17:12:46+00:00".into()),
    };
    assert_eq!(flows[0], expected);
}

#[tokio::test]
async fn an_old_server_has_folders_and_components_are_left_out() {
    let stub = Stub::start(|asked| match asked.line.as_str() {
        "GET /api/v1/projects/" => Reply::page(200, "<html>"),
        "GET /api/v1/folders/" => Reply::json(200, &json!([{"id": "f", "name": "My Projects"}])),
        _ => Reply::json(
            200,
            &json!([
                {"id": "1", "name": "flow", "description": null, "folder_id": "f", "data": {}},
                {"id": "2", "name": "component", "is_component": true},
            ]),
        ),
    })
    .await;
    let flows = client(&stub.url).list_flows().await.unwrap();
    assert_eq!(flows.len(), 1);
    assert_eq!((flows[0].name.as_str(), flows[0].folder.as_deref()), ("flow", Some("My Projects")));
}

#[tokio::test]
async fn a_flow_is_fetched_with_its_definition() {
    let stub = Stub::start(|asked| match asked.line.as_str() {
        line if line.ends_with(FLOW) => recorded!("flow_echo"),
        line if line.ends_with("/e2e-echo") => recorded!("flow_bad_id"),
        _ => recorded!("flow_unknown"),
    })
    .await;
    let client = client(&stub.url);
    let flow = client.fetch_flow(FLOW).await.unwrap();
    assert_eq!(flow.name, "e2e-echo");
    assert_eq!(flow.data["nodes"].as_array().unwrap().len(), 2);
    assert!(!format!("{flow:?}").contains("nodes"), "a definition may hold secrets");
    for id in ["e2e-echo", "00000000-0000-0000-0000-000000000000", "a/b?c", "..", ""] {
        let failure = client.fetch_flow(id).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::NotFound, "{id}");
    }
    assert!(stub.lines().iter().any(|line| line == "GET /api/v1/flows/a%2Fb%3Fc"));
}

#[tokio::test]
async fn the_hello_flow_is_made_once() {
    let component = |output: bool| {
        json!({
            "template": {"input_value": {"type": if output {"other"} else {"str"}, "input_types": ["Message"]}},
            "outputs": [{"name": "message", "types": ["Message"]}],
        })
    };
    let catalogue = json!({
        "input_output": {"ChatInput": component(false), "ChatOutput": component(true)},
        "component_display_names": {},
    });
    let mut made = vec![];
    let stub = Stub::start(move |asked| match asked.line.as_str() {
        "GET /api/v1/all" => Reply::json(200, &catalogue),
        "GET /api/v1/projects/" => Reply::json(200, &json!([])),
        "POST /api/v1/flows/" => {
            made.push(json!({"id": "new", "name": asked.body["name"]}));
            Reply::json(201, &made[0])
        }
        _ => Reply::json(200, &json!(made)),
    })
    .await;
    let client = client(&stub.url);
    assert_eq!(client.create_hello_flow("hello").await.as_deref(), Ok("new"));
    assert_eq!(client.create_hello_flow("hello").await.as_deref(), Ok("new"));
    let asked = stub.asked();
    let posts: Vec<_> = asked.iter().filter(|asked| asked.line.starts_with("POST")).collect();
    assert_eq!(posts.len(), 1);
    let components = spark_events::domain::component::analyse(&posts[0].body);
    let ends: Vec<_> = components.iter().map(|c| (c.is_input, c.is_output)).collect();
    assert_eq!(ends, [(true, false), (false, true)]);
    let edge = &posts[0].body["data"]["edges"][0];
    assert_eq!(edge["data"]["targetHandle"]["fieldName"], "input_value");
    assert!(edge["targetHandle"].as_str().unwrap().contains("\u{153}fieldName\u{153}"));
}

#[test]
fn urls_are_checked_and_trimmed() {
    let make = |url: &str, key: Option<&str>| {
        let key = key.map(|key| Secret::new(key.to_owned()));
        LangFlow::new(http(), url, key).map(|client| client.url().to_owned())
    };
    assert_eq!(make(" http://host:7860/ ", None).as_deref(), Ok("http://host:7860"));
    assert_eq!(make("https://host/langflow/", None).as_deref(), Ok("https://host/langflow"));
    assert_eq!(make("http://host", Some(" sk-1\n")).as_deref(), Ok("http://host"), "trimmed");
    assert!(matches!(make("host:7860", None), Err(BadUrl::Scheme(_))));
    assert!(matches!(make("localhost", None), Err(BadUrl::NotAUrl { .. })));
    assert!(matches!(make("ftp://host", None), Err(BadUrl::Scheme(_))));
    assert!(matches!(make("http://me:pw@host", None), Err(BadUrl::UserInfo)));
    assert!(matches!(make("http://host/?a=1", None), Err(BadUrl::Query)));
    assert!(matches!(make("http://host/#a", None), Err(BadUrl::Query)));
    assert!(matches!(make("http://host", Some("a\nb")), Err(BadUrl::Key)));
}

#[test]
fn a_key_is_never_printed() {
    let client = client("http://host");
    let printed = format!("{client:?} {:?}", Secret::new(KEY.into()));
    assert_eq!(printed, "LangFlow { url: \"http://host\", .. } Secret(..)");
}
