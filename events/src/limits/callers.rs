//! The bounds of those who call the API: their connections, requests, keys and rates.

/// How long the answer to a request under an idempotency key is remembered. Tasks that are made
/// under one are remembered for ever.
pub const REQUEST_REMEMBERED_MS: u64 = 24 * 3_600_000;
/// The largest answer that is remembered whole.
pub const ANSWER_REMEMBERED_BYTES_MAX: usize = 64 * 1024;
/// How often the use of an API key is recorded at most.
pub const KEY_USE_EVERY_MS: u64 = 3_600_000;
/// API keys that are taken at once; a further one is refused.
pub const KEYS_MAX: usize = 1_000;
/// Revoked API keys whose holders are told so; older ones are told that their key is wrong.
pub const KEYS_REVOKED_KEPT_MAX: usize = 10_000;
/// Characters of an API key's secret by which its holder can tell it.
pub const KEY_HINT_CHARS: usize = 4;
/// Connections that the API serves at once; a further one waits to be accepted. A connection has at
/// most one request under way, so this bounds requests too.
pub const CONNECTIONS_MAX: usize = 4_096;
/// How long a connection may stay silent between requests, or take for a request's head.
pub const CONNECTION_IDLE_MS_MAX: u64 = 75_000;
/// How long the other side of a connection may take nothing of what it is sent.
pub const CONNECTION_STALLED_MS_MAX: u64 = 60_000;
/// The largest head (request line and header fields) of an API request.
pub const REQUEST_HEAD_BYTES_MAX: usize = 64 * 1024;
/// How long the body of an API request may take to arrive.
pub const REQUEST_BODY_MS_MAX: u64 = 30_000;
/// How long open API requests may take to end at shutdown.
pub const API_DRAIN_MS_MAX: u64 = 10_000;
/// The longest `X-Request-Id` that is taken from a caller.
pub const REQUEST_ID_BYTES_MAX: usize = 128;
/// The longest `Idempotency-Key`.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
/// Requests a second that a named key may send unless it is said otherwise.
pub const RATE_DEFAULT: u32 = 200;
/// Requests that a named key may send at once after a pause unless it is said otherwise.
pub const RATE_BURST_DEFAULT: u32 = 400;
/// The highest rate, and the most at once, that can be set.
pub const RATE_MAX: u32 = 1_000_000;
/// Callers whose rate is kept in mind at once.
pub const RATE_BUCKETS_MAX: usize = 10_000;
/// Wrong API keys that a peer may send at once.
pub const AUTH_FAILURES_BURST: u32 = 20;
/// Wrong API keys that a peer may send in a minute for long.
pub const AUTH_FAILURES_PER_MINUTE: u32 = 20;
