//! Rules of a flow: syncs, edits, pushes, drift, settings.

use super::*;
use crate::domain::fold;
use crate::ids::SourceId;
use crate::payload::Payload;

mod definitions;

fn at_source(hash: &str) -> FlowSynced {
    FlowSynced {
        source_id: SourceId(uuid::Uuid::nil()),
        remote_id: "r".into(),
        name: "echo".into(),
        description: String::new(),
        folder: None,
        input_component: None,
        output_component: None,
        components: vec![],
        definition: Payload::Inline(serde_json::Value::Null),
        definition_hash: hash.into(),
    }
}

fn sync(hash: &str) -> FlowCommand {
    FlowCommand::Sync { flow: Box::new(at_source(hash)), force: false }
}

fn content(hash: &str) -> Box<FlowContent> {
    Box::new(FlowContent::from(&at_source(hash)))
}

fn push(hash: &str) -> FlowCommand {
    FlowCommand::Push(Box::new(FlowPushed { created: true, flow: at_source(hash) }))
}

fn limit(runs_max: RunsLimit) -> FlowCommand {
    FlowCommand::Update(FlowUpdated { runs_max: Some(runs_max) })
}

fn look(with: &str, found: Option<&str>) -> FlowCommand {
    let found = found.map(|hash| RemoteDrift::Changed {
        remote_hash: hash.into(),
        summary: vec!["ChatInput-1 changed: sender".into()],
    });
    FlowCommand::Compare { with: with.into(), found }
}

fn decide(flow: &Flow, command: FlowCommand) -> Result<Vec<FlowEvent>, FlowRejection> {
    flow.decide(command, Timestamp::UNIX_EPOCH)
}

#[track_caller]
fn then(flow: Flow, command: FlowCommand) -> (Flow, usize) {
    let events = decide(&flow, command).unwrap();
    (fold(flow, &events), events.len())
}

/// The flow after all commands.
#[track_caller]
fn given(commands: impl IntoIterator<Item = FlowCommand>) -> Flow {
    commands.into_iter().fold(Flow::Absent, |flow, command| then(flow, command).0)
}

#[track_caller]
fn synced(flow: &Flow) -> &SyncedFlow {
    let Flow::Synced(synced) = flow else { panic!("{flow:?}") };
    synced
}

#[test]
fn syncing_again_records_only_what_has_changed() {
    let (flow, first) = then(Flow::Absent, sync("a"));
    let (flow, same) = then(flow, sync("a"));
    let (_, changed) = then(flow, sync("b"));
    assert_eq!((first, same, changed), (1, 0, 1));
}

#[test]
fn a_deleted_flow_comes_back_with_the_next_sync_without_its_settings() {
    let flow = given([sync("a"), limit(RunsLimit::AtMost(2)), FlowCommand::Delete]);
    assert_eq!(flow, Flow::Deleted);
    let (flow, again) = then(flow, FlowCommand::Delete);
    assert_eq!(again, 0, "already true");
    let (flow, _) = then(flow, sync("a"));
    assert_eq!(synced(&flow).settings, FlowSettings::default());
}

#[test]
fn what_is_not_there_takes_no_command_but_sync_and_create() {
    for flow in [Flow::Absent, Flow::Deleted] {
        for command in
            [FlowCommand::Edit(content("a")), push("a"), limit(RunsLimit::None), look("a", None)]
        {
            assert_eq!(decide(&flow, command.clone()), Err(FlowRejection::Absent), "{command:?}");
        }
    }
    assert_eq!(decide(&Flow::Absent, FlowCommand::Delete), Err(FlowRejection::Absent));
    let exists = decide(&given([sync("a")]), FlowCommand::Create(content("a")));
    assert_eq!(exists, Err(FlowRejection::Exists));
}

#[test]
fn a_flow_made_here_is_edited_and_then_pushed() {
    let flow = given([
        FlowCommand::Create(content("a")),
        limit(RunsLimit::AtMost(3)),
        FlowCommand::Edit(content("b")),
    ]);
    assert_eq!(flow.content().unwrap().definition_hash, "b");
    assert_eq!(then(flow.clone(), FlowCommand::Edit(content("b"))).1, 0, "already true");
    let flow = then(flow, push("b")).0;
    assert_eq!(synced(&flow).flow.definition_hash, "b");
    assert_eq!(synced(&flow).settings.runs_max, Some(3), "settings stay");
}

#[test]
fn an_edit_waits_for_its_push_and_is_not_lost_by_a_sync() {
    let flow = given([sync("a"), FlowCommand::Edit(content("b"))]);
    assert_eq!(synced(&flow).flow.definition_hash, "a", "this is what runs");
    assert_eq!(flow.content().unwrap().definition_hash, "b");
    let refused = decide(&flow, sync("c")).unwrap_err();
    assert!(refused.to_string().contains("--force"), "{refused}");
    let force = FlowCommand::Sync { flow: Box::new(at_source("a")), force: true };
    assert_eq!(synced(&then(flow.clone(), force).0).edit, None);
    assert_eq!(synced(&then(flow.clone(), push("b")).0).edit, None);
    let back = then(flow, FlowCommand::Edit(content("a"))).0;
    assert_eq!(synced(&back).edit, None, "edited back to what the source has");
}

#[test]
fn drift_is_recorded_once_for_each_state_of_the_source() {
    let flow = given([sync("a")]);
    assert_eq!(then(flow.clone(), look("a", None)).1, 0);
    let (flow, found) = then(flow, look("a", Some("x")));
    let (flow, again) = then(flow, look("a", Some("x")));
    let (flow, other) = then(flow, look("a", Some("y")));
    assert_eq!((found, again, other), (1, 0, 1));
    let stale = then(flow.clone(), look("older", None));
    assert_eq!(stale.1, 0, "it was compared with another definition than this one");
    let missing = || FlowCommand::Compare { with: "a".into(), found: Some(RemoteDrift::Missing) };
    let (flow, gone) = then(flow, missing());
    let (flow, still_gone) = then(flow, missing());
    let (flow, back) = then(flow, look("a", None));
    assert_eq!((gone, still_gone, back), (1, 0, 1));
    assert_eq!(synced(&flow).drift, None);
}

#[test]
fn a_sync_and_a_push_end_drift() {
    let drifted = given([sync("a"), look("a", Some("x"))]);
    for command in [sync("b"), push("b"), sync("a")] {
        let events = decide(&drifted, command).unwrap();
        assert!(matches!(events.last(), Some(FlowEvent::DriftCleared(_))), "{events:?}");
        assert_eq!(synced(&fold(drifted.clone(), &events)).drift, None);
    }
}

#[test]
fn a_limit_is_set_and_lifted_once() {
    let (flow, set) = then(given([sync("a")]), limit(RunsLimit::AtMost(2)));
    let (flow, same) = then(flow, limit(RunsLimit::AtMost(2)));
    assert_eq!(synced(&flow).settings.runs_max, Some(2));
    let flow = then(flow, sync("b")).0;
    assert_eq!(synced(&flow).settings.runs_max, Some(2), "a sync leaves it");
    let (flow, lifted) = then(flow, limit(RunsLimit::None));
    assert_eq!((set, same, lifted, synced(&flow).settings.runs_max), (1, 0, 1, None));
}

#[test]
fn events_that_are_superseded_do_not_count_any_more() {
    let stories: [Vec<FlowCommand>; 4] = [
        vec![sync("a"), limit(RunsLimit::AtMost(2)), look("a", Some("x")), look("a", Some("y"))],
        vec![sync("a"), limit(RunsLimit::AtMost(2)), limit(RunsLimit::None), sync("b")],
        vec![FlowCommand::Create(content("a")), FlowCommand::Edit(content("b")), push("c")],
        vec![sync("a"), look("a", Some("x")), FlowCommand::Edit(content("b")), look("a", None)],
    ];
    for story in stories {
        let (mut flow, mut kept) = (Flow::Absent, Vec::<FlowEvent>::new());
        for command in story {
            for event in decide(&flow, command).unwrap() {
                kept.retain(|earlier| !event.supersedes(earlier));
                flow = flow.evolve(&event);
                kept.push(event);
            }
            assert_eq!(fold(Flow::Absent, &kept), flow, "{kept:?}");
        }
    }
}
