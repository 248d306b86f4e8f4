//! What came of a soak, as tables in Markdown, and whether everything held.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use super::numbers::Numbers;
use super::samples::{Samples, mebibytes};
use super::scrape::Scrape;
use super::tally::{Counts, Tally};
use super::watch::WARMED_UP;
use crate::report::table;

/// A run that is over.
pub struct Report {
    pub seed: u64,
    pub clients: usize,
    pub took: Duration,
    pub tally: Tally,
    /// What the gateway said of itself when all had come to rest.
    pub last: Scrape,
    pub samples: Samples,
    /// Open before the first client and after the last.
    pub files: (usize, usize),
    pub memory_after: u64,
    /// What everybody has counted.
    pub numbers: Numbers,
}

/// A run that is shorter tells nothing of a plateau: pools and caches still fill.
const LONG: Duration = Duration::from_secs(600);
/// By so much may the last third's memory be above the middle one's, in MiB.
const GROWTH: f64 = 1.0;
const GROWTH_OF_SHORT: f64 = 8.0;

impl Report {
    pub fn holds(&self) -> bool {
        self.checks().iter().all(|(_, holds)| *holds)
    }

    /// What must hold, with the figures that say whether it does.
    fn checks(&self) -> Vec<(String, bool)> {
        let Self { tally, last, samples, files, .. } = self;
        let [_, middle, late] = samples.thirds();
        let growth = if self.took < LONG { GROWTH_OF_SHORT } else { GROWTH };
        let started = tally.streams();
        let mut checks = vec![
            (
                format!(
                    "{} mistakes in {} requests: cut in silence, ended twice, a token wrong, \
                     missing or of another stream, another outcome than was played",
                    tally.mistakes, tally.requests
                ),
                tally.mistakes == 0,
            ),
            (
                format!(
                    "{} of {} scrapes do not add up: started = active + all outcomes, and no \
                     outcome is behind what clients were told",
                    tally.torn,
                    samples.count()
                ),
                samples.count() > 0 && tally.torn == 0,
            ),
            (
                format!(
                    "{} streams by the clients' count, {} by the gateway's",
                    started,
                    self.grown()
                ),
                started == self.grown() && started > 0,
            ),
            (format!("outcomes: {}", self.compared()), self.outcomes_agree()),
            (
                format!(
                    "left at the end: {} active, {} permits, {} queued, {} bytes",
                    last.active, last.permits, last.queued, last.buffered
                ),
                last.is_idle(),
            ),
            (format!("open files: {} before, {} after", files.0, files.1), files.1 <= files.0),
        ];
        let differing = self.numbers.differences().len();
        checks.push((
            format!(
                "{differing} numbers of {} requests are not the same for clients, upstream, metrics \
                 and access records",
                self.numbers.records()
            ),
            differing == 0,
        ));
        let plateau = format!("memory: {middle:.1} MiB in the middle third, {late:.1} in the last");
        checks.push((plateau, late <= middle + growth));
        checks
    }

    /// Streams that the gateway says were started, without those of the warm-up.
    fn grown(&self) -> u64 {
        self.last.started.saturating_sub(WARMED_UP)
    }

    fn of_gateway(&self, outcome: &str) -> u64 {
        let all = self.last.outcome(outcome);
        if outcome == "completed" { all.saturating_sub(WARMED_UP) } else { all }
    }

    fn outcomes(&self) -> BTreeSet<&str> {
        let ours = self.tally.outcomes.keys().copied();
        ours.chain(self.last.outcomes.keys().map(String::as_str)).collect()
    }

    fn outcomes_agree(&self) -> bool {
        let ours = |outcome| self.tally.outcomes.get(outcome).copied().unwrap_or_default();
        let behind = |outcome| self.of_gateway(outcome).checked_sub(ours(outcome));
        let behind: Option<Vec<_>> = self.outcomes().into_iter().map(behind).collect();
        // What nobody but the gateway knows must be all that is not the same.
        behind.is_some_and(|behind| behind.iter().sum::<u64>() == self.tally.unsure)
    }

    fn compared(&self) -> String {
        let ours = |outcome| self.tally.outcomes.get(outcome).copied().unwrap_or_default();
        let each = self.outcomes().into_iter().map(|outcome| {
            let (ours, gateway) = (ours(outcome), self.of_gateway(outcome));
            if ours == gateway {
                format!("{outcome} {ours}")
            } else {
                format!("{outcome} {ours} for clients and {gateway} for the gateway")
            }
        });
        each.collect::<Vec<_>>().join(", ")
    }

    pub fn markdown(&self) -> String {
        let Self { seed, clients, took, tally, samples, .. } = self;
        let mut text = format!(
            "## Soak\n\nSeed {seed}, {clients} clients, {:.0} s: {} requests, {} tokens, at most {} \
             streams at a time, {:.0} % of a core.\n\n",
            took.as_secs_f64(),
            tally.requests,
            tally.tokens,
            samples.most_active(),
            100.0 * samples.cpu.as_secs_f64() / samples.took.as_secs_f64().max(0.001),
        );
        for (what, holds) in self.checks() {
            let _ = writeln!(text, "- {}: {what}", if holds { "holds" } else { "**FAILS**" });
        }
        let _ = writeln!(text, "\n{}", by("at the upstream", &tally.by_mishap));
        let _ = writeln!(text, "{}", by("client", &tally.by_manner));
        let [early, middle, late] = samples.thirds().map(|memory| format!("{memory:.1}"));
        let after = format!("{:.1}", mebibytes(self.memory_after));
        let row = |cells: [&str; 7]| cells.map(str::to_owned).to_vec();
        let slope = format!("{:+.1}", samples.slope());
        let files = format!("{} / {} / {}", self.files.0, samples.most_files(), self.files.1);
        let head = ["", "first third", "middle", "last", "at rest", "MiB an hour", "open files"];
        let cells = ["resident, MiB", &early, &middle, &late, &after, &slope, &files];
        text += &table(&[row(head), row(cells)]);
        let _ = writeln!(text, "\n{}", self.numbers.markdown());
        if tally.stood_still > 0 {
            let _ = writeln!(
                text,
                "\nThe soak itself stood still for more than a second {} times: time limits that \
                 passed then are no mistakes, and of {} streams only the gateway knows the outcome.",
                tally.stood_still, tally.unsure
            );
        }
        for mistake in &tally.kept {
            let _ = writeln!(text, "\nmistake: {mistake}");
        }
        text
    }
}

/// How often each outcome was met, a line for each kind.
fn by(what: &str, kinds: &BTreeMap<&'static str, Counts>) -> String {
    let outcomes: BTreeSet<_> = kinds.values().flat_map(|counts| counts.keys().copied()).collect();
    let mut head = vec![what.to_owned()];
    head.extend(outcomes.iter().map(ToString::to_string));
    let mut rows = vec![head];
    for (kind, counts) in kinds {
        let mut row = vec![(*kind).to_owned()];
        row.extend(outcomes.iter().map(|outcome| match counts.get(outcome) {
            Some(count) => count.to_string(),
            None => String::new(),
        }));
        rows.push(row);
    }
    table(&rows)
}
