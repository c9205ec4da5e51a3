//! Where input and tweaks go.

use super::*;
use crate::langflow::input::route;

#[track_caller]
fn check(request: &RunRequest, input_value: Option<&str>, tweaks: Option<Value>) {
    let routed = route(request);
    assert_eq!(routed.input_value.as_deref(), input_value);
    assert_eq!(routed.tweaks.as_deref(), tweaks.as_ref());
}

#[test]
fn a_chat_input_takes_the_input_value() {
    for mode in [CallMode::Direct, CallMode::Background] {
        let mut request = request(mode);
        check(&request, Some("hello"), None);
        request.input_component = Some("ChatInput-00001".into());
        request.tweaks = Some(json!({"Model-1": {"temperature": 1}}));
        check(&request, Some("hello"), Some(json!({"Model-1": {"temperature": 1}})));
    }
}

#[test]
fn other_inputs_take_a_tweak_beside_the_users() {
    let mut request = request(CallMode::Background);
    request.input_component = Some("TextInput-00001".into());
    check(&request, None, Some(json!({"TextInput-00001": {"input_value": "hello"}})));
    request.tweaks = Some(json!({"TextInput-00001": {"x": 1}, "Other-1": {"y": 2}}));
    let both = json!({"TextInput-00001": {"x": 1, "input_value": "hello"}, "Other-1": {"y": 2}});
    check(&request, None, Some(both));
    request.input_component = Some("Webhook-1".into());
    request.tweaks = None;
    check(&request, None, Some(json!({"Webhook-1": {"data": "hello"}})));
}

#[test]
fn a_users_tweak_of_the_input_wins() {
    let tweaks = json!({"ChatInput-00001": {"input_value": "mine", "sender": "me"}});
    let mut direct = request(CallMode::Direct);
    direct.tweaks = Some(tweaks.clone());
    check(&direct, None, Some(tweaks.clone()));
    // A background job blanks the field, whatever the tweak says.
    let mut background = request(CallMode::Background);
    background.tweaks = Some(tweaks);
    check(&background, Some("mine"), Some(json!({"ChatInput-00001": {"sender": "me"}})));

    let tweaks = json!({"Text Input": {"input_value": "mine"}});
    let mut text = request(CallMode::Background);
    text.input_component = Some("TextInput-00001".into());
    text.tweaks = Some(tweaks.clone());
    check(&text, None, Some(tweaks));
}

#[test]
fn an_empty_input_is_not_sent() {
    let mut request = request(CallMode::Direct);
    request.input = String::new();
    check(&request, None, None);
    request.input_component = Some("TextInput-00001".into());
    check(&request, None, None);
}
