//! The bodies that describe a schedule. Making one, changing one and looking ahead share the
//! fields that say when; these stand here once.

use serde::Deserialize;
use serde_json::Value;
use spark_events::domain::overlap::Overlap;
use spark_events::domain::recurrence::DstRule;
use spark_events::domain::schedule::OnDrift;

use crate::body::Field;
use crate::options::{OptionsBody, RetryBody};

/// Writes a struct of the fields that say when, and bodies that have these fields and their own.
macro_rules! bodies {
    (@when { $($(#[$doc:meta])* $field:ident: $type:ty,)* }) => {
        /// The fields that say when.
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct WhenBody {
            $($(#[$doc])* pub $field: Field<$type>,)*
        }
    };
    (@body $(#[$doc:meta])* $body:ident
        { $($(#[$when_doc:meta])* $when:ident: $when_type:ty,)* }
        { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Deserialize, utoipa::ToSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $body {
            $($(#[$when_doc])* #[serde(default)] #[schema(value_type = Option<$when_type>)] pub $when: Field<$when_type>,)*
            $($(#[$field_doc])* #[serde(default)] #[schema(value_type = Option<$type>)] pub $field: Field<$type>,)*
        }

        impl $body {
            /// Takes the fields out that say when.
            #[must_use]
            pub fn take_when(&mut self) -> WhenBody {
                WhenBody { $($when: self.$when.take(),)* }
            }

            /// The names of the fields that are null.
            #[must_use]
            pub fn nulls(&self) -> Vec<&'static str> {
                let fields = [
                    $((stringify!($when), self.$when.is_null()),)*
                    $((stringify!($field), self.$field.is_null()),)*
                ];
                fields.into_iter().filter(|(_, null)| *null).map(|(name, _)| name).collect()
            }
        }
    };
    ($when:tt $($(#[$doc:meta])* $body:ident $fields:tt)+) => {
        bodies!(@when $when);
        $(bodies!(@body $(#[$doc])* $body $when $fields);)+
    };
}

bodies! {
    {
        /// Clock times: a cron expression, a name such as `@daily`, or `@every 90m`.
        cron: String,
        /// A fixed distance, such as `30m`.
        every: String,
        /// The same in milliseconds.
        every_ms: u64,
        /// A single instant: RFC 3339 or `now`.
        at: String,
        /// Several of these at once, in place of the four fields above.
        specs: Vec<SpecBody>,
        /// The zone of clock times and exclusions that name none; UTC when absent.
        timezone: String,
        /// What clock changes do to clock times.
        dst: DstRule,
        /// Dates, spans and cron expressions at which nothing is due.
        exclude: Vec<String>,
        /// How far a start may be moved behind its due instant, such as `30s`.
        jitter: String,
        /// The same in milliseconds.
        jitter_ms: u64,
        /// The first instant that may be due.
        start_at: String,
        /// The last instant that may be due.
        end_at: String,
    }
    /// Run a flow again and again, or change how.
    ScheduleBody {
        /// The flow's id, a prefix of it, or its name. Cannot be changed.
        flow: String,
        /// A name for people.
        name: String,
        /// What people should know about it.
        note: String,
        /// The input text.
        #[serde(alias = "input_value")]
        input: String,
        /// `{component id: {field: value}}`.
        tweaks: Value,
        /// What happens while an earlier task is still open.
        overlap: Overlap,
        /// How late an occurrence may still start, such as `1h`.
        catch_up: String,
        /// The same in milliseconds.
        catch_up_ms: u64,
        /// After how many starts it is completed.
        runs_max: u64,
        /// After how many failed tasks in a row it pauses itself.
        pause_after: u32,
        /// What happens when the flow was changed at its source.
        on_drift: OnDrift,
        /// The retry policy, as far as it differs from the default or is to change.
        retry: RetryBody,
        /// Attempts after the first one.
        max_retries: u32,
        /// The longest time of an attempt, such as `10m`.
        timeout: String,
        /// The same in milliseconds.
        timeout_ms: u64,
        /// The longest wait until an attempt starts, such as `10m`.
        queue_timeout: String,
        /// The same in milliseconds.
        queue_timeout_ms: u64,
        /// The longest time over all attempts and waits, such as `1h`.
        total_timeout: String,
        /// The same in milliseconds.
        total_timeout_ms: u64,
        /// Higher ones start first within a source.
        priority: i32,
        /// Why.
        reason: String,
    }
    /// See when a schedule would be due.
    PreviewBody {
        /// How many instants.
        n: usize,
        /// After which instant; now when absent.
        after: String,
    }
}

impl ScheduleBody {
    /// Takes the fields out that schedules share with runs.
    #[must_use]
    pub fn take_options(&mut self) -> OptionsBody {
        OptionsBody {
            input: self.input.take().value(),
            tweaks: self.tweaks.take().value(),
            retry: self.retry.take().value(),
            max_retries: self.max_retries.take().value(),
            timeout: self.timeout.take().value(),
            timeout_ms: self.timeout_ms.take().value(),
            priority: self.priority.take().value(),
            queue_timeout: self.queue_timeout.take().value(),
            queue_timeout_ms: self.queue_timeout_ms.take().value(),
            total_timeout: self.total_timeout.take().value(),
            total_timeout_ms: self.total_timeout_ms.take().value(),
        }
    }
}

/// One recurrence: exactly one of `cron`, `every`, `every_ms`, `at` and `calendar`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Spec)]
pub struct SpecBody {
    /// Clock times: a cron expression, a name such as `@daily`, or `@every 90m`.
    pub cron: Option<String>,
    /// A fixed distance, such as `30m`.
    pub every: Option<String>,
    /// The same in milliseconds.
    pub every_ms: Option<u64>,
    /// A single instant: RFC 3339 or `now`.
    pub at: Option<String>,
    /// Clock times, field by field.
    pub calendar: Option<CalendarBody>,
    /// The zone of its clock times.
    pub timezone: Option<String>,
    /// What clock changes do to its clock times.
    pub dst: Option<DstRule>,
}

/// Clock times, each part a field as in a cron expression. Day of month and day of week must both
/// match.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Calendar)]
pub struct CalendarBody {
    /// 0 when absent.
    pub second: Option<String>,
    /// 0 when absent.
    pub minute: Option<String>,
    /// 0 when absent.
    pub hour: Option<String>,
    /// Any when absent.
    pub day_of_month: Option<String>,
    /// Any when absent.
    pub month: Option<String>,
    /// Any when absent.
    pub year: Option<String>,
    /// Any when absent.
    pub day_of_week: Option<String>,
}
