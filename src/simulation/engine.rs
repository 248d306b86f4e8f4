//! One event after the other: requests come, tokens come, time runs out, replicas die and return. Each
//! request makes its attempts as the gateway does: another target behind a failure, once more where that
//! is proven, and one that is not only as far as the allowance for further attempts goes.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::Options;
use super::replica::{self, Behaviour, DEAD_FOR, DIES_EVERY, FAILS, Replica, Visit};
use super::requests::{Allowance, Live, Outcome, Stage};
use super::traffic::Traffic;
use crate::config::{Policy, Price, Retries, Routing};
use crate::routing::{Fault, Fleet, NoTarget, Pick};

/// How long a refused connection and a refused request take.
const REFUSED_AFTER: Duration = Duration::from_millis(1);
const FAILED_AFTER: Duration = Duration::from_millis(20);
/// Before a request goes out again where there is nobody else.
const PAUSE_MILLISECONDS: std::ops::Range<u64> = 100..300;
/// So long a request waits for a target with room.
const PATIENCE: Duration = Duration::from_secs(60);

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Comes(usize),
    Begins(Visit),
    Ends(Visit),
    /// At once, and whether nobody was there at all.
    Fails(Visit, bool),
    /// No first token in time.
    Late(Visit),
    Again(Visit),
    LosesPatience(Visit),
    Probe(usize),
    Dies(usize),
    Returns(usize),
}

/// A run under way.
pub struct Engine<'a> {
    traffic: &'a Traffic,
    first_token_timeout: Duration,
    probe_every: Duration,
    retries: Retries,
    fleet: Arc<Fleet>,
    replicas: Vec<Replica>,
    prices: Vec<Price>,
    lives: Vec<Live>,
    /// Requests that wait for a target with room.
    queue: VecDeque<usize>,
    events: BinaryHeap<Reverse<(Duration, u64, Event)>>,
    number: u64,
    base: Instant,
    /// Since the base.
    now: Duration,
    left: usize,
    allowance: Allowance,
    rng: StdRng,
    outcome: Outcome,
}

impl<'a> Engine<'a> {
    pub fn new(
        options: &Options,
        policy: Policy,
        fleet: &[Behaviour],
        traffic: &'a Traffic,
    ) -> Self {
        let base = Instant::now();
        let targets: Vec<_> = (0..fleet.len()).map(replica::target).collect();
        let routing = Routing { policy, ..Routing::default() };
        let mut engine = Self {
            traffic,
            first_token_timeout: options.first_token_timeout,
            probe_every: options.probe_every.max(Duration::from_millis(1)),
            retries: options.retries.clone(),
            fleet: Fleet::new(&targets, &routing, options.ejection.clone(), options.seed, base),
            replicas: fleet.iter().map(|behaviour| Replica::new(*behaviour)).collect(),
            prices: targets.iter().map(|target| target.price).collect(),
            lives: traffic.requests.iter().map(|_| Live::default()).collect(),
            queue: VecDeque::new(),
            events: BinaryHeap::new(),
            number: 0,
            base,
            now: Duration::ZERO,
            left: traffic.requests.len(),
            allowance: Allowance::new(options.retries.budget_percent),
            rng: StdRng::seed_from_u64(options.seed),
            outcome: Outcome { requests: traffic.requests.len(), ..Outcome::default() },
        };
        engine.set_up();
        engine
    }

    /// Runs until all requests are over.
    pub fn run(mut self) -> Outcome {
        while self.left > 0
            && let Some(Reverse((at, _, event))) = self.events.pop()
        {
            self.now = at;
            self.happens(event);
        }
        let mut outcome = self.outcome;
        outcome.lasted = self.now;
        outcome.asked = self.replicas.iter().map(|replica| replica.asked).collect();
        outcome.first_tokens.sort_unstable();
        outcome.back_after.sort_unstable();
        outcome
    }

    /// The first request, the probes, and the deaths, each spread over its period.
    fn set_up(&mut self) {
        let last = self.traffic.requests.last().map_or(Duration::ZERO, |asked| asked.at);
        let first_death = DIES_EVERY.min(last.mul_f64(0.5));
        if let Some(first) = self.traffic.requests.first() {
            self.plan(first.at, Event::Comes(0));
        }
        for place in 0..self.replicas.len() {
            let at = self.probe_every.mul_f64(self.rng.random());
            self.plan(at, Event::Probe(place));
            if self.replicas[place].behaviour == Behaviour::Dies {
                let at = first_death.mul_f64(self.rng.random_range(0.1..1.0));
                self.plan(at, Event::Dies(place));
            }
        }
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Comes(request) => self.come(request),
            Event::Again(visit) if self.is_at(visit, Stage::Queued) => self.seek(visit.0),
            Event::LosesPatience(visit) if self.is_at(visit, Stage::Queued) => {
                self.end(visit.0, |outcome| outcome.errors += 1);
            }
            Event::Begins(visit) if self.is_at(visit, Stage::Asked) => self.begin(visit),
            Event::Ends(visit) if self.is_at(visit, Stage::Begun) => self.complete(visit),
            Event::Fails(visit, is_gone) if self.is_at(visit, Stage::Asked) => {
                self.fail(visit, is_gone);
            }
            Event::Late(visit) if self.is_at(visit, Stage::Asked) => self.fail(visit, false),
            Event::Probe(place) => {
                let found = !self.replicas[place].is_dead;
                self.fleet.probed(place, found, self.time());
                self.after(self.probe_every, Event::Probe(place));
            }
            Event::Dies(place) => self.die(place),
            Event::Returns(place) => {
                self.replicas[place].is_dead = false;
                self.replicas[place].back = Some(self.now);
            }
            // Of an attempt that is over.
            _ => {}
        }
    }

    fn come(&mut self, request: usize) {
        if let Some(next) = self.traffic.requests.get(request + 1) {
            self.plan(next.at, Event::Comes(request + 1));
        }
        self.allowance.earn();
        self.after(PATIENCE, Event::LosesPatience((request, 0)));
        self.seek(request);
    }

    /// Looks for a target.
    fn seek(&mut self, request: usize) {
        match self.pick(request) {
            Ok(pick) => self.ask(request, pick),
            Err(NoTarget::Busy) => self.queue.push_back(request),
            Err(_) => self.end(request, |outcome| outcome.errors += 1),
        }
    }

    fn pick(&mut self, request: usize) -> Result<Pick, NoTarget> {
        let (need, tried) = (&self.traffic.requests[request].need, &self.lives[request].tried);
        let begun = Instant::now();
        let pick = self.fleet.pick(need, tried, self.base + self.now);
        self.outcome.picking += begun.elapsed();
        self.outcome.picks += 1;
        pick
    }

    fn ask(&mut self, request: usize, pick: Pick) {
        let place = pick.target();
        let live = &mut self.lives[request];
        live.attempts += 1;
        (live.pick, live.state) = (Some(pick), Stage::Asked);
        let visit = (request, live.attempts);
        self.outcome.attempts += 1;
        let replica = &mut self.replicas[place];
        replica.asked += 1;
        if let Some(back) = replica.back.take() {
            self.outcome.back_after.push(self.now.saturating_sub(back));
        }
        let (is_dead, behaviour) = (replica.is_dead, replica.behaviour);
        if is_dead {
            self.after(REFUSED_AFTER, Event::Fails(visit, true));
        } else if behaviour == Behaviour::Fails && self.rng.random_bool(FAILS) {
            self.after(FAILED_AFTER, Event::Fails(visit, false));
        } else {
            self.after(self.first_token_timeout, Event::Late(visit));
            if behaviour != Behaviour::Hangs {
                self.replicas[place].queue(visit);
                self.work(place);
            }
        }
    }

    /// A replica begins with what it has a slot for.
    fn work(&mut self, place: usize) {
        while let Some(visit) = self.replicas[place].next() {
            let asked = &self.traffic.requests[visit.0];
            let (time, cached) = self.replicas[place].first_token(asked, &mut self.rng);
            self.outcome.cached_tokens += u64::from(cached);
            self.outcome.prompt_tokens += u64::from(asked.need.prompt_tokens);
            self.after(time, Event::Begins(visit));
        }
    }

    fn begin(&mut self, visit: Visit) {
        let now = self.time();
        let asked = &self.traffic.requests[visit.0];
        let live = &mut self.lives[visit.0];
        live.state = Stage::Begun;
        let Some(pick) = &mut live.pick else { return };
        pick.begun(now);
        let rest = self.replicas[pick.target()].rest(asked);
        self.outcome.first_tokens.push(self.now.saturating_sub(asked.at));
        self.after(rest, Event::Ends(visit));
    }

    fn complete(&mut self, visit: Visit) {
        let now = self.time();
        let Some(mut pick) = self.lives[visit.0].pick.take() else { return };
        pick.succeeded(now);
        let (place, asked) = (pick.target(), &self.traffic.requests[visit.0]);
        let price = self.prices[place];
        self.outcome.cost += u128::from(price.input_micros) * u128::from(asked.need.prompt_tokens)
            + u128::from(price.output_micros) * u128::from(asked.answer_tokens);
        self.replicas[place].leave(visit);
        self.work(place);
        self.let_go(pick);
        self.end(visit.0, |_| {});
    }

    /// An attempt came to nothing: another target, or the same again, or an error.
    fn fail(&mut self, visit: Visit, is_gone: bool) {
        let (request, made) = visit;
        let Some(mut pick) = self.lives[request].pick.take() else { return };
        pick.failed(self.time(), Fault::Failed);
        let place = pick.target();
        self.replicas[place].leave(visit);
        self.work(place);
        self.lives[request].state = Stage::Queued;
        self.lives[request].tried.push(place);
        match self.pick(request) {
            Ok(other) if self.may_fail_over(made, other.is_proven(self.time())) => {
                self.ask(request, other);
                self.let_go(pick);
                return;
            }
            Ok(other) => self.let_go(other),
            Err(NoTarget::Busy) if self.may_fail_over(made, false) => {
                self.queue.push_back(request);
                self.let_go(pick);
                return;
            }
            Err(_) => {}
        }
        self.let_go(pick);
        // What was not even reached may be asked again.
        if is_gone && made < self.retries.max_attempts && self.allowance.spend() {
            self.lives[request].tried.clear();
            let pause = Duration::from_millis(self.rng.random_range(PAUSE_MILLISECONDS));
            self.after(pause, Event::Again((request, made)));
        } else {
            self.end(request, |outcome| outcome.errors += 1);
        }
    }

    fn may_fail_over(&mut self, made: u32, is_proven: bool) -> bool {
        let Retries { max_attempts, proven_attempts, .. } = self.retries;
        if is_proven {
            return made < max_attempts.saturating_add(proven_attempts);
        }
        made < max_attempts && self.allowance.spend()
    }

    fn die(&mut self, place: usize) {
        for visit in self.replicas[place].die() {
            if self.is_at(visit, Stage::Asked) {
                self.fail(visit, true);
            } else if let Some(mut pick) = self.lives[visit.0].pick.take() {
                pick.failed(self.time(), Fault::Failed);
                self.let_go(pick);
                self.end(visit.0, |outcome| outcome.cut += 1);
            }
        }
        self.after(DEAD_FOR, Event::Returns(place));
        self.after(DIES_EVERY, Event::Dies(place));
    }

    /// A target has done with a request: the next that waits may have its room.
    fn let_go(&mut self, pick: Pick) {
        drop(pick);
        while let Some(request) = self.queue.pop_front() {
            if self.lives[request].state != Stage::Queued {
                continue;
            }
            match self.pick(request) {
                Ok(pick) => self.ask(request, pick),
                Err(NoTarget::Busy) => {
                    self.queue.push_front(request);
                    return;
                }
                Err(_) => self.end(request, |outcome| outcome.errors += 1),
            }
        }
    }

    fn end(&mut self, request: usize, count: impl FnOnce(&mut Outcome)) {
        if std::mem::replace(&mut self.lives[request].state, Stage::Over) != Stage::Over {
            self.left -= 1;
            count(&mut self.outcome);
        }
    }

    /// Whether a request is there, with that attempt.
    fn is_at(&self, (request, attempt): Visit, stage: Stage) -> bool {
        let live = &self.lives[request];
        live.state == stage && live.attempts == attempt
    }

    fn time(&self) -> Instant {
        self.base + self.now
    }

    fn after(&mut self, time: Duration, event: Event) {
        self.plan(self.now + time, event);
    }

    fn plan(&mut self, at: Duration, event: Event) {
        self.number += 1;
        self.events.push(Reverse((at, self.number, event)));
    }
}
