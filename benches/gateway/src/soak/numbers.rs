//! Whether all who count say the same, to the request: the clients, the upstream, the gateway's metrics
//! and its access records.

use std::collections::BTreeSet;

use super::sums::{QUESTIONS, Sums};
use super::tally::Tally;
use super::watch::WARMED_UP;
use crate::report::table;

/// Who counts.
const COUNTERS: [&str; 4] = ["clients", "upstream", "metrics", "records"];

const METRICS: usize = 2;
const RECORDS: usize = 3;

/// What each has counted; who cannot know a thing has no word on it.
pub struct Numbers([Sums; COUNTERS.len()]);

impl Numbers {
    pub fn new(tally: &Tally, asked: u64, metrics: Sums, records: Sums) -> Self {
        let mut upstream = Sums::default();
        upstream.add(QUESTIONS, "to the upstream", asked);
        Self([of_clients(tally), upstream, metrics, records])
    }

    /// Each thing of which two do not say the same, and what they say.
    pub fn differences(&self) -> Vec<Vec<String>> {
        let all: BTreeSet<_> = self.0.iter().flat_map(Sums::names).collect();
        let rows = all.into_iter().filter_map(|(what, which)| {
            let each = [0, 1, 2, 3].map(|who| self.said(who, what, which));
            let said: BTreeSet<_> = each.iter().flatten().collect();
            (said.len() > 1).then(|| row(format!("{what} {which}"), each))
        });
        rows.collect()
    }

    /// Metrics and records leave out what never was; of others no word is none.
    fn said(&self, who: usize, what: &'static str, which: &str) -> Option<u64> {
        let said = self.0[who].get(what, which);
        said.or((who >= METRICS).then_some(0))
    }

    /// Everything in sum, and below it what differs.
    pub fn markdown(&self) -> String {
        let kinds: BTreeSet<_> =
            self.0.iter().flat_map(Sums::names).map(|(what, _)| what).collect();
        let sums = kinds.into_iter().map(|what| {
            row(format!("{what}, in all"), self.0.each_ref().map(|sums| sums.in_all(what)))
        });
        let head = std::iter::once("counted by").chain(COUNTERS).map(str::to_owned).collect();
        let mut rows = vec![head];
        rows.extend(sums);
        rows.extend(self.differences());
        table(&rows)
    }

    /// How many requests there were, by their records.
    pub fn records(&self) -> u64 {
        self.0[RECORDS].in_all("requests").unwrap_or_default()
    }
}

fn row(what: String, each: [Option<u64>; COUNTERS.len()]) -> Vec<String> {
    let cells = each.map(|count| count.map_or_else(String::new, |count| count.to_string()));
    std::iter::once(what).chain(cells).collect()
}

/// What the clients know for certain: nothing of how a stream ended that they left while the soak
/// itself stood still, and nothing of the status that nobody waited for.
fn of_clients(tally: &Tally) -> Sums {
    let mut sums = Sums::default();
    for (path, count) in &tally.asked {
        sums.add("requests to", path, *count);
    }
    for path in ["/api/chat", "/v1/chat/completions"] {
        sums.add("requests to", path, WARMED_UP / 2);
    }
    sums.add("requests to", "/api/chat/{id}", tally.deletes);
    sums.add("requests to", "/api/chat/streams", tally.lists);
    let manners = tally.by_manner.values();
    sums.add("refused", "invalid", manners.filter_map(|counts| counts.get("no stream")).sum());
    for reason in ["queue_full", "queue_timeout"] {
        let count = tally.queue_refusals.get(reason).copied();
        sums.add("refused", reason, count.unwrap_or_default());
    }
    sums.add("streams begun", "", tally.streams() + WARMED_UP);
    if tally.unsure > 0 {
        return sums;
    }
    sums.add("streams", "completed", WARMED_UP);
    tally.outcomes.iter().for_each(|(outcome, count)| sums.add("streams", outcome, *count));
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(metrics: &[(&'static str, u64)], records: &[(&'static str, u64)]) -> Numbers {
        let sums = |counts: &[(&'static str, u64)]| {
            let mut sums = of_clients(&Tally::default());
            sums.add(QUESTIONS, "to the upstream", 3);
            for (what, count) in counts {
                sums.add(what, "x", *count);
            }
            sums
        };
        Numbers::new(&Tally::default(), 3, sums(metrics), sums(records))
    }

    #[test]
    fn whoever_has_counted_something_else_is_named() {
        let agree = numbers(&[("attempts", 5)], &[("attempts", 5)]);
        assert_eq!(agree.differences(), Vec::<Vec<String>>::new());
        for (metrics, records) in [(&[("attempts", 5)][..], &[][..]), (&[], &[("attempts", 5)])] {
            let differ = numbers(metrics, records);
            assert_eq!(differ.differences().len(), 1);
            assert!(differ.markdown().contains("| attempts x"), "{}", differ.markdown());
        }
        // What the clients have counted is so for all others.
        let tally = Tally { deletes: 1, ..Tally::default() };
        let of_gateway = || of_clients(&Tally::default());
        let differ = Numbers::new(&tally, 0, of_gateway(), of_gateway());
        assert_eq!(differ.differences().len(), 1);
    }
}
