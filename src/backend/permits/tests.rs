//! The pool: permits are conserved, whoever comes, leaves, finishes or loses its turn.

use futures::FutureExt;
use prometheus::{Gauge, IntCounter, IntGauge};
use proptest::prelude::*;

use super::*;

fn gauges() -> PoolGauges {
    let gauge = |name: &str| IntGauge::new(name, "help").unwrap();
    PoolGauges {
        all: gauge("all"),
        in_use: gauge("in_use"),
        queued: gauge("queued"),
        by_class: [gauge("low"), gauge("normal"), gauge("high")],
        oldest: Gauge::new("oldest", "help").unwrap(),
        preemptions: IntCounter::new("preemptions", "help").unwrap(),
    }
}

fn pool(permits: usize, length: usize, preempt: bool) -> Arc<PermitPool> {
    let limits = QueueLimits { length, per_caller: length.max(1), preempt };
    PermitPool::new(permits, &limits, Weights::default(), gauges())
}

fn ask(pool: &Arc<PermitPool>, class: Priority) -> Acquired {
    pool.acquire(class, Party::Unknown, true)
}

fn now(acquired: Acquired) -> Permit {
    match acquired {
        Acquired::Now(permit) => permit,
        _ => panic!("a permit was free"),
    }
}

fn later(acquired: Acquired) -> Waiter {
    match acquired {
        Acquired::Later(waiter) => waiter,
        _ => panic!("a place in the queue was free"),
    }
}

fn turn(waiter: &mut Waiter) -> Option<Permit> {
    waiter.now_or_never().map(Result::unwrap)
}

fn give_way(permit: Permit) -> Waiter {
    permit.give_way().unwrap_or_else(|_| panic!("it was taken"))
}

/// Work that never ends, and whether it was dropped for another's sake.
fn is_taken(permit: &Permit) -> bool {
    let work = std::pin::pin!(std::future::pending::<()>());
    permit.unless_taken(work).now_or_never().is_some()
}

const LOW: Priority = Priority::Low;
const NORMAL: Priority = Priority::Normal;
const HIGH: Priority = Priority::High;

#[test]
fn permits_go_out_in_order_of_arrival() {
    let pool = pool(1, 2, false);
    let first = now(ask(&pool, NORMAL));
    let mut second = later(ask(&pool, NORMAL));
    let mut third = later(ask(&pool, NORMAL));
    let position = |waiter: &Waiter| waiter.standing().position;
    assert_eq!((position(&second), position(&third)), (1, 2));
    assert!(matches!(ask(&pool, NORMAL), Acquired::Full));
    drop(first);
    assert!(turn(&mut third).is_none());
    let permit = turn(&mut second).unwrap();
    drop(permit);
    assert!(turn(&mut third).is_some());
}

#[test]
fn nobodys_turn_comes_once_the_pool_is_closed() {
    let pool = pool(1, 1, false);
    let first = now(ask(&pool, NORMAL));
    let mut second = later(ask(&pool, NORMAL));
    pool.close();
    drop(first);
    assert!(turn(&mut second).is_none());
    drop(second);
    assert_eq!((pool.gauges.in_use.get(), pool.gauges.queued.get()), (0, 0));
}

#[test]
fn a_permit_sent_to_a_waiter_that_leaves_goes_to_the_next() {
    let pool = pool(1, 2, false);
    let first = now(ask(&pool, NORMAL));
    let second = later(ask(&pool, NORMAL));
    let mut third = later(ask(&pool, NORMAL));
    drop(first);
    drop(second);
    assert!(turn(&mut third).is_some());
    assert_eq!((pool.gauges.in_use.get(), pool.gauges.queued.get()), (0, 0));
}

#[test]
fn who_is_pushed_out_is_told_so_and_the_gauges_follow() {
    let pool = pool(1, 2, false);
    let _first = now(ask(&pool, NORMAL));
    let _second = later(ask(&pool, LOW));
    let third = later(ask(&pool, LOW));
    let other = Party::Key("other".into());
    let _fourth = later(pool.acquire(HIGH, other, true));
    assert_eq!(third.now_or_never().map(Result::err), Some(Some(PushedOut)));
    assert_eq!(pool.gauges.by_class.each_ref().map(IntGauge::get), [1, 0, 1]);
    assert_eq!(pool.gauges.queued.get(), 2);
}

#[test]
fn a_place_gets_better_once_it_is_surveyed_and_is_estimated_once_an_answer_is_known() {
    let pool = pool(1, 3, false);
    let first = now(ask(&pool, NORMAL));
    let second = later(ask(&pool, NORMAL));
    let mut third = later(ask(&pool, NORMAL));
    assert_eq!(third.standing(), Standing { position: 2, wait: None });
    let start = Instant::now();
    assert_eq!(third.standing_now(start).unwrap().position, 2);
    drop(second);
    assert_eq!(third.standing_now(start).unwrap().position, 2, "not for each change");
    assert_eq!(third.standing_now(start + SURVEY_EVERY).unwrap().position, 1);
    drop(first);
    let held = turn(&mut third).unwrap();
    let fourth = later(ask(&pool, NORMAL));
    assert!(fourth.standing().wait.is_some());
    drop(held);
}

#[test]
fn a_more_urgent_request_takes_the_turn_of_one_whose_answer_has_not_begun() {
    let pool = pool(2, 4, true);
    let [older, newer] = [now(ask(&pool, LOW)), now(ask(&pool, LOW))];
    let _same = later(ask(&pool, LOW));
    assert!(!is_taken(&older) && !is_taken(&newer), "nobody is above them");
    let mut urgent = later(ask(&pool, HIGH));
    assert!(!is_taken(&older), "the one sent last loses least");
    assert!(is_taken(&newer));
    let mut again = give_way(newer);
    assert_eq!(again.standing().position, 2, "behind whoever takes it");
    let urgent = turn(&mut urgent).expect("the permit is for whoever it was taken for");
    assert_eq!((pool.gauges.preemptions.get(), pool.gauges.in_use.get()), (1, 2));
    drop(urgent);
    let second = turn(&mut again).expect("it is before its own kind");
    let _urgent = later(ask(&pool, HIGH));
    assert!(!is_taken(&second), "once is enough");
    assert!(is_taken(&older));
}

/// By weight it would be the lower class's turn.
#[test]
fn a_turn_that_is_taken_goes_to_whoever_it_was_taken_for() {
    let pool = pool(1, 4, true);
    let first = now(ask(&pool, HIGH));
    let mut second = later(ask(&pool, HIGH));
    let mut low = later(ask(&pool, LOW));
    drop(first);
    drop(turn(&mut second).unwrap());
    let low = turn(&mut low).unwrap();
    let mut urgent = later(ask(&pool, HIGH));
    assert!(is_taken(&low));
    let mut again = give_way(low);
    let urgent = turn(&mut urgent).expect("it was taken for this one");
    assert!(turn(&mut again).is_none());
    drop(urgent);
    assert!(turn(&mut again).is_some());
}

#[test]
fn an_answer_that_has_begun_is_not_stopped_and_the_next_one_is_asked() {
    let pool = pool(2, 4, true);
    let [older, newer] = [now(ask(&pool, NORMAL)), now(ask(&pool, NORMAL))];
    let _urgent = later(ask(&pool, HIGH));
    newer.begin();
    assert!(!is_taken(&newer), "it had begun when it was told");
    assert!(is_taken(&older), "and so another is told");
}

#[test]
fn a_turn_is_kept_when_whoever_wanted_it_has_left() {
    let pool = pool(1, 4, true);
    let running = now(ask(&pool, LOW));
    drop(later(ask(&pool, NORMAL)));
    assert!(!is_taken(&running));
    let _urgent = later(ask(&pool, HIGH));
    assert!(is_taken(&running), "it may be wanted again");
}

#[test]
fn nobody_loses_a_turn_unless_the_model_has_it_so() {
    let pool = pool(1, 4, false);
    let running = now(ask(&pool, LOW));
    let _urgent = later(ask(&pool, HIGH));
    assert!(!is_taken(&running));
}

#[test]
fn the_turn_of_one_that_may_not_wait_is_not_taken() {
    let pool = pool(1, 4, true);
    let running = now(pool.acquire(LOW, Party::Unknown, false));
    let _urgent = later(ask(&pool, HIGH));
    assert!(!is_taken(&running));
}

#[test]
fn one_that_may_not_wait_takes_a_place_from_nobody() {
    let pool = pool(1, 1, false);
    let _running = now(ask(&pool, NORMAL));
    let low = later(ask(&pool, LOW));
    assert!(matches!(pool.acquire(HIGH, Party::Unknown, false), Acquired::Busy));
    assert!(low.now_or_never().is_none());
}

#[derive(Default)]
struct World {
    held: Vec<Permit>,
    waiting: Vec<Waiter>,
}

impl World {
    /// All that happens by itself: turns come, and turns that are wanted are given up.
    fn settle(&mut self) {
        loop {
            let before = (self.held.len(), self.waiting.len());
            let mut waiting = Vec::new();
            for mut waiter in std::mem::take(&mut self.waiting) {
                match (&mut waiter).now_or_never() {
                    Some(Ok(permit)) => self.held.push(permit),
                    Some(Err(PushedOut)) => {}
                    None => waiting.push(waiter),
                }
            }
            self.waiting = waiting;
            let (taken, held): (Vec<_>, Vec<_>) =
                std::mem::take(&mut self.held).into_iter().partition(is_taken);
            self.held = held;
            let none = taken.is_empty();
            self.waiting.extend(taken.into_iter().map(give_way));
            if none && before == (self.held.len(), self.waiting.len()) {
                return;
            }
        }
    }
}

proptest! {
    /// Whatever the order of arriving, leaving, beginning and finishing, and of turns taken: never
    /// more permits than there are, none lost at the end, and nobody waits while one is free.
    #[test]
    fn permits_are_conserved(
        steps in proptest::collection::vec((0..6u8, 0..8usize), 1..200),
        preempt in any::<bool>(),
    ) {
        let pool = pool(3, 4, preempt);
        let mut world = World::default();
        for (step, which) in steps {
            match step {
                0..3 => {
                    let caller = Party::Key(format!("{}", which % 3).into());
                    match pool.acquire(Priority::ALL[usize::from(step)], caller, which < 6) {
                        Acquired::Now(permit) => world.held.push(permit),
                        Acquired::Later(waiter) => world.waiting.push(waiter),
                        Acquired::Busy => prop_assert!(which >= 6 && world.held.len() == 3),
                        Acquired::Full | Acquired::TooMany(_) => {
                            prop_assert!(pool.lock().line.len() >= 4);
                        }
                    }
                }
                3 if which < world.held.len() => drop(world.held.remove(which)),
                4 if which < world.waiting.len() => drop(world.waiting.remove(which)),
                5 if which < world.held.len() => world.held[which].begin(),
                _ => {}
            }
            world.settle();
            let (held, waiting) = (world.held.len(), world.waiting.len());
            prop_assert!(held <= 3);
            prop_assert!(waiting == 0 || held == 3);
            prop_assert_eq!(pool.gauges.in_use.get(), i64::try_from(held).unwrap());
            prop_assert_eq!(pool.gauges.queued.get(), i64::try_from(waiting).unwrap());
            let by_class: i64 = pool.gauges.by_class.iter().map(IntGauge::get).sum();
            prop_assert_eq!(by_class, i64::try_from(waiting).unwrap());
        }
        drop(world);
        prop_assert_eq!(pool.lock().taken, 0);
        prop_assert_eq!(pool.gauges.in_use.get(), 0);
    }
}

#[test]
fn the_age_of_the_queue_is_that_of_who_has_waited_longest_and_ends_with_it() {
    let pool = pool(1, 2, false);
    let oldest = || pool.gauges.oldest.get();
    let _held = now(ask(&pool, NORMAL));
    let first = later(ask(&pool, LOW));
    let between = Instant::now();
    let second = later(ask(&pool, HIGH));
    let then = Instant::now() + Duration::from_secs(60);
    let since = then.duration_since(between).as_secs_f64();
    pool.measure(then);
    assert!(oldest() >= since, "{} of {since}", oldest());
    drop(first);
    pool.measure(then);
    assert!(oldest() <= since && oldest() > 0.0, "{} of {since}", oldest());
    drop(second);
    assert!(oldest() <= 0.0, "though nobody measures");
}
