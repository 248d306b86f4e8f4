//! The keys of one target: whose turn it is, and which are left alone for a while.
//!
//! Plain logic: the time is handed in. A key that is alone is always used: there is no other.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::config::{Ejection, Secret};
use crate::telemetry::KeyFault;

/// The keys of one target, shared by all workers.
pub struct KeyPool {
    keys: Box<[Secret]>,
    /// A key that has used up what it may ask is left alone for so long, where nobody says how long.
    usual: Duration,
    /// No key is left alone for longer; one that is not accepted, for so long.
    longest: Duration,
    state: Mutex<State>,
}

struct State {
    /// The key whose turn is next; and the same for questions that cost nothing, which take nobody's turn.
    next: usize,
    next_question: usize,
    /// In the order of the keys.
    of: Box<[KeyState]>,
}

#[derive(Debug, Clone, Copy, Default)]
struct KeyState {
    cools: Option<Cooling>,
    /// It was not accepted the last time.
    is_unauthorized: bool,
}

#[derive(Debug, Clone, Copy)]
struct Cooling {
    until: Instant,
    why: KeyFault,
}

/// All keys are left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exhausted {
    /// Until the first of them is used again.
    pub pause: Duration,
    /// Why that one is not.
    pub why: KeyFault,
}

/// What a refusal has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The key was used until now.
    pub is_new: bool,
    /// It had been accepted until now, as far as is known.
    pub was_accepted: bool,
}

impl KeyPool {
    /// The keys are left alone as long as a target would be.
    #[must_use]
    pub fn new(keys: &[Secret], rules: &Ejection) -> Self {
        let state =
            State { next: 0, next_question: 0, of: vec![KeyState::default(); keys.len()].into() };
        let (usual, longest) = (rules.open, rules.max_open);
        Self { keys: keys.into(), usual, longest, state: Mutex::new(state) }
    }

    #[must_use]
    pub fn all(&self) -> &[Secret] {
        &self.keys
    }

    /// Whether there is a choice.
    #[must_use]
    pub fn has_several(&self) -> bool {
        self.keys.len() > 1
    }

    /// How many are left alone now.
    #[must_use]
    pub fn cooling(&self, now: Instant) -> usize {
        self.lock().of.iter().filter(|key| key.cools_at(now).is_some()).count()
    }

    /// The place of the key whose turn it is; nothing where there are none.
    ///
    /// # Errors
    /// When all are left alone.
    pub fn take(&self, now: Instant) -> Result<Option<usize>, Exhausted> {
        if !self.has_several() {
            return Ok(self.keys.first().map(|_| 0));
        }
        let mut state = self.lock();
        let key = state.free_from(state.next, now).ok_or_else(|| state.exhausted(now))?;
        state.next = state.behind(key);
        Ok(Some(key))
    }

    /// The place of a key for a question that costs nothing: one that is left alone only where all are.
    #[must_use]
    pub fn take_any(&self, now: Instant) -> Option<usize> {
        let mut state = self.lock();
        let soonest = |state: &State| {
            let all = state.of.iter().enumerate();
            let soonest = all.min_by_key(|(_, key)| key.cools.map(|cooling| cooling.until));
            soonest.map(|(key, _)| key)
        };
        let key = state.free_from(state.next_question, now).or_else(|| soonest(&state))?;
        state.next_question = state.behind(key);
        Some(key)
    }

    /// Whether another key than this one is used now.
    #[must_use]
    pub fn has_other(&self, key: usize, now: Instant) -> bool {
        let state = self.lock();
        state.of.iter().enumerate().any(|(other, state)| other != key && state.is_free(now))
    }

    /// How long it takes until any key is used again; nothing while one is.
    #[must_use]
    pub fn frees_in(&self, now: Instant) -> Duration {
        let state = self.lock();
        if state.of.iter().any(|key| key.is_free(now)) {
            return Duration::ZERO;
        }
        state.exhausted(now).pause
    }

    /// A request with this key was taken. Gives whether the key had not been accepted before.
    pub fn accepted(&self, key: usize) -> bool {
        let mut state = self.lock();
        state.of.get_mut(key).is_some_and(|key| std::mem::take(&mut key.is_unauthorized))
    }

    /// A request was refused because of its key, which is left alone: for `pause`, if the upstream
    /// named one.
    pub fn refused(
        &self,
        key: usize,
        why: KeyFault,
        pause: Option<Duration>,
        now: Instant,
    ) -> Change {
        let mut state = self.lock();
        let Some(key) = state.of.get_mut(key) else {
            return Change { is_new: false, was_accepted: false };
        };
        let pause = match why {
            KeyFault::RateLimited => pause.unwrap_or(self.usual).min(self.longest),
            KeyFault::Unauthorized => self.longest,
        };
        let until = now + pause;
        let change = Change {
            is_new: key.is_free(now) && until > now,
            was_accepted: why == KeyFault::Unauthorized && !key.is_unauthorized,
        };
        key.is_unauthorized |= why == KeyFault::Unauthorized;
        // Requests that were under way, and probes, do not make it longer for one that is refused anyway.
        match key.cools_at(now) {
            Some(cooling) if cooling.why == KeyFault::Unauthorized || cooling.until >= until => {}
            _ => key.cools = Some(Cooling { until, why }),
        }
        change
    }

    /// A panic elsewhere does not make it wrong: each change is one assignment.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The first key from there on that is used now.
    fn free_from(&self, first: usize, now: Instant) -> Option<usize> {
        let mut turns = (first..self.of.len()).chain(0..first);
        turns.find(|key| self.of.get(*key).is_some_and(|key| key.is_free(now)))
    }

    /// The place behind that of a key.
    fn behind(&self, key: usize) -> usize {
        if key + 1 < self.of.len() { key + 1 } else { 0 }
    }

    fn exhausted(&self, now: Instant) -> Exhausted {
        let cooling = self.of.iter().filter_map(|key| key.cools_at(now));
        let soonest = cooling.min_by_key(|cooling| cooling.until);
        soonest.map_or(Exhausted { pause: Duration::ZERO, why: KeyFault::RateLimited }, |cooling| {
            let pause = cooling.until.saturating_duration_since(now);
            Exhausted { pause, why: cooling.why }
        })
    }
}

impl KeyState {
    fn cools_at(&self, now: Instant) -> Option<Cooling> {
        self.cools.filter(|cooling| now < cooling.until)
    }

    fn is_free(&self, now: Instant) -> bool {
        self.cools_at(now).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pool(count: usize) -> KeyPool {
        let keys: Vec<_> = (0..count).map(|key| Secret::new(format!("key-{key}"))).collect();
        let rules = Ejection { open: 5 * SECOND, max_open: 60 * SECOND, ..Ejection::default() };
        KeyPool::new(&keys, &rules)
    }

    fn limited(pool: &KeyPool, key: usize, seconds: Option<u32>, now: Instant) -> Change {
        pool.refused(key, KeyFault::RateLimited, seconds.map(|seconds| SECOND * seconds), now)
    }

    fn taken(pool: &KeyPool, times: usize, now: Instant) -> Vec<usize> {
        (0..times).map(|_| pool.take(now).unwrap().unwrap()).collect()
    }

    #[test]
    fn all_keys_have_their_turn_equally_often() {
        let (pool, now) = (pool(3), Instant::now());
        assert_eq!(taken(&pool, 6, now), [0, 1, 2, 0, 1, 2]);
        limited(&pool, 1, None, now);
        let next = taken(&pool, 100, now);
        assert_eq!(
            [0, 1, 2].map(|key| next.iter().filter(|found| **found == key).count()),
            [50, 0, 50]
        );
    }

    #[test]
    fn questions_go_round_and_take_no_turns() {
        let (pool, now) = (pool(3), Instant::now());
        for turn in [0, 1, 2, 0] {
            assert_eq!((pool.take_any(now), pool.take(now)), (Some(turn), Ok(Some(turn))));
            let more = [(); 3].map(|()| pool.take_any(now));
            assert!(more.iter().all(Option::is_some));
        }
    }

    #[test]
    fn one_key_is_always_used_and_none_is_none() {
        let now = Instant::now();
        let one = pool(1);
        one.refused(0, KeyFault::Unauthorized, None, now);
        assert_eq!(taken(&one, 2, now), [0, 0]);
        assert_eq!(pool(0).take(now), Ok(None));
        assert_eq!(pool(0).take_any(now), None);
    }

    #[test]
    fn a_key_is_left_alone_for_as_long_as_the_upstream_says_within_the_bound() {
        for (said, seconds) in [(None, 5), (Some(7), 7), (Some(3600), 60), (Some(1), 1)] {
            let (pool, now) = (pool(2), Instant::now());
            let change = limited(&pool, 0, said, now);
            assert!(change.is_new);
            let (before, then) = (now + SECOND * seconds / 10 * 9, now + SECOND * seconds);
            assert_eq!((pool.cooling(before), pool.cooling(then)), (1, 0), "{said:?}");
            assert_eq!(taken(&pool, 2, before), [1, 1]);
            assert_eq!(taken(&pool, 2, then), [0, 1]);
        }
    }

    #[test]
    fn a_moment_of_nothing_is_no_time_to_be_left_alone_for() {
        let (pool, now) = (pool(2), Instant::now());
        assert!(!limited(&pool, 0, Some(0), now).is_new);
        assert_eq!((pool.cooling(now), pool.has_other(0, now)), (0, true));
    }

    #[test]
    fn one_that_is_not_accepted_is_left_alone_for_longest_and_told_once() {
        let (pool, now) = (pool(2), Instant::now());
        let refused = |at| pool.refused(0, KeyFault::Unauthorized, None, at);
        assert_eq!(refused(now), Change { is_new: true, was_accepted: true });
        assert_eq!(refused(now + SECOND), Change { is_new: false, was_accepted: false });
        assert_eq!(pool.cooling(now + 59 * SECOND), 1);
        let later = now + 60 * SECOND;
        assert_eq!(pool.cooling(later), 0, "those under way do not make it longer");
        assert_eq!(refused(later), Change { is_new: true, was_accepted: false });
        assert!(pool.accepted(0) && !pool.accepted(0) && !pool.accepted(1));
        assert!(refused(later + 60 * SECOND).was_accepted);
    }

    #[test]
    fn when_all_are_left_alone_the_soonest_says_for_how_long_and_why() {
        let (pool, now) = (pool(3), Instant::now());
        limited(&pool, 0, Some(9), now);
        assert!(pool.has_other(0, now));
        limited(&pool, 1, Some(7), now);
        pool.refused(2, KeyFault::Unauthorized, None, now);
        assert!(!pool.has_other(0, now));
        let at = now + SECOND;
        let why = KeyFault::RateLimited;
        assert_eq!(pool.take(at), Err(Exhausted { pause: 6 * SECOND, why }));
        assert_eq!((pool.frees_in(at), pool.take_any(at)), (6 * SECOND, Some(1)));
        assert_eq!(taken(&pool, 2, now + 7 * SECOND), [1, 1]);
    }
}
