//! What was measured, and the figures, ratios and goals that follow from it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::route::{Route, baselines};
use crate::workload::{Figures, Workload};

pub const ADDED_TTFT: &str = "added TTFT p50, µs";

/// How a figure is held against its goal.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    None,
    /// At most so many times nginx's: relayed, translated.
    TimesNginx(f64, f64),
    /// At most so much.
    AtMost(f64),
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    pub workload: Workload,
    pub figure: &'static str,
    pub goal: Goal,
}

const fn line(workload: Workload, figure: &'static str, goal: Goal) -> Line {
    Line { workload, figure, goal }
}

pub const FLOOD: Workload = Workload::Flood { tokens: 3_000 };
pub const MANY: Workload = Workload::SlowStreams(9_000);
pub const FEWER: Workload = Workload::SlowStreams(2_000);

const MEMORY: &str = "memory per stream, KiB";
const CPU_STREAM: &str = "CPU per stream, µs";
const CPU_TOKEN: &str = "CPU per token, µs";
const TTFT_P99: &str = "TTFT p99, µs";

/// The table. Times in µs are on the client's clock, CPU is the measured process's own.
pub const LINES: [Line; 23] = [
    line(Workload::LowLoad, ADDED_TTFT, Goal::TimesNginx(1.2, 1.5)),
    line(Workload::LowLoad, "TTFT p50, µs", Goal::None),
    line(Workload::LowLoad, TTFT_P99, Goal::None),
    line(Workload::LowLoad, "total p50, µs", Goal::None),
    line(Workload::ShortAnswers, CPU_STREAM, Goal::TimesNginx(1.5, 2.5)),
    line(Workload::ShortAnswers, "streams/s", Goal::None),
    line(Workload::ShortAnswers, "total p50, µs", Goal::None),
    line(Workload::ShortAnswers, "total p99, µs", Goal::None),
    line(FLOOD, CPU_TOKEN, Goal::TimesNginx(1.0, 4.0)),
    line(FLOOD, "tokens/s", Goal::None),
    line(Workload::Paced, CPU_TOKEN, Goal::TimesNginx(1.15, 1.3)),
    line(Workload::Paced, "inter-token p50, µs", Goal::None),
    line(Workload::Paced, "inter-token p99, µs", Goal::None),
    line(FEWER, MEMORY, Goal::None),
    line(FEWER, CPU_TOKEN, Goal::None),
    line(FEWER, TTFT_P99, Goal::None),
    line(MANY, MEMORY, Goal::TimesNginx(1.2, 1.5)),
    line(MANY, CPU_TOKEN, Goal::None),
    line(MANY, TTFT_P99, Goal::None),
    line(Workload::ColdStart, "start to first token, ms", Goal::AtMost(25.0)),
    line(Workload::Abort, "abort p50, µs", Goal::None),
    line(Workload::Abort, "abort p99, µs", Goal::TimesNginx(2.0, 2.0)),
    line(Workload::NonReaders, "memory per client, KiB", Goal::AtMost(64.0)),
];

/// A figure of one route over all rounds.
#[derive(Clone, Debug)]
pub struct Cell {
    pub values: Vec<f64>,
    pub median: f64,
    /// Medians of the ratios within each round.
    pub to_nginx: Option<f64>,
    pub to_direct: Option<f64>,
    /// Whether the goal is met, if there is one.
    pub is_met: Option<bool>,
}

type Key = (String, &'static str, &'static str);

/// Every value, by workload, route and figure, in the order of the rounds.
#[derive(Debug, Default)]
pub struct Results {
    values: BTreeMap<Key, Vec<f64>>,
}

impl Results {
    pub fn add(&mut self, workload: Workload, route: &Route, figures: Figures) {
        for (figure, value) in figures {
            self.values.entry((name(workload), route.name, figure)).or_default().push(value);
        }
    }

    /// All of it, as it was measured.
    pub fn json(&self) -> Value {
        let values = self.values.iter();
        let each = values.map(|((workload, route, figure), values)| {
            json!({"workload": workload, "route": route, "figure": figure, "values": values})
        });
        each.collect()
    }

    pub fn values(&self, workload: Workload, route: &Route, figure: &'static str) -> Vec<f64> {
        if figure == ADDED_TTFT {
            let (_, direct) = baselines(route.upstream);
            let of = |route: &Route| self.values(workload, route, "TTFT p50, µs");
            return pairs(&of(route), &of(&direct), |all, direct| all - direct);
        }
        let key = (name(workload), route.name, figure);
        self.values.get(&key).cloned().unwrap_or_default()
    }

    /// The cell of a line in the column of a route, if it was measured.
    pub fn cell(&self, line: &Line, route: &Route) -> Option<Cell> {
        let values = self.values(line.workload, route, line.figure);
        let median = median(values.clone())?;
        let (nginx, direct) = baselines(route.upstream);
        let to = |base: Route| {
            let base = self.values(line.workload, &base, line.figure);
            self::median(pairs(&values, &base, |value, base| value / base))
        };
        let is_gateway = nginx.name != route.name;
        let to_nginx = to(nginx).filter(|_| is_gateway);
        let to_direct = to(direct).filter(|_| line.figure != ADDED_TTFT);
        let is_met = match line.goal {
            _ if !is_gateway => None,
            Goal::None => None,
            Goal::AtMost(most) => Some(median <= most),
            Goal::TimesNginx(relayed, translated) => {
                let most = if route.is_relayed() { relayed } else { translated };
                to_nginx.map(|ratio| ratio <= most)
            }
        };
        Some(Cell { values, median, to_nginx, to_direct, is_met })
    }
}

/// What a workload is called in the report.
pub fn name(workload: Workload) -> String {
    match workload {
        Workload::LowLoad => "W1 low load".to_owned(),
        Workload::ShortAnswers => "W2 short answers".to_owned(),
        Workload::Flood { .. } if workload == FLOOD => "W3 flood".to_owned(),
        Workload::Flood { tokens } => format!("flood, answers of {tokens} tokens"),
        Workload::Paced => "W4 paced".to_owned(),
        MANY | FEWER => format!("W5 {} slow streams", of_streams(workload)),
        Workload::SlowStreams(_) => format!("{} slow streams", of_streams(workload)),
        Workload::ColdStart => "W6 cold start".to_owned(),
        Workload::Abort => "W7 abort to upstream close".to_owned(),
        Workload::NonReaders => "W8 500 clients that do not read".to_owned(),
    }
}

const fn of_streams(workload: Workload) -> u64 {
    if let Workload::SlowStreams(count) = workload { count } else { 0 }
}

fn pairs(left: &[f64], right: &[f64], join: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    left.iter().zip(right).map(|(left, right)| join(*left, *right)).collect()
}

/// The middle value; of an even number of them the lower middle.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len().checked_sub(1)? / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{DIRECT_OPENAI, NATIVE_OPENAI, NGINX_OPENAI, RELAYED};

    #[test]
    fn ratios_are_taken_within_each_round_and_held_against_the_goal() {
        let mut results = Results::default();
        // The machine is twice as slow in the second round: the ratio is not.
        for (nginx, relayed) in [(10.0, 14.0), (20.0, 28.0), (10.0, 17.0)] {
            results.add(Workload::ShortAnswers, &NGINX_OPENAI, vec![(CPU_STREAM, nginx)]);
            results.add(Workload::ShortAnswers, &RELAYED, vec![(CPU_STREAM, relayed)]);
        }
        let short = line(Workload::ShortAnswers, CPU_STREAM, Goal::TimesNginx(1.5, 2.5));
        let cell = results.cell(&short, &RELAYED).unwrap();
        assert_eq!((cell.median, cell.to_nginx), (17.0, Some(1.4)));
        assert_eq!(cell.is_met, Some(true));
        let strict = Line { goal: Goal::TimesNginx(1.3, 9.0), ..short };
        assert_eq!(results.cell(&strict, &RELAYED).unwrap().is_met, Some(false));
        assert!(results.cell(&short, &NATIVE_OPENAI).is_none());
    }

    #[test]
    fn added_latency_is_what_is_above_the_direct_route() {
        let mut results = Results::default();
        for (route, ttft) in [(&DIRECT_OPENAI, 80.0), (&NGINX_OPENAI, 130.0), (&RELAYED, 140.0)] {
            results.add(Workload::LowLoad, route, vec![("TTFT p50, µs", ttft)]);
        }
        let cell = results.cell(&LINES[0], &RELAYED).unwrap();
        assert_eq!((cell.median, cell.to_nginx, cell.to_direct), (60.0, Some(1.2), None));
    }
}
