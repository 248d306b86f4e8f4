//! What each policy promises, over the fleet as it is used.

use std::collections::HashMap;

use crate::config::{Policy, Price};
use crate::routing::Need;
use crate::routing::bed::{Bed, MILLI, SECOND, shares};

#[test]
fn every_policy_asks_those_only_that_may_be_asked() {
    for policy in Policy::ALL {
        let mut bed = Bed::new(policy, 6, |targets| {
            targets[0].weight = 0;
            targets[1].abilities.tools = false;
            targets[2].max_concurrency = 1;
        });
        bed.eject(3);
        let _full = bed.fleet.pick(&Need { target: Some(2), ..Need::default() }, &[], bed.now);
        bed.need.skills.tools = true;
        for session in 0..200 {
            bed.need.session = session;
            assert!(matches!(bed.answered(|_| 10 * MILLI), 4 | 5), "{policy:?}");
            let pick = bed.fleet.pick(&bed.need, &[4], bed.now).unwrap();
            assert_eq!(pick.target(), 5, "{policy:?}");
            assert!(bed.fleet.pick(&bed.need, &[4, 5], bed.now).is_err(), "{policy:?}");
        }
    }
}

#[test]
fn every_policy_goes_back_to_a_target_that_has_come_back() {
    for policy in Policy::ALL {
        let mut bed = Bed::new(policy, 2, |_| {});
        bed.eject(0);
        assert_eq!(bed.counts(100, 2), [0, 100], "{policy:?}");
        bed.now += 6 * SECOND;
        let mut asked = 0;
        for session in 0..4000 {
            bed.need.session = session;
            asked += usize::from(bed.answered(|_| 10 * MILLI) == 0);
            bed.now += 10 * MILLI;
        }
        assert!(asked > 400, "{policy:?}: {asked}");
    }
}

#[test]
fn a_target_that_is_back_gets_little_at_first() {
    for policy in Policy::ALL {
        let mut bed = Bed::new(policy, 2, |_| {});
        bed.warm(2);
        bed.eject(0);
        bed.now += 6 * SECOND;
        // The trial goes well.
        bed.need.target = Some(0);
        bed.answered(|_| 100 * MILLI);
        bed.need.target = None;
        let mut held = Vec::new();
        for session in 0..1000 {
            bed.need.session = session;
            held.push(bed.pick());
        }
        let asked = shares(&held, 2)[0];
        assert!((10..=250).contains(&asked), "{policy:?}: {asked}");
    }
}

#[test]
fn turns_are_by_weight_within_a_percent_and_evenly_spread() {
    let mut bed = Bed::new(Policy::Weighted, 3, |targets| {
        (targets[1].weight, targets[2].weight) = (2, 7);
    });
    let counts = bed.counts(1000, 3);
    for (count, weight) in counts.iter().zip([1, 2, 7]) {
        assert!(count.abs_diff(weight * 100) <= 10, "{counts:?}");
    }
    let next: Vec<_> = (0..10).map(|_| bed.answered(|_| MILLI)).collect();
    assert!(!next.windows(2).any(|two| two == [1, 1]), "{next:?}");
}

#[test]
fn who_is_passed_over_keeps_its_turn_and_does_not_make_up_for_more() {
    let mut bed = Bed::new(Policy::Weighted, 3, |targets| targets[0].abilities.tools = false);
    bed.need.skills.tools = true;
    assert_eq!(bed.counts(60, 3), [0, 30, 30]);
    bed.need.skills.tools = false;
    assert_eq!(bed.answered(|_| MILLI), 0);
    let counts = bed.counts(60, 3);
    assert!(counts.iter().all(|count| count.abs_diff(20) <= 1), "{counts:?}");
}

#[test]
fn only_the_sessions_of_a_lost_target_move_and_they_come_back() {
    let mut bed = Bed::new(Policy::Sticky, 10, |_| {});
    let placed = |bed: &mut Bed| -> HashMap<u64, usize> {
        let place = |session| {
            bed.need.session = session;
            (session, bed.answered(|_| MILLI))
        };
        (0..2000).map(place).collect()
    };
    let before = placed(&mut bed);
    bed.eject(4);
    let without = placed(&mut bed);
    let mut heirs = vec![0; 10];
    for (session, target) in &before {
        if *target == 4 {
            heirs[without[session]] += 1;
        } else {
            assert_eq!(without[session], *target);
        }
    }
    assert_eq!(heirs[4], 0);
    assert!(heirs.iter().filter(|count| **count > 0).count() > 6, "spread over all: {heirs:?}");
    bed.now += 6 * SECOND;
    bed.need.target = Some(4);
    bed.answered(|_| MILLI);
    bed.need.target = None;
    bed.now += 15 * SECOND;
    assert_eq!(placed(&mut bed), before);
}

#[test]
fn sessions_are_spread_by_weight() {
    let mut bed = Bed::new(Policy::Sticky, 4, |targets| targets[3].weight = 3);
    let mut counts = [0_usize; 4];
    for session in 0..6000 {
        bed.need.session = session;
        counts[bed.answered(|_| MILLI)] += 1;
    }
    for (count, expected) in counts.iter().zip([1000, 1000, 1000, 3000]) {
        assert!(count.abs_diff(expected) < expected / 4, "{counts:?}");
    }
}

#[test]
fn no_session_overloads_its_target() {
    let mut bed = Bed::new(Policy::Sticky, 10, |targets| {
        for target in targets {
            target.max_concurrency = 40;
        }
    });
    bed.need.session = 1;
    let held: Vec<_> = (0..100).map(|_| bed.pick()).collect();
    let most = shares(&held, 10).into_iter().max().unwrap();
    assert!(
        (20..=22).contains(&most),
        "half its slots, and no more than far over its share: {most}"
    );
}

#[test]
fn the_slow_the_hanging_and_the_failing_get_next_to_nothing() {
    for policy in [Policy::Fastest, Policy::Score] {
        let mut bed = Bed::new(policy, 8, |_| {});
        let hanging: Vec<_> = (0..40)
            .filter_map(|_| {
                let pick = bed.pick();
                bed.now += 5 * MILLI;
                (pick.target() == 0).then_some(pick)
            })
            .collect();
        assert_eq!(hanging.len(), 1, "{policy:?}: one waits there and none more");
        let slow = |target| if target == 1 { 900 * MILLI } else { 100 * MILLI };
        let mut asked = 0;
        for _ in 0..4000 {
            let target = bed.answered(slow);
            asked += usize::from(target < 2);
        }
        assert!(asked <= 40, "{policy:?}: {asked}");
        drop(hanging);
    }
}

#[test]
fn what_has_become_fast_again_is_found_out() {
    for policy in [Policy::Fastest, Policy::Score] {
        let mut bed = Bed::new(policy, 4, |_| {});
        (0..200).for_each(|_| {
            bed.answered(|target| if target == 0 { 2 * SECOND } else { 100 * MILLI });
        });
        bed.now += 10 * SECOND;
        let counts = bed.counts(8000, 4);
        assert!(counts[0] > 500, "{policy:?}: {counts:?}");
    }
}

#[test]
fn a_conversation_goes_back_to_who_has_seen_it_unless_that_is_far_busier() {
    let mut bed = Bed::new(Policy::Prefix, 8, |targets| {
        for target in targets {
            target.max_concurrency = 16;
        }
    });
    bed.warm(8);
    let mut first = Vec::new();
    for conversation in 0..50_u64 {
        bed.need.prefixes = vec![1, 100 + conversation];
        first.push(bed.answered(|_| 100 * MILLI));
    }
    let mut returned = 0;
    for conversation in 0..50_u64 {
        bed.need.prefixes = vec![1, 100 + conversation, 200 + conversation, 300 + conversation];
        let target = bed.answered(|_| 100 * MILLI);
        returned += usize::from(target == first[usize::try_from(conversation).unwrap()]);
    }
    assert!(returned >= 48, "{returned}");
    bed.need.prefixes = vec![1, 100];
    let held: Vec<_> = (0..24).map(|_| bed.pick()).collect();
    let most = shares(&held, 8).into_iter().max().unwrap();
    assert!((3..=8).contains(&most), "{most}");
}

#[test]
fn the_cheapest_that_can_is_asked_and_the_next_when_it_is_full() {
    let price = |input_micros, output_micros| Price { input_micros, output_micros };
    let mut bed = Bed::new(Policy::Cheapest, 4, |targets| {
        targets[0].price = price(3, 3);
        targets[1].price = price(1, 9);
        targets[2].price = price(2, 2);
        targets[2].abilities.context_length = Some(1000);
        targets[3].price = price(2, 2);
        targets[3].max_concurrency = 1;
    });
    (bed.need.prompt_tokens, bed.need.max_tokens) = (5000, Some(10));
    assert_eq!(bed.pick().target(), 1, "a long prompt and a short answer");
    bed.need.max_tokens = Some(5000);
    let held = bed.pick();
    assert_eq!(held.target(), 3);
    assert_eq!(bed.pick().target(), 0, "the cheapest is full");
    bed.need.prompt_tokens = 100;
    bed.need.max_tokens = Some(100);
    assert_eq!(bed.pick().target(), 2, "short enough for this one");
}

#[test]
fn those_that_cost_the_same_share_what_there_is() {
    let mut bed = Bed::new(Policy::Cheapest, 4, |targets| targets[0].price.input_micros = 1);
    bed.need.prompt_tokens = 10;
    let held: Vec<_> = (0..300).map(|_| bed.pick()).collect();
    let shares = shares(&held, 4);
    assert_eq!(shares[0], 0);
    assert!(shares[1..].iter().all(|share| (80..=120).contains(share)), "{shares:?}");
}
