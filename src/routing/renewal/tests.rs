//! What a renewed fleet keeps and what it forgets; and that nothing leaks, whatever happens.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::ProviderKind;
use crate::routing::{CircuitState, Fault, Need, Pick};

const SECOND: Duration = Duration::from_secs(1);

fn target(name: &str) -> Target {
    let url = format!("http://{name}");
    Target { name: name.to_owned(), ..Target::of(ProviderKind::Vllm, &url, "m") }
}

fn targets(names: &str) -> Vec<Target> {
    names.split(' ').map(target).collect()
}

fn fleet(names: &str, now: Instant) -> Arc<Fleet> {
    Fleet::new(&targets(names), &Routing::default(), Ejection::default(), 7, now)
}

fn renewed(fleet: &Arc<Fleet>, names: &str, now: Instant) -> Arc<Fleet> {
    fleet.renewed(&targets(names), &Routing::default(), Ejection::default(), now)
}

/// The one that is wanted.
fn pick(fleet: &Arc<Fleet>, place: usize, now: Instant) -> Pick {
    fleet.pick(&Need { target: Some(place), ..Need::default() }, &[], now).unwrap()
}

fn active(fleet: &Fleet, now: Instant) -> Vec<usize> {
    fleet.states(now).iter().map(|state| state.active).collect()
}

#[test]
fn what_says_the_same_is_the_same_fleet() {
    let now = Instant::now();
    let old = fleet("a b", now);
    assert!(Arc::ptr_eq(&old, &renewed(&old, "a b", now)));
    for names in ["b a", "a", "a b c", "a c"] {
        assert!(!Arc::ptr_eq(&old, &renewed(&fleet("a b", now), names, now)), "{names}");
    }
    let rules = Ejection { failures: 9, ..Ejection::default() };
    let other = old.renewed(&targets("a b"), &Routing::default(), rules, now);
    assert!(!Arc::ptr_eq(&old, &other));
}

#[test]
fn a_target_that_is_still_there_is_as_it_was_wherever_it_stands() {
    let now = Instant::now();
    let old = fleet("a b c", now);
    let mut held = pick(&old, 2, now);
    for _ in 0..3 {
        pick(&old, 1, now).failed(now, Fault::Failed);
    }
    let new = renewed(&old, "c x b", now);
    let circuits: Vec<_> = new.states(now).iter().map(|state| state.circuit).collect();
    assert_eq!(circuits, [CircuitState::Closed, CircuitState::Closed, CircuitState::Open]);
    assert_eq!(active(&new, now), [1, 0, 0]);
    held.begun(now + SECOND);
    held.succeeded(now + SECOND);
    drop(held);
    assert_eq!(active(&new, now), [0, 0, 0]);
    let time = new.states(now)[0].first_token;
    assert_eq!(time, Some(SECOND), "what old requests learn, new ones know");
}

#[test]
fn a_target_with_another_name_alone_is_the_same_upstream() {
    let now = Instant::now();
    let old = fleet("a b", now);
    let _held = pick(&old, 0, now);
    let mut named = targets("a b");
    "z".clone_into(&mut named[0].name);
    let new = old.renewed(&named, &Routing::default(), Ejection::default(), now);
    assert_eq!(active(&new, now), [1, 0]);
}

#[test]
fn old_requests_and_new_ones_together_get_no_more_than_a_targets_slots() {
    let now = Instant::now();
    let old = fleet("a b", now);
    let _held: Vec<_> = (0..10).map(|_| pick(&old, 0, now)).collect();
    let new = renewed(&old, "b a", now);
    assert!(new.pick(&Need { target: Some(1), ..Need::default() }, &[], now).is_err());
    let _more: Vec<_> = (0..10).map(|_| pick(&new, 0, now)).collect();
    assert!(old.pick(&Need::default(), &[], now).is_err(), "nor does the old one");
}

#[test]
fn the_old_fleet_asks_what_is_gone_and_the_new_one_does_not() {
    let now = Instant::now();
    let old = fleet("a b", now);
    let new = renewed(&old, "c d", now);
    for place in [0, 1] {
        assert_eq!(old.pick(&Need::default(), &[1 - place], now).unwrap().target(), place);
    }
    let held: Vec<_> = (0..20).map(|_| new.pick(&Need::default(), &[], now).unwrap()).collect();
    assert!(new.pick(&Need::default(), &[], now).is_err());
    assert_eq!((active(&new, now), new.capacity(now)), (vec![10, 10], 20));
    assert_eq!(active(&old, now), [0, 0]);
    drop(held);
    assert_eq!(active(&new, now), [0, 0]);
}

#[test]
fn one_that_is_left_alone_is_asked_whatever_became_of_it() {
    let now = Instant::now();
    let old = fleet("a b", now);
    let mut late = pick(&old, 0, now);
    for _ in 0..3 {
        pick(&old, 0, now).failed(now, Fault::Failed);
    }
    let new = renewed(&old, "a", now);
    late.failed(now, Fault::Failed);
    assert_eq!(new.states(now)[0].circuit, CircuitState::Closed);
    assert!(new.pick(&Need::default(), &[], now).is_ok());
}

/// What may happen, in any order. Numbers choose among what there is.
#[derive(Debug, Clone)]
enum Event {
    Pick { fleet: usize },
    End { pick: usize, how: usize },
    Renew { names: Vec<usize>, slots: usize },
    Forget { fleet: usize },
}

fn event() -> impl Strategy<Value = Event> {
    let any = 0_usize..1000;
    prop_oneof![
        4 => any.clone().prop_map(|fleet| Event::Pick { fleet }),
        3 => (any.clone(), 0_usize..4).prop_map(|(pick, how)| Event::End { pick, how }),
        2 => (prop::collection::btree_set(0_usize..6, 1..5), 1_usize..4)
            .prop_map(|(names, slots)| Event::Renew { names: names.into_iter().collect(), slots }),
        1 => any.prop_map(|fleet| Event::Forget { fleet }),
    ]
}

fn made(names: &[usize], slots: usize) -> Vec<Target> {
    let made = names.iter().map(|name| target(&format!("t{name}")));
    made.map(|target| Target { max_concurrency: slots, ..target }).collect()
}

fn end(mut pick: Pick, how: usize, now: Instant) {
    match how {
        0 => pick.succeeded(now),
        1 => pick.failed(now, Fault::Failed),
        2 => pick.failed(now, Fault::Busy(Some(SECOND))),
        _ => {}
    }
}

/// What is counted is what is held, target by target, in the eyes of every fleet.
fn check(fleets: &[Arc<Fleet>], picks: &[(String, Pick)], names: &[Vec<String>], now: Instant) {
    for (fleet, names) in fleets.iter().zip(names) {
        let held = |name: &String| picks.iter().filter(|(held, _)| held == name).count();
        let expected: Vec<_> = names.iter().map(held).collect();
        assert_eq!(active(fleet, now), expected);
    }
    let state = fleets[0].lock();
    let all: usize = state.field.all().iter().map(|facts| facts.active).sum();
    assert_eq!(all, picks.len(), "nothing is counted that nobody holds");
    // An upstream has one slot, however many fleets know it; there are six of them.
    assert!(state.field.len() <= 6, "slots are used again: {}", state.field.len());
}

proptest! {
    #[test]
    fn no_slot_leaks_whatever_happens(events in prop::collection::vec(event(), 1..80)) {
        let mut now = Instant::now();
        let first = [0, 1, 2];
        let name = |names: &[usize]| names.iter().map(|n| format!("t{n}")).collect::<Vec<_>>();
        let rules = Ejection::default();
        let routing = Routing::default();
        let mut fleets = vec![Fleet::new(&made(&first, 2), &routing, rules.clone(), 7, now)];
        let mut names = vec![name(&first)];
        let mut picks: Vec<(String, Pick)> = Vec::new();
        for event in events {
            now += SECOND / 10;
            match event {
                Event::Pick { fleet } => {
                    let at = fleet % fleets.len();
                    if let Ok(pick) = fleets[at].pick(&Need::default(), &[], now) {
                        picks.push((names[at][pick.target()].clone(), pick));
                    }
                }
                Event::End { pick, how } if !picks.is_empty() => {
                    let at = pick % picks.len();
                    end(picks.swap_remove(at).1, how, now);
                }
                Event::Renew { names: of, slots } => {
                    let newest = fleets.last().unwrap();
                    let new = newest.renewed(&made(&of, slots), &routing, rules.clone(), now);
                    // More would be no more than this, and a check of all would take long.
                    if fleets.len() > 3 {
                        fleets.remove(0);
                        names.remove(0);
                    }
                    fleets.push(new);
                    names.push(name(&of));
                }
                Event::Forget { fleet } if fleets.len() > 1 => {
                    let at = fleet % (fleets.len() - 1);
                    fleets.remove(at);
                    names.remove(at);
                }
                Event::End { .. } | Event::Forget { .. } => {}
            }
            check(&fleets, &picks, &names, now);
        }
        picks.clear();
        check(&fleets, &picks, &names, now);
        // Long after, whatever failed is asked again, and each has all of its slots.
        let newest = fleets.last().unwrap();
        let (now, mut all) = (now + 1000 * SECOND, 0);
        let states = newest.states(now).len();
        let mut held = Vec::new();
        while let Ok(mut pick) = newest.pick(&Need::default(), &[], now) {
            pick.succeeded(now);
            all += 1;
            held.push(pick);
            if states == 1 && all > 10 {
                break;
            }
        }
        prop_assert!(states == 1 || all == newest.capacity(now), "{all} of {}", newest.capacity(now));
    }
}
