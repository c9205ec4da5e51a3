//! The REST API of Spark: turns HTTP into commands and queries, and what comes of them into JSON.
//!
//! # Layout
//! - [`server`]: the accept loop and its bounds; [`run`] is the door that tests and `main` use.
//! - [`app`]: the parts that every request needs, and the way of a request through them.
//! - [`routes`]: the routing table, and one file per resource with its bodies and handlers.
//! - [`read`]: the only place that asks the read models: rows, lists, and names to ids.
//! - [`call`], [`query`], [`body`], [`options`]: a request's parts, checked for shape.
//! - `conditions.rs`: ETags, and requests on a condition.
//! - [`cors`], [`rates`]: from which pages, and how often, callers may ask.
//! - `repeats.rs`: requests under an idempotency key.
//! - [`shown`]: rows as callers see them.
//! - [`reply`], [`error`]: answers; the one table from error to status and stable code.
//! - [`live`]: events as they happen, for those who listen.
//! - [`metrics`]: how the process is doing, in numbers.
//! - [`auth`]: API keys.
//! - [`openapi`]: the document that describes all of it.
//!
//! No rule of the domain is here, and nothing is stored here.

pub mod app;
pub mod auth;
pub mod body;
pub mod call;
mod conditions;
pub mod cors;
pub mod error;
pub mod live;
pub mod metrics;
mod old;
pub mod openapi;
pub mod options;
pub mod query;
pub mod rates;
pub mod read;
mod recorded;
mod repeats;
pub mod reply;
pub mod routes;
pub mod server;
pub mod shown;

pub use app::{Access, App};
pub use auth::AuthKeys;
pub use cors::Cors;
pub use live::Live;
pub use metrics::Metrics;
pub use rates::{RateLimit, Rates};
pub use server::run;

#[cfg(test)]
mod tests;
