//! Every fault at every place, for every kind of upstream and every dialect of clients: exactly one
//! terminal, no clean end without evidence, nothing left behind.
//!
//! - [`answer`]: true answers, frame by frame, on each wire.
//! - [`reply`]: an answer in HTTP's framing, and what it has told up to any byte.
//! - [`plan`]: trials; [`cuts`], [`frames`] and [`heads`] make them.
//! - [`bench`]: one gateway and one upstream that run them, many at a time.
//! - [`oracle`]: what a client saw, against what it must see; `oracle_responses`, of Responses.
//! - [`report`]: the table in `docs/reliability.md`; [`sockets`], what was left open.
//!
//! What must be seen is reckoned from the bytes that the upstream sent, by rules of the matrix's
//! own; the gateway's codecs have no part in it.

mod answer;
mod bench;
mod cuts;
mod frames;
mod heads;
mod oracle;
mod oracle_responses;
mod plan;
mod reply;
mod report;
mod sockets;

use std::collections::{BTreeMap, HashMap};

use bench::{Bench, Result};
use plan::{Plan, Trial};
use report::Report;
use tidegate_protocol::{ErrorKind, Outcome};

/// Decides how bytes are divided into writes, and the order; `MATRIX_SEED` sets another.
const SEED: u64 = 4;
/// Requests at a time, and beside them those that wait for a time limit.
const AT_ONCE: usize = 32;
const SLOW_AT_ONCE: usize = 64;
/// So many deviations are shown in full.
const SHOWN: usize = 10;
const MIN_POSITIONS: usize = 10_000;

fn plan(seed: u64) -> Plan {
    let mut plan = Plan::new(seed);
    cuts::healthy(&mut plan);
    cuts::at_every_byte(&mut plan);
    frames::odd(&mut plan);
    frames::early_ends(&mut plan);
    frames::trailing(&mut plan);
    frames::broken_chunks(&mut plan);
    frames::stalls(&mut plan);
    heads::unreachable(&mut plan);
    heads::statuses(&mut plan);
    heads::retry_after(&mut plan);
    heads::garbage_heads(&mut plan);
    heads::informational(&mut plan);
    heads::no_answer(&mut plan);
    heads::other_types(&mut plan);
    heads::gzip(&mut plan);
    plan.shuffle();
    plan
}

#[actix_web::test]
async fn every_fault_everywhere_has_one_honest_end() {
    let seed = std::env::var("MATRIX_SEED").map_or(SEED, |seed| seed.parse().unwrap());
    let bench = Bench::start(plan(seed)).await;
    let (mut results, slow) = futures::join!(
        bench.run(AT_ONCE, |trial| trial.model != frames::SLOW),
        bench.run(SLOW_AT_ONCE, |trial| trial.model == frames::SLOW),
    );
    results.extend(slow);

    let mut report = tally(bench.trials(), &results);
    bench.count(&mut report).await;
    let (ids, leaks) = bench.leaks().await;
    report.leaks = leaks;
    attribute(&mut report, bench.trials(), &results, &ids);
    report.print(seed);

    let deviations = describe(bench.trials(), &results);
    assert!(
        deviations.is_empty(),
        "{} of {} trials deviate, seed {seed}; the first:\n{}",
        deviations.len(),
        report.trials(),
        deviations[..deviations.len().min(SHOWN)].join("\n")
    );
    assert_eq!((report.silent_truncations(), report.double_terminals()), (0, 0));
    assert_eq!(report.leaks, report::Leaks::default());
    assert_eq!(report.outcomes, expected_outcomes(bench.trials()));
    assert_eq!(report.started, report.trials());
    assert!(report.positions() >= MIN_POSITIONS, "{} fault positions", report.positions());
    let strayed = bench.upstream.chats().into_iter().find(|seen| seen.path == heads::ELSEWHERE);
    assert!(strayed.is_none(), "a redirect was followed: {strayed:?}");
    report.compare();
    bench.shutdown().await;
}

fn tally(trials: &[Trial], results: &[(usize, Result)]) -> Report {
    let mut report = Report::default();
    for (number, result) in results {
        let trial = &trials[*number];
        let row = report.rows.entry((trial.fault, trial.place)).or_default();
        row.trials += 1;
        let Some(seen) = &result.seen else {
            *row.saw.entry("nonsense".to_owned()).or_default() += 1;
            continue;
        };
        *row.saw.entry(seen.in_words()).or_default() += 1;
        row.double_terminals += usize::from(seen.terminals.len() > 1);
        let whole = trial.expect.failure.is_none() && seen.said == trial.case.script.whole();
        row.silent_truncations += usize::from(seen.is_clean() && !whole);
    }
    report
}

/// Charges each stream that is left to the row it came from.
fn attribute(report: &mut Report, trials: &[Trial], results: &[(usize, Result)], ids: &[String]) {
    let known: HashMap<_, _> = results
        .iter()
        .filter_map(|(number, result)| Some((result.id.as_ref()?, *number)))
        .collect();
    for number in ids.iter().filter_map(|id| known.get(id)) {
        let trial = &trials[*number];
        report.rows.entry((trial.fault, trial.place)).or_default().leaks += 1;
    }
}

fn describe(trials: &[Trial], results: &[(usize, Result)]) -> Vec<String> {
    let odd = results.iter().filter(|(_, result)| !result.deviations.is_empty());
    odd.map(|(number, result)| {
        let Trial { fault, place, case, model, position, expect, .. } = &trials[*number];
        let deviations = result.deviations.join("\n    ");
        format!(
            "{fault}, {place}: {position}, {case:?} {model}\n    {deviations}\n    due: {expect:?}"
        )
    })
    .collect()
}

fn expected_outcomes(trials: &[Trial]) -> BTreeMap<&'static str, u64> {
    let mut expected: BTreeMap<_, _> =
        Outcome::ALL.iter().map(|outcome| (outcome.as_str(), 0)).collect();
    for trial in trials {
        let outcome = trial.expect.failure.map_or(Outcome::Completed, ErrorKind::outcome);
        *expected.entry(outcome.as_str()).or_default() += 1;
    }
    expected
}
