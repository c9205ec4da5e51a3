//! How figures are computed and printed. Measures nothing.

use std::fmt::Display;
use std::time::Duration;

/// What a figure is held against.
pub(crate) enum Target {
    /// It should be at least this.
    Least(f64),
    /// It should be at most this.
    Most(f64),
    /// It is told for what it says about the others.
    None,
}

/// Prints one figure beside its target.
pub(crate) fn figure(what: &str, value: f64, unit: &str, target: &Target) {
    let shown = format!("{} {unit}", number(value));
    let (target, verdict) = match target {
        Target::Least(least) => (format!(">= {}", number(*least)), verdict(value >= *least)),
        Target::Most(most) => (format!("<= {}", number(*most)), verdict(value <= *most)),
        Target::None => (String::new(), ""),
    };
    println!("  {what:<46} {shown:>18}   {target:<12} {verdict}");
}

/// Prints something that is no figure.
pub(crate) fn note(text: impl Display) {
    println!("  {text}");
}

fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "MISSED" }
}

fn number(value: f64) -> String {
    if value.abs() >= 100.0 {
        format!("{value:.0}")
    } else if value.abs() >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// Milliseconds with their fraction.
pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// The value below which this share (0 to 1) of the samples lies; the samples get sorted.
pub(crate) fn percentile(samples: &mut [f64], share: f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    let last = samples.len().saturating_sub(1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index far below the bounds of both types"
    )]
    let index = (last as f64 * share).ceil() as usize;
    samples.get(index).copied().unwrap_or(f64::NAN)
}
