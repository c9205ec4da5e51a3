//! The places of listeners: so many in all, and for one key so many of these, so that no key keeps
//! everybody else from listening. The key of the data directory has no such bound: its owner runs
//! the server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use spark_events::{KeyId, limits};

use crate::error::ApiError;

/// Who has a place.
#[derive(Debug, Clone, Default)]
pub(super) struct Seats(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// Of each key that has any.
    of: HashMap<KeyId, usize>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Seats,
    key: Option<KeyId>,
}

impl Seats {
    /// A place for a listener with this key; `None` is the one of the data directory.
    ///
    /// # Errors
    /// `TooManyListeners` when there is none.
    pub(super) fn take(&self, key: Option<KeyId>) -> Result<Seat, ApiError> {
        let mut taken = self.taken();
        if taken.all >= limits::LISTENERS_MAX {
            return Err(ApiError::TooManyListeners(limits::LISTENERS_MAX, ""));
        }
        if let Some(key) = key {
            let count = taken.of.entry(key).or_default();
            if *count >= limits::LISTENERS_EACH_MAX {
                let max = limits::LISTENERS_EACH_MAX;
                return Err(ApiError::TooManyListeners(max, " with this API key"));
            }
            *count += 1;
        }
        taken.all += 1;
        Ok(Seat { seats: self.clone(), key })
    }

    /// How many are taken.
    pub(super) fn count(&self) -> usize {
        self.taken().all
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        taken.all -= 1;
        if let Some(key) = self.key
            && let Some(count) = taken.of.get_mut(&key)
        {
            *count -= 1;
            if *count == 0 {
                taken.of.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_takes_every_place_and_a_place_that_is_left_is_free() {
        let seats = Seats::default();
        let (one, other) = (KeyId::random(), KeyId::random());
        let mut of_one: Vec<Seat> =
            (0..limits::LISTENERS_EACH_MAX).map(|_| seats.take(Some(one)).unwrap()).collect();
        let refused = seats.take(Some(one)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "256 clients with this API key listen to events already, which is the most"
        );
        drop(seats.take(Some(other)).unwrap());
        of_one.pop();
        of_one.push(seats.take(Some(one)).unwrap());
        // The owner of the machine may take all that are left.
        let left = limits::LISTENERS_MAX - limits::LISTENERS_EACH_MAX;
        let own: Vec<Seat> = (0..left).map(|_| seats.take(None).unwrap()).collect();
        assert_eq!(
            seats.take(None).unwrap_err().to_string(),
            "2048 clients listen to events already, which is the most"
        );
        drop((of_one, own));
        assert_eq!(seats.count(), 0);
        assert!(seats.taken().of.is_empty());
    }
}
