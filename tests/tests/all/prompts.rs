//! What is asked on a terminal where an argument is missing, and that nothing is asked without one.

use spark_tests::binary::Automagik;
use spark_tests::target::Target;

#[tokio::test]
async fn a_person_is_asked_for_what_is_missing() {
    let target = Target::start_fake().await;
    let automagik = Automagik::started().await;
    let mut add = automagik.on_terminal(&["source", "add"]);
    add.sees("Base URL of the server [http://127.0.0.1:7860]: ").await;
    add.types(target.url());
    add.sees("(not shown): ").await;
    // A typing error is taken back, unseen.
    add.types(&format!("x\u{7f}{}", target.key()));
    let (code, screen) = add.ends().await;
    assert_eq!(code, 0, "{screen}");
    assert!(!screen.contains(target.key()), "the key was shown: {screen}");

    let mut sync = automagik.on_terminal(&["flow", "sync"]);
    sync.sees("e2e-echo").await;
    sync.sees("Which flow (1 to ").await;
    sync.types("nonsense");
    sync.sees("is none of them").await;
    sync.types("e2e-echo");
    let (code, screen) = sync.ends().await;
    assert_eq!(code, 0, "{screen}");

    let mut create = automagik.on_terminal(&["schedule", "create", "--name", "asked"]);
    create.sees("When: ").await;
    create.types("every day");
    create.sees("cron").await;
    create.sees("When: ").await;
    create.types("0 9 * * *");
    create.sees("Time zone [UTC]: ").await;
    create.types("Nowhere/Land");
    create.sees("Nowhere/Land").await;
    create.sees("Time zone [UTC]: ").await;
    create.types("");
    create.sees("Input text: ").await;
    create.types("hello");
    create.sees("Make it? [Y/n]: ").await;
    create.types("");
    let (code, screen) = create.ends().await;
    assert_eq!(code, 0, "{screen}");
    let shown = automagik.json(&["schedule", "show", "asked"]).await;
    assert_eq!(shown["input"], "hello", "{shown}");

    let mut create = automagik.on_terminal(&["schedule", "create", "--every", "1h"]);
    create.sees("Which flow: e2e-echo").await;
    create.sees("Input text: ").await;
    create.types("");
    create.sees("Make it? [Y/n]: ").await;
    create.types("n");
    let (code, screen) = create.ends().await;
    assert_eq!(code, 130, "{screen}");
    assert_eq!(automagik.rows(&["schedule", "list"]).await.len(), 1);
}

#[tokio::test]
async fn an_interrupt_while_a_key_is_typed_leaves_the_terminal_as_it_was() {
    let automagik = Automagik::new();
    let mut set = automagik.on_terminal(&["config", "set", "api_key"]);
    set.sees("api_key (not shown): ").await;
    set.types("");
    set.sees("api_key (not shown): ").await;
    set.presses(3);
    let (code, screen) = set.ends().await;
    assert_eq!(code, 130, "{screen}");
    assert!(screen.contains("called off"), "{screen}");
}

#[tokio::test]
async fn without_a_terminal_what_is_missing_is_a_usage_error_that_names_it() {
    let automagik = Automagik::new();
    for (args, parts) in [
        (&["source", "add"][..], ["required", "<URL>"]),
        (&["flow", "sync"], ["which flow", "flow list --remote"]),
        (&["schedule", "create"], ["required", "FLOW"]),
        (&["schedule", "create", "x"], ["required", "EXPR"]),
        (&["schedule", "delete"], ["required", "<SCHEDULE>"]),
    ] {
        automagik.ends(2, args).await.says(&parts);
    }
}
