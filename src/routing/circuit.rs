//! Whether a target is asked at all.
//!
//! Closed, a circuit lets every request pass. It opens when the target fails so often in a row, or in
//! so large a share of its last requests, that asking it is in vain. After a while it lets one request
//! through as a trial: if that goes well the circuit is closed, and the target gets its share back step
//! by step; else it is open for twice as long. A target that is only busy cools down for as long as it
//! says.

use std::time::{Duration, Instant};

use super::recent::{self, Recent};
use crate::config::Ejection;

/// A target that came back gets this part of its share at first.
const FIRST_SHARE: f64 = 0.1;

/// Whether a target is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CircuitState {
    /// Like any other.
    Closed,
    /// Not at all.
    Open,
    /// Once, to see whether it is back.
    HalfOpen,
    /// Not until it takes more.
    Cooling,
}

impl CircuitState {
    pub const ALL: [Self; 4] = [Self::Closed, Self::Open, Self::HalfOpen, Self::Cooling];

    /// As metrics and lists spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
            Self::Cooling => "cooling",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Instant },
    HalfOpen { on_trial: bool },
}

/// The circuit of one target.
#[derive(Debug, Clone)]
pub struct Circuit {
    state: State,
    /// It is busy until then.
    cools: Option<Instant>,
    in_a_row: u32,
    recent: Recent,
    /// How often it opened without having stayed closed for long.
    opened: u32,
    /// When it was closed again.
    back: Option<Instant>,
    /// When a request went well the last time, and how many did since one failed.
    proven: Option<Instant>,
    streak: u32,
    /// No probe has found it since one did not.
    missed: bool,
}

impl Default for Circuit {
    fn default() -> Self {
        Self {
            state: State::Closed,
            cools: None,
            in_a_row: 0,
            recent: Recent::default(),
            opened: 0,
            back: None,
            proven: None,
            streak: 0,
            missed: false,
        }
    }
}

impl Circuit {
    #[must_use]
    pub fn state(&self, now: Instant) -> CircuitState {
        match self.state {
            State::Open { until } if now < until => CircuitState::Open,
            State::Open { .. } | State::HalfOpen { .. } => CircuitState::HalfOpen,
            State::Closed if self.cools.is_some_and(|until| now < until) => CircuitState::Cooling,
            State::Closed => CircuitState::Closed,
        }
    }

    /// Whether a request may pass now.
    #[must_use]
    pub fn lets_pass(&self, now: Instant) -> bool {
        match self.state(now) {
            CircuitState::Closed => true,
            CircuitState::HalfOpen => self.state != State::HalfOpen { on_trial: true },
            CircuitState::Open | CircuitState::Cooling => false,
        }
    }

    /// When it may let something pass again, if it does not now.
    #[must_use]
    pub fn passes_at(&self, now: Instant) -> Option<Instant> {
        let open = match self.state {
            State::Open { until } => Some(until),
            _ => None,
        };
        open.max(self.cools).filter(|until| now < *until)
    }

    /// Which part of its share a target gets that came back not long ago.
    #[must_use]
    pub fn share(&self, now: Instant, rules: &Ejection) -> f64 {
        let Some(back) = self.back else { return 1.0 };
        let since = now.saturating_duration_since(back).as_secs_f64();
        (since / rules.slow_start.as_secs_f64()).clamp(FIRST_SHARE, 1.0)
    }

    /// Whether its last request went well, and not long ago.
    #[must_use]
    pub fn is_proven(&self, now: Instant) -> bool {
        let lately = |at: Instant| now.saturating_duration_since(at) < 2 * recent::HALF_LIFE;
        self.in_a_row == 0 && self.state == State::Closed && self.proven.is_some_and(lately)
    }

    /// How many requests went well since one failed, where that was not long ago.
    #[must_use]
    pub fn streak(&self, now: Instant) -> u32 {
        if self.is_proven(now) { self.streak } else { 0 }
    }

    /// The part of its requests that is to be expected to fail: little, where little is known.
    #[must_use]
    pub fn doubt(&self, now: Instant) -> f64 {
        self.recent.doubt(now)
    }

    /// The part of its last requests that failed, where there were enough of them.
    #[must_use]
    pub fn failing(&self, now: Instant) -> f64 {
        self.recent.share(now).unwrap_or(0.0)
    }

    /// A request goes out.
    pub fn begin(&mut self, now: Instant) {
        if self.state(now) == CircuitState::HalfOpen {
            self.state = State::HalfOpen { on_trial: true };
        }
    }

    /// A request that went out has come to nothing, through nobody's fault.
    pub fn abandon(&mut self) {
        if let State::HalfOpen { on_trial } = &mut self.state {
            *on_trial = false;
        }
    }

    /// An answer has begun: who gives one is there. A trial need not last until a long answer's end;
    /// should it break off, that is one more failure in a row.
    pub fn answered(&mut self, now: Instant) {
        self.streak = self.streak.saturating_add(1);
        self.proven = Some(now);
        if matches!(self.state, State::HalfOpen { .. }) {
            self.close(now);
        }
    }

    /// A request went well.
    pub fn succeed(&mut self, now: Instant, rules: &Ejection) {
        self.in_a_row = 0;
        self.recent.note(now, false);
        self.proven = Some(now);
        match self.state {
            State::Closed => {
                let steady = self
                    .back
                    .is_some_and(|back| now.saturating_duration_since(back) >= rules.max_open);
                if steady {
                    (self.opened, self.back) = (0, None);
                }
            }
            // The answer of a request from before it opened says nothing about now.
            State::Open { until } if now < until => {}
            State::Open { .. } | State::HalfOpen { .. } => self.close(now),
        }
    }

    /// A request failed; `may_open` says whether its share of failures may open the circuit.
    pub fn fail(&mut self, now: Instant, rules: &Ejection, may_open: bool) {
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.streak = 0;
        self.recent.note(now, true);
        let opens = match self.state {
            State::HalfOpen { .. } => true,
            State::Open { until } => now >= until,
            State::Closed => {
                let share = f64::from(rules.failure_percent) / 100.0;
                self.in_a_row >= rules.failures
                    || may_open && self.recent.share(now).is_some_and(|failing| failing >= share)
            }
        };
        if opens {
            self.open(now, rules);
        }
    }

    /// The target takes no more for a while; `pause` is its own word.
    pub fn cool(&mut self, now: Instant, rules: &Ejection, pause: Option<Duration>) {
        self.abandon();
        let pause = pause.unwrap_or(rules.open).min(rules.max_open);
        self.cools = self.cools.max(Some(now + pause));
    }

    /// A probe found the target, or did not. One that is found after it was not need not wait for its
    /// trial: it has come back. One that answers probes all the time, and not requests, waits. Gives
    /// whether that changed anything.
    pub fn probed(&mut self, now: Instant, found: bool, rules: &Ejection) -> bool {
        let is_back = std::mem::replace(&mut self.missed, !found) && found;
        match self.state {
            State::Closed if !found => self.fail(now, rules, false),
            State::Open { .. } if is_back => {
                self.state = State::HalfOpen { on_trial: false };
                self.opened = 0;
            }
            _ => return false,
        }
        true
    }

    /// A probe was refused a connection: nobody is there, and asking is in vain until one gets through.
    pub fn gone(&mut self, now: Instant, rules: &Ejection) {
        self.missed = true;
        match &mut self.state {
            State::Open { until } => *until = (*until).max(now + rules.open),
            State::Closed | State::HalfOpen { .. } => self.open(now, rules),
        }
    }

    fn close(&mut self, now: Instant) {
        self.state = State::Closed;
        self.back = Some(now);
        self.recent = Recent::default();
    }

    fn open(&mut self, now: Instant, rules: &Ejection) {
        let doubled = rules.open.saturating_mul(1 << self.opened.min(16));
        self.opened = self.opened.saturating_add(1);
        self.state = State::Open { until: now + doubled.min(rules.max_open) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rules() -> Ejection {
        Ejection { failures: 3, failure_percent: 20, open: 5 * SECOND, ..Ejection::default() }
    }

    fn failing(now: Instant) -> Circuit {
        let mut circuit = Circuit::default();
        (0..3).for_each(|_| circuit.fail(now, &rules(), true));
        circuit
    }

    #[test]
    fn so_many_failures_in_a_row_open_it() {
        let now = Instant::now();
        let mut circuit = Circuit::default();
        for (went_well, state) in [
            (false, CircuitState::Closed),
            (false, CircuitState::Closed),
            (true, CircuitState::Closed),
            (false, CircuitState::Closed),
            (false, CircuitState::Closed),
            (false, CircuitState::Open),
        ] {
            if went_well {
                circuit.succeed(now, &rules());
            } else {
                circuit.fail(now, &rules(), false);
            }
            assert_eq!(circuit.state(now), state);
        }
    }

    #[test]
    fn a_share_of_failures_opens_it_where_that_may_be() {
        let now = Instant::now();
        for may_open in [false, true] {
            let mut circuit = Circuit::default();
            for at in 0..20 {
                if at % 4 == 0 {
                    circuit.fail(now, &rules(), may_open);
                } else {
                    circuit.succeed(now, &rules());
                }
            }
            assert_eq!(circuit.state(now) == CircuitState::Open, may_open);
        }
    }

    #[test]
    fn old_failures_are_forgotten() {
        let now = Instant::now();
        let mut circuit = Circuit::default();
        for at in 0..60 {
            let now = now + SECOND * at;
            circuit.fail(now, &rules(), true);
            (0..9).for_each(|_| circuit.succeed(now, &rules()));
        }
        assert_eq!(circuit.state(now + 60 * SECOND), CircuitState::Closed, "10 of 100 fail");
        assert!(circuit.failing(now + 600 * SECOND).abs() < 1e-9, "nothing is known any more");
    }

    #[test]
    fn one_trial_decides_and_each_failed_one_doubles_the_time() {
        let now = Instant::now();
        let mut circuit = failing(now);
        assert!(!circuit.lets_pass(now + 4 * SECOND));
        assert_eq!(circuit.passes_at(now), Some(now + 5 * SECOND));
        let then = now + 5 * SECOND;
        assert!(circuit.lets_pass(then));
        circuit.begin(then);
        assert!(!circuit.lets_pass(then), "one at a time");
        circuit.abandon();
        assert!(circuit.lets_pass(then), "a trial that was given up is no trial");
        circuit.begin(then);
        circuit.fail(then, &rules(), false);
        assert_eq!(circuit.passes_at(then), Some(then + 10 * SECOND));
        let then = then + 10 * SECOND;
        circuit.begin(then);
        circuit.succeed(then, &rules());
        assert_eq!(circuit.state(then), CircuitState::Closed);
        assert!(circuit.share(then, &rules()) < 0.2, "it comes back slowly");
        assert!((circuit.share(then + 60 * SECOND, &rules()) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn answers_from_before_it_opened_change_nothing() {
        let now = Instant::now();
        let mut circuit = failing(now);
        circuit.succeed(now + SECOND, &rules());
        circuit.fail(now + SECOND, &rules(), true);
        assert_eq!(circuit.passes_at(now), Some(now + 5 * SECOND));
    }

    #[test]
    fn a_probe_that_finds_it_again_spares_the_wait_and_one_that_always_did_does_not() {
        let now = Instant::now();
        for was_gone in [true, false] {
            let mut circuit = failing(now);
            circuit.probed(now, !was_gone, &rules());
            circuit.probed(now + SECOND, true, &rules());
            assert_eq!(circuit.lets_pass(now + SECOND), was_gone);
            circuit.begin(now + SECOND);
            circuit.fail(now + SECOND, &rules(), false);
            circuit.probed(now + 2 * SECOND, true, &rules());
            assert!(!circuit.lets_pass(now + 2 * SECOND), "it answers probes, and not requests");
        }
    }

    #[test]
    fn one_that_is_gone_is_not_asked_until_a_probe_gets_through() {
        let now = Instant::now();
        let mut circuit = Circuit::default();
        for at in 0..20 {
            circuit.gone(now + at * 4 * SECOND, &rules());
            assert!(!circuit.lets_pass(now + (at * 4 + 4) * SECOND));
        }
        circuit.probed(now + 80 * SECOND, true, &rules());
        assert!(circuit.lets_pass(now + 80 * SECOND));
    }

    #[test]
    fn a_busy_target_cools_down_for_as_long_as_it_says_and_no_longer_than_the_bound() {
        let now = Instant::now();
        let mut circuit = Circuit::default();
        circuit.cool(now, &rules(), Some(2 * SECOND));
        assert_eq!(circuit.state(now), CircuitState::Cooling);
        assert!(circuit.lets_pass(now + 2 * SECOND));
        circuit.cool(now, &rules(), Some(Duration::from_secs(1_000_000_000)));
        assert_eq!(circuit.passes_at(now), Some(now + rules().max_open));
    }
}
