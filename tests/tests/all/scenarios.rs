//! The built binary as a person uses it, end to end, against the fake LangFlow (each a test of its
//! own, in seconds) and against a real one (all in a row, `cargo e2e`).

use std::sync::Arc;

use spark_tests::report;
use spark_tests::target::Target;
use tokio::task::JoinSet;
use tokio::time::Instant;

mod crashes;
mod disk;
mod refused;
mod runs;
mod session;
pub(crate) mod steps;
mod trouble;
mod workers;

/// One test for each against the fake, and one for all against a real LangFlow.
macro_rules! scenarios {
    ($($file:ident::$name:ident,)+) => {
        $(
            #[tokio::test]
            async fn $name() {
                $file::$name(&Target::start_fake().await).await;
            }
        )+

        #[tokio::test]
        #[ignore = "needs Python: run `cargo e2e`"]
        async fn real_langflow_passes_every_scenario() {
            let begun = Instant::now();
            let target = Arc::new(Target::start_real().await);
            report(&format!("LangFlow is up after {:.1} s", begun.elapsed().as_secs_f64()));
            let mut failed = Vec::new();
            $(
                let begun = Instant::now();
                // A task of its own, so that the next one runs even if this one panics.
                let mut one = JoinSet::new();
                let same = Arc::clone(&target);
                one.spawn(async move { $file::$name(&same).await });
                let passed = one.join_next().await.is_some_and(|end| end.is_ok());
                let word = if passed { "ok    " } else { "FAILED" };
                report(&format!("{word} {:6.1} s  {}", begun.elapsed().as_secs_f64(), stringify!($name)));
                if !passed {
                    failed.push(stringify!($name));
                }
            )+
            assert!(failed.is_empty(), "failed against a real LangFlow: {failed:?}");
        }
    };
}

scenarios! {
    session::a_stranger_connects_syncs_runs_and_schedules,
    runs::an_echo_gives_back_what_it_is_given,
    runs::a_prompt_takes_the_input_in_its_place,
    runs::a_tweak_changes_this_run_and_no_other,
    runs::a_failing_flow_shows_each_attempt_with_the_words_of_its_component,
    runs::a_cancelled_flow_is_stopped_at_langflow_too,
    runs::an_unknown_flow_is_named_with_what_comes_near,
    trouble::a_wrong_key_is_refused_before_anything_is_stored,
    trouble::a_key_deleted_later_fails_the_attempt_once,
    trouble::a_langflow_that_goes_away_and_comes_back_costs_no_instant,
    crashes::after_kill_9_the_run_is_taken_up_again_and_was_made_once,
    crashes::sigterm_ends_in_order_and_the_run_goes_on,
    workers::a_worker_killed_in_a_run_and_started_again_has_it_made_once,
    crashes::without_its_read_models_it_shows_the_same_lists,
    crashes::a_second_server_is_told_who_holds_the_directory,
    refused::bad_input_is_refused_with_a_remedy_and_leaves_nothing_behind,
    refused::what_contradicts_what_exists_is_a_conflict,
    refused::bad_requests_are_refused_with_a_stable_code_and_leave_nothing_behind,
}
