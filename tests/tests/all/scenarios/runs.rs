//! Single runs: what comes back, what is shown of a failure, what a cancel does.

use spark_tests::target::{Marker, Target};

use super::steps::{attempts, connected, history, job_of, shown, text};

pub(super) async fn an_echo_gives_back_what_it_is_given(target: &Target) {
    let automagik = connected(target, &["e2e-echo"]).await;
    for input in ["hello", "ol\u{e1}, \"mundo\" \u{2014} \u{1F680}\nsecond line", "-5"] {
        let said = automagik.ok(&["flow", "run", "e2e-echo", "--input", input, "--wait"]).await;
        assert_eq!(said, input);
    }
    let file = automagik.beside().join("input.txt");
    std::fs::write(&file, "from a file").expect("a file of ours");
    let path = file.display().to_string();
    let said = automagik.ok(&["flow", "run", "e2e-echo", "--input-file", &path, "--wait"]).await;
    assert_eq!(said, "from a file");
}

pub(super) async fn a_prompt_takes_the_input_in_its_place(target: &Target) {
    let automagik = connected(target, &["e2e-prompt"]).await;
    let said = automagik.ok(&["flow", "run", "e2e-prompt", "--input", "Ana", "--wait"]).await;
    assert_eq!(said, "Hello Ana");
}

pub(super) async fn a_tweak_changes_this_run_and_no_other(target: &Target) {
    let automagik = connected(target, &["e2e-text"]).await;
    let tweaked =
        ["flow", "run", "e2e-text", "--tweak", "TextInput-00001.input_value=tweaked", "--wait"];
    assert_eq!(automagik.ok(&tweaked).await, "tweaked");
    assert_eq!(automagik.ok(&["flow", "run", "e2e-text", "--wait"]).await, "default text");
}

pub(super) async fn a_failing_flow_shows_each_attempt_with_the_words_of_its_component(
    target: &Target,
) {
    let automagik = connected(target, &["e2e-fail"]).await;
    let run = ["flow", "run", "e2e-fail", "--input", "x", "--max-retries", "1", "--wait"];
    let output = automagik.ends(5, &run).await;
    let words = "deliberate failure on input 'x'";
    assert!(output.stdout.contains(words) || output.stderr.contains(words), "{output}");
    output.says(&["automagik task show"]);
    let tasks = automagik.rows(&["task", "list", "--status", "failed"]).await;
    assert_eq!(tasks.len(), 1);
    let task = text(&tasks[0], "id");
    let row = shown(&automagik, &task).await;
    assert_eq!(attempts(&row).len(), 2, "{row}");
    for attempt in attempts(&row) {
        let failure = &attempt["failure"];
        assert_eq!(
            (text(attempt, "outcome"), text(failure, "class")),
            ("failed".into(), "component".into())
        );
        assert!(text(failure, "message").contains(words), "{failure}");
        assert_eq!(text(failure, "component"), "Always Fails");
    }
    let table = automagik.ok(&["task", "show", &task]).await;
    assert!(table.contains("Always Fails") && table.contains(words), "{table}");
    let log = automagik.ok(&["task", "log", &task]).await;
    assert!(log.contains("Always Fails"), "{log}");
    let events = history(&automagik, "task", &task).await;
    let count = |name: &str| events.iter().filter(|event| *event == name).count();
    assert_eq!(
        (count("task.started"), count("task.attempt_failed"), count("task.failed")),
        (2, 2, 1),
        "{events:?}"
    );
}

pub(super) async fn a_cancelled_flow_is_stopped_at_langflow_too(target: &Target) {
    let automagik = connected(target, &["e2e-slow"]).await;
    let marker = Marker::new(automagik.beside(), "cancelled.txt");
    let tweak = marker.tweak();
    let run = ["flow", "run", "e2e-slow", "--tweak", "SlowEcho-00001.seconds=3", "--tweak", &tweak];
    let task = automagik.ok(&[&run[..], &["--input", "first"]].concat()).await;
    let job = job_of(&automagik, &task).await;
    automagik.ok(&["task", "cancel", &task, "--reason", "wrong input"]).await;
    automagik.ends(5, &["task", "wait", &task]).await;
    let row = shown(&automagik, &task).await;
    assert_eq!(
        (text(&row, "status"), text(&row, "cancel_reason")),
        ("cancelled".into(), "wrong input".into())
    );
    assert_eq!(text(&row, "remote_stop"), "stopped");
    assert_eq!(target.job_status(&job).await, "cancelled");
    // A second run of the same length begins later: at its end the first one would have ended too.
    automagik.ok(&[&run[..], &["--input", "second", "--wait"]].concat()).await;
    assert_eq!(marker.lines(), ["second"]);
}

pub(super) async fn an_unknown_flow_is_named_with_what_comes_near(target: &Target) {
    let automagik = connected(target, &["e2e-echo"]).await;
    let stored = automagik.stored_events();
    let near = automagik.ends(6, &["flow", "run", "e2e-ehco", "--input", "x"]).await;
    near.says(&["e2e-ehco", "did you mean: e2e-echo"]);
    let schedule = automagik.ends(6, &["schedule", "create", "e2e-ehco", "--every", "5s"]).await;
    schedule.says(&["did you mean: e2e-echo"]);
    let far = automagik.ends(6, &["flow", "sync", "nothing-like-that"]).await;
    far.says(&["nothing-like-that", "automagik flow list --remote"]);
    assert_eq!(automagik.stored_events(), stored);
}
