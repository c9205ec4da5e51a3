//! From the fields that say when to a timetable. What is wrong is told at the field it stands in.

use spark_events::Timestamp;
use spark_events::domain::recurrence::{
    DstRule, Exclusion, Recurrence, RecurrenceError, Timetable, parse_at, parse_every,
};
use spark_events::domain::schedule::SchedulePatch;

use super::fields::{CalendarBody, SpecBody, WhenBody};
use crate::body::Field;
use crate::error::FieldError;
use crate::options::{Wrong, duration_ms};

/// What a body says about when. What it does not name is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct When {
    /// When.
    pub specs: Option<Vec<Recurrence>>,
    /// When not.
    pub exclusions: Option<Vec<Exclusion>>,
    /// How far starts are moved.
    pub jitter_ms: Option<u64>,
    /// The first instant; `Some(None)` for none.
    pub start_at: Option<Option<Timestamp>>,
    /// The last instant; `Some(None)` for none.
    pub end_at: Option<Option<Timestamp>>,
}

impl When {
    /// The fields of a body, at the instant that intervals are counted from.
    ///
    /// # Errors
    /// Every field that cannot be used.
    pub fn read(body: WhenBody, now: Timestamp) -> Result<Self, Vec<FieldError>> {
        let mut wrong = Wrong::default();
        let timezone = body.timezone.value();
        let zone = Zone { name: timezone.as_deref().unwrap_or_default(), dst: body.dst.value() };
        let short = SpecBody {
            cron: body.cron.value(),
            every: body.every.value(),
            every_ms: body.every_ms.value(),
            at: body.at.value(),
            ..SpecBody::default()
        };
        let specs = wrong.take(specs(short, body.specs.value(), &zone, now)).flatten();
        let exclusions = body.exclude.change().map(Option::unwrap_or_default);
        let exclusions = exclusions.map(|texts| wrong.take(exclude(&texts, zone.name)));
        let local = |spec: &Recurrence| {
            matches!(spec, Recurrence::Cron { .. } | Recurrence::Calendar { .. })
        };
        let clock = specs.as_ref().is_some_and(|specs| specs.iter().any(local));
        if wrong.is_empty() && timezone.is_some() && !clock && exclusions.is_none() {
            wrong.push(
                "timezone",
                "belongs to cron, calendar and exclude; write the offset into at, and none for every",
            );
        }
        if wrong.is_empty() && zone.dst.is_some() && !clock {
            wrong.push(
                "dst",
                "belongs to cron and calendar; instants and intervals know no clock changes",
            );
        }
        let no_jitter = body.jitter.is_null() || body.jitter_ms.is_null();
        let jitter = duration_ms("jitter", body.jitter.value(), body.jitter_ms.value());
        let jitter_ms = wrong.take(jitter).flatten().or(no_jitter.then_some(0));
        let start_at = wrong.take(instant("start_at", body.start_at, now)).flatten();
        let end_at = wrong.take(instant("end_at", body.end_at, now)).flatten();
        let exclusions = exclusions.flatten();
        wrong.finish(Self { specs, exclusions, jitter_ms, start_at, end_at })
    }

    /// The timetable of a new schedule.
    ///
    /// # Errors
    /// No recurrence, or a timetable that cannot be.
    pub fn timetable(self, now: Timestamp) -> Result<Timetable, Vec<FieldError>> {
        let Some(specs) = self.specs else {
            let missing = "is missing: give exactly one of cron, every, at, or specs";
            return Err(vec![FieldError::new("cron", missing)]);
        };
        let timetable = Timetable {
            specs,
            exclusions: self.exclusions.unwrap_or_default(),
            jitter_ms: self.jitter_ms.unwrap_or(0),
            start_at: self.start_at.flatten(),
            end_at: self.end_at.flatten(),
        };
        check(&timetable, now)?;
        Ok(timetable)
    }

    /// The changes to the timetable of a schedule that exists.
    #[must_use]
    pub fn patch(self) -> SchedulePatch {
        SchedulePatch {
            specs: self.specs,
            exclusions: self.exclusions,
            jitter_ms: self.jitter_ms,
            start_at: self.start_at,
            end_at: self.end_at,
            ..SchedulePatch::default()
        }
    }
}

/// Checks a timetable as a whole.
///
/// # Errors
/// The field that cannot be used.
pub(super) fn check(timetable: &Timetable, now: Timestamp) -> Result<(), Vec<FieldError>> {
    use RecurrenceError as E;
    timetable.validate(now).map_err(|error| {
        let field = match (&error, timetable.specs.as_slice()) {
            (E::TooManyExclusions { .. } | E::AllExcluded | E::Exclusion { .. }, _) => "exclude",
            (E::JitterTooLong { .. }, _) => "jitter_ms",
            (E::EndsBeforeStart { .. } | E::NothingBeforeEnd { .. }, _) => "end_at",
            (_, [Recurrence::Cron { .. }]) => "cron",
            (_, [Recurrence::Interval { .. }]) => "every",
            (_, [Recurrence::Once { .. }]) => "at",
            _ => "specs",
        };
        vec![FieldError::new(field, error.to_string())]
    })
}

/// What clock times are read in that do not say so themselves.
struct Zone<'a> {
    name: &'a str,
    dst: Option<DstRule>,
}

fn specs(
    short: SpecBody,
    list: Option<Vec<SpecBody>>,
    zone: &Zone<'_>,
    now: Timestamp,
) -> Result<Option<Vec<Recurrence>>, Vec<FieldError>> {
    let is_short = short != SpecBody::default();
    let Some(list) = list else {
        return is_short.then(|| spec("", short, zone, now).map(|one| vec![one])).transpose();
    };
    let fail = |message: &str| Err(vec![FieldError::new("specs", message)]);
    if is_short {
        return fail("cannot be combined with cron, every, every_ms and at; move these into specs");
    }
    if list.is_empty() {
        return fail(&RecurrenceError::NoSpecs.to_string());
    }
    let mut wrong = Wrong::default();
    let mut read = Vec::with_capacity(list.len());
    for (place, body) in list.into_iter().enumerate() {
        read.extend(wrong.take(spec(&format!("specs[{place}]."), body, zone, now)));
    }
    wrong.finish(Some(read))
}

/// One recurrence; `prefix` stands before the names of its fields.
fn spec(
    prefix: &str,
    body: SpecBody,
    zone: &Zone<'_>,
    now: Timestamp,
) -> Result<Recurrence, Vec<FieldError>> {
    let SpecBody { cron, every, every_ms, at, calendar, timezone, dst } = body;
    let fail = |field: &str, message: &str| {
        Err(vec![FieldError::new(format!("{prefix}{field}"), message)])
    };
    let rule = dst.or(zone.dst).unwrap_or_default();
    let (field, read) = match (cron, every, every_ms, at, calendar) {
        (Some(cron), None, None, None, None) => {
            // A zone in the expression of one of several outweighs the default of all.
            let default = if !prefix.is_empty() && names_zone(&cron) { "" } else { zone.name };
            let name = timezone.as_deref().unwrap_or(default);
            ("cron", Recurrence::parse(&cron, name, rule, now))
        }
        (None, Some(every), None, None, None) => {
            ("every", parse_every(&every).map(|ms| Recurrence::interval(ms, now)))
        }
        (None, None, Some(ms), None, None) => ("every_ms", Ok(Recurrence::interval(ms, now))),
        (None, None, None, Some(at), None) => {
            ("at", parse_at(&at, now).map(|at| Recurrence::Once { at }))
        }
        (None, None, None, None, Some(fields)) => {
            let name = timezone.as_deref().unwrap_or(zone.name);
            ("calendar", Ok(calendar_of(fields, name, rule)))
        }
        (None, None, None, None, None) => {
            return fail("cron", "is missing: give exactly one of cron, every, at, calendar");
        }
        _ => return fail("cron", "give exactly one of cron, every, every_ms, at and calendar"),
    };
    let is_clock =
        matches!(&read, Ok(Recurrence::Cron { .. } | Recurrence::Calendar { .. }) | Err(_));
    if !is_clock && timezone.is_some() {
        return fail("timezone", "belongs to cron and calendar; write the offset into at");
    }
    if !is_clock && dst.is_some() {
        return fail("dst", "belongs to cron and calendar; nothing else knows clock changes");
    }
    // Of several recurrences one may be over.
    let may_be_over = !prefix.is_empty() && matches!(&read, Ok(Recurrence::Once { .. }));
    let checked = read.and_then(|recurrence| {
        if !may_be_over {
            recurrence.validate(now)?;
        }
        Ok(recurrence)
    });
    checked.map_err(|error| {
        use RecurrenceError as E;
        let field = match &error {
            E::UnknownZone { .. } | E::ZoneConflict { .. } => "timezone",
            _ => field,
        };
        vec![FieldError::new(format!("{prefix}{field}"), error.to_string())]
    })
}

/// Whether an expression brings its own time zone.
fn names_zone(expression: &str) -> bool {
    let expression = expression.trim_start();
    expression.starts_with("CRON_TZ=") || expression.starts_with("TZ=")
}

fn calendar_of(fields: CalendarBody, zone: &str, dst: DstRule) -> Recurrence {
    let zero = |field: Option<String>| field.unwrap_or_else(|| "0".to_owned());
    let any = |field: Option<String>| field.unwrap_or_else(|| "*".to_owned());
    Recurrence::Calendar {
        second: zero(fields.second),
        minute: zero(fields.minute),
        hour: zero(fields.hour),
        day_of_month: any(fields.day_of_month),
        month: any(fields.month),
        year: any(fields.year),
        day_of_week: any(fields.day_of_week),
        timezone: if zone.is_empty() { "UTC".to_owned() } else { zone.to_owned() },
        dst,
    }
}

fn exclude(texts: &[String], zone: &str) -> Result<Vec<Exclusion>, Vec<FieldError>> {
    let mut wrong = Wrong::default();
    let mut read = Vec::with_capacity(texts.len());
    for (place, text) in texts.iter().enumerate() {
        let default = if names_zone(text) { "" } else { zone };
        match Exclusion::parse(text, default) {
            Ok(exclusion) => read.push(exclusion),
            Err(error @ RecurrenceError::UnknownZone { .. }) if !names_zone(text) => {
                wrong.push("timezone", error.to_string());
            }
            Err(error) => wrong.push(&format!("exclude[{place}]"), error.to_string()),
        }
    }
    wrong.finish(read)
}

/// An instant as text, in a field of its own.
pub(super) fn instant(
    field: &str,
    value: Field<String>,
    now: Timestamp,
) -> Result<Option<Option<Timestamp>>, Vec<FieldError>> {
    let read = |text: String| {
        parse_at(&text, now).map_err(|error| vec![FieldError::new(field, error.to_string())])
    };
    value.change().map(|text| text.map(read).transpose()).transpose()
}
