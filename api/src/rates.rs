//! How often a caller may ask: a token bucket for each named key, and one for the wrong keys of each
//! peer address. Bounded memory; nothing here is stored.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use spark_events::KeyId;
use spark_events::limits::{
    AUTH_FAILURES_BURST, AUTH_FAILURES_PER_MINUTE, RATE_BUCKETS_MAX, RATE_BURST_DEFAULT,
    RATE_DEFAULT, RATE_MAX,
};
use tokio::time::Instant;

/// How many requests a named key may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateLimit {
    /// As many as it likes.
    Off,
    /// So many a second, and so many at once after a pause.
    Every {
        /// Requests a second, at least 1.
        per_s: u32,
        /// Requests at once, at least 1.
        burst: u32,
    },
}

impl Default for RateLimit {
    fn default() -> Self {
        Self::Every { per_s: RATE_DEFAULT, burst: RATE_BURST_DEFAULT }
    }
}

/// A text that is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no rate; write requests a second (200), with how many may come at once after a pause \
     (200/400), each from 1 to {max}, or off",
    max = RATE_MAX
)]
pub struct BadRate(String);

impl FromStr for RateLimit {
    type Err = BadRate;

    fn from_str(text: &str) -> Result<Self, BadRate> {
        let text = text.trim();
        if text == "off" {
            return Ok(Self::Off);
        }
        let number = |text: &str| text.trim().parse().ok().filter(|n| (1..=RATE_MAX).contains(n));
        let read = match text.split_once('/') {
            Some((per_s, burst)) => number(per_s).zip(number(burst)),
            None => number(text).map(|per_s| (per_s, per_s.saturating_mul(2).min(RATE_MAX))),
        };
        let bad = || BadRate(text.chars().take(50).collect());
        read.map(|(per_s, burst)| Self::Every { per_s, burst }).ok_or_else(bad)
    }
}

/// What is left of what somebody may do at once.
struct Bucket {
    tokens: f64,
    at: Instant,
}

/// Buckets that fill at one speed.
struct Buckets<K> {
    per_s: f64,
    burst: f64,
    of: Mutex<HashMap<K, Bucket>>,
}

impl<K: Hash + Eq> Buckets<K> {
    fn new(per_s: f64, burst: u32) -> Self {
        Self { per_s, burst: f64::from(burst), of: Mutex::default() }
    }

    fn filled(&self, bucket: &Bucket, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        (bucket.tokens + passed * self.per_s).min(self.burst)
    }

    /// How many seconds until there is a whole token, rounded up.
    fn wait_s(&self, tokens: f64) -> u64 {
        let seconds = ((1.0 - tokens) / self.per_s).ceil().max(1.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is a whole number from 1 to at most a minute or so"
        )]
        let seconds = seconds as u64;
        seconds
    }

    /// Takes a token, or tells in how many seconds there is one.
    fn take(&self, key: K, now: Instant) -> Result<(), u64> {
        let mut buckets = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= RATE_BUCKETS_MAX && !buckets.contains_key(&key) {
            // Whoever has a full bucket is as if never seen. Where that frees nothing, all begin
            // anew: memory is bounded first.
            buckets.retain(|_, bucket| self.filled(bucket, now) < self.burst);
            if buckets.len() >= RATE_BUCKETS_MAX {
                buckets.clear();
            }
        }
        let bucket = buckets.entry(key).or_insert(Bucket { tokens: self.burst, at: now });
        let tokens = self.filled(bucket, now);
        if tokens < 1.0 {
            return Err(self.wait_s(tokens));
        }
        *bucket = Bucket { tokens: tokens - 1.0, at: now };
        Ok(())
    }

    /// The same without taking one.
    fn look(&self, key: &K, now: Instant) -> Result<(), u64> {
        let buckets = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        let tokens = buckets.get(key).map_or(self.burst, |bucket| self.filled(bucket, now));
        if tokens < 1.0 { Err(self.wait_s(tokens)) } else { Ok(()) }
    }
}

/// Everything that is limited.
pub struct Rates {
    limit: RateLimit,
    keys: Option<Buckets<KeyId>>,
    failures: Buckets<IpAddr>,
}

impl std::fmt::Debug for Rates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Rates").field(&self.limit).finish()
    }
}

impl Default for Rates {
    fn default() -> Self {
        Self::new(RateLimit::default())
    }
}

impl Rates {
    /// With a limit for each named key. Wrong keys are limited in any case.
    #[must_use]
    pub fn new(limit: RateLimit) -> Self {
        let keys = match limit {
            RateLimit::Off => None,
            RateLimit::Every { per_s, burst } => Some(Buckets::new(f64::from(per_s), burst)),
        };
        let per_s = f64::from(AUTH_FAILURES_PER_MINUTE) / 60.0;
        Self { limit, keys, failures: Buckets::new(per_s, AUTH_FAILURES_BURST) }
    }

    /// A request with a named key.
    ///
    /// # Errors
    /// In how many seconds to come back.
    pub(crate) fn ask(&self, key: KeyId) -> Result<(), u64> {
        self.keys.as_ref().map_or(Ok(()), |keys| keys.take(key, Instant::now()))
    }

    /// Whether a peer has sent too many wrong keys to be heard now, even with a right one: else a
    /// guess would cost nothing. This machine itself is always heard.
    ///
    /// # Errors
    /// In how many seconds to come back.
    pub(crate) fn hear(&self, peer: Option<IpAddr>) -> Result<(), u64> {
        stranger(peer).map_or(Ok(()), |peer| self.failures.look(&peer, Instant::now()))
    }

    /// A request with a wrong key. This machine itself is told that the key is wrong however often
    /// it asks: everybody behind a proxy on it would have to wait for one of them.
    ///
    /// # Errors
    /// In how many seconds to come back.
    pub(crate) fn fail(&self, peer: Option<IpAddr>) -> Result<(), u64> {
        stranger(peer).map_or(Ok(()), |peer| self.failures.take(peer, Instant::now()))
    }
}

/// Whose wrong keys are counted: those of a network that is not this machine.
fn stranger(peer: Option<IpAddr>) -> Option<IpAddr> {
    peer.filter(|peer| !peer.to_canonical().is_loopback()).map(network)
}

/// Whom an address belongs to: of IPv6, everybody has a network of 64 bits at least.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(peer) => IpAddr::V4(peer),
        IpAddr::V6(peer) => IpAddr::V6(Ipv6Addr::from_bits(peer.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_rate_is_a_number_with_or_without_a_burst() {
        let every = |per_s, burst| Ok(RateLimit::Every { per_s, burst });
        assert_eq!("200".parse(), every(200, 400));
        assert_eq!(" 5 / 7 ".parse(), every(5, 7));
        assert_eq!("off".parse(), Ok(RateLimit::Off));
        for bad in ["", "0", "-1", "5/0", "5/", "many", "1.5", "99999999"] {
            assert!(bad.parse::<RateLimit>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_bucket_empties_and_fills_with_time() {
        let buckets = Buckets::new(2.0, 3);
        let now = Instant::now();
        let taken: Vec<_> = (0..4).map(|_| buckets.take("a", now)).collect();
        assert_eq!(taken, [Ok(()), Ok(()), Ok(()), Err(1)]);
        assert_eq!(buckets.take("b", now), Ok(()), "each has one of its own");
        let later = now + Duration::from_millis(500);
        assert_eq!([buckets.take("a", later), buckets.take("a", later)], [Ok(()), Err(1)]);
        let much_later = now + Duration::from_secs(3_600);
        assert_eq!(buckets.look(&"a", much_later), Ok(()));
        let taken = (0..9).filter(|_| buckets.take("a", much_later).is_ok()).count();
        assert_eq!(taken, 3, "it is never fuller than full");
    }

    #[test]
    fn memory_is_bounded() {
        let buckets = Buckets::new(1.0, 2);
        let now = Instant::now();
        for n in 0..RATE_BUCKETS_MAX * 2 + 10 {
            assert_eq!(buckets.take(n, now), Ok(()));
        }
        assert!(buckets.of.lock().unwrap().len() <= RATE_BUCKETS_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_with_many_wrong_keys_is_not_heard_but_this_machine_is() {
        let rates = Rates::default();
        let far: IpAddr = "192.0.2.7".parse().unwrap();
        let near: IpAddr = "127.0.0.1".parse().unwrap();
        for peer in [far, near] {
            for _ in 0..AUTH_FAILURES_BURST {
                assert_eq!(rates.fail(Some(peer)), Ok(()));
            }
        }
        assert!(rates.fail(Some(far)).is_err());
        assert_eq!(rates.fail(Some(near)), Ok(()));
        let wait = rates.hear(Some(far)).unwrap_err();
        assert_eq!(rates.hear(Some(near)), Ok(()));
        assert_eq!(rates.hear(Some("192.0.2.8".parse().unwrap())), Ok(()));
        assert_eq!(rates.hear(None), Ok(()));
        tokio::time::advance(Duration::from_secs(wait)).await;
        assert_eq!(rates.hear(Some(far)), Ok(()));
    }

    #[test]
    fn an_ipv6_caller_is_a_network() {
        let network = |text: &str| super::network(text.parse().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::2"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:192.0.2.7"), network("192.0.2.7"));
    }
}
