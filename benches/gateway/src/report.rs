//! The report: tables in Markdown, and everything in JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::results::{Cell, FEWER, FLOOD, Goal, LINES, Line, Results, median, name};
use crate::route::{
    NATIVE_OPENAI, NATIVE_TWO, RELAYED, RELAYED_KEPT, RELAYED_TWO, Route, TO_OLLAMA, TO_OPENAI,
    proxies,
};
use crate::workload::Workload;

/// What a run was.
pub struct Run<'a> {
    pub machine: &'a str,
    pub rounds: u32,
    pub results: &'a Results,
    /// The sizes at which growth was measured.
    pub growth: &'a [u64],
}

impl Run<'_> {
    /// The whole report.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "{}. Medians of {} interleaved rounds. In parentheses: times nginx / times without \
             anything between.\n\n",
            self.machine, self.rounds
        );
        for routes in [&TO_OPENAI, &TO_OLLAMA] {
            text.push_str(&self.figures(routes));
            text.push('\n');
        }
        text.push_str(&self.verdict());
        let parts = [self.growth_table(), self.workers_table(), self.kept_table()];
        for part in parts.into_iter().flatten() {
            text.push('\n');
            text.push_str(&part);
        }
        text
    }

    fn figures(&self, routes: &[Route]) -> String {
        let mut rows = vec![vec!["workload".to_owned(), "figure".to_owned()]];
        rows[0].extend(routes.iter().map(|route| route.name.to_owned()));
        rows[0].push("goal".to_owned());
        let mut last = String::new();
        for line in &LINES {
            let cells: Vec<_> = routes.iter().map(|route| self.results.cell(line, route)).collect();
            if cells.iter().all(Option::is_none) {
                continue;
            }
            let workload = name(line.workload);
            let repeated = workload == last;
            let first = if repeated { String::new() } else { workload.clone() };
            last = workload;
            let mut row = vec![first, line.figure.to_owned()];
            row.extend(cells.iter().map(|cell| cell.as_ref().map_or_else(String::new, show)));
            row.push(goal(line.goal));
            rows.push(row);
        }
        table(&rows)
    }

    /// Which goals are met.
    fn verdict(&self) -> String {
        let (mut met, mut missed) = (0, Vec::new());
        for (line, route) in LINES.iter().flat_map(|line| proxies().map(move |route| (line, route)))
        {
            match self.results.cell(line, &route).and_then(|cell| cell.is_met) {
                Some(true) => met += 1,
                Some(false) => missed.push(missed_goal(line, &route)),
                None => {}
            }
        }
        let all = met + missed.len();
        let mut text = format!("{met} of {all} goals are met.");
        if !missed.is_empty() {
            let _ = write!(text, " Missed: {}.", missed.join("; "));
        }
        text + "\n"
    }

    /// What a stream and a token cost as there are more of them.
    fn growth_table(&self) -> Option<String> {
        let mut rows = vec![vec!["growth".to_owned(), "figure".to_owned()]];
        rows[0].extend(self.growth.iter().map(ToString::to_string));
        let streams = |size: u64| Workload::SlowStreams(size);
        let flood = |tokens: u64| Workload::Flood { tokens };
        for route in [RELAYED, NATIVE_OPENAI] {
            for (kind, figure, workload) in [
                ("slow streams", "memory per stream, KiB", &streams as &dyn Fn(u64) -> Workload),
                ("slow streams", "CPU per token, µs", &streams),
                ("tokens an answer", "CPU per token, µs", &flood),
            ] {
                let of = |size: &u64| {
                    median(self.results.values(workload(*size), &route, figure)).map(number)
                };
                let mut row = vec![format!("{kind}, {}", route.name), figure.to_owned()];
                row.extend(self.growth.iter().map(of).collect::<Option<Vec<_>>>()?);
                rows.push(row);
            }
        }
        (!self.growth.is_empty()).then(|| table(&rows))
    }

    /// How much more two workers on two cores can do than one, by what they take of a core.
    fn workers_table(&self) -> Option<String> {
        let mut rows = vec![
            ["two workers", "CPU per stream, µs", "one worker", "capacity"]
                .map(str::to_owned)
                .to_vec(),
        ];
        for (one, two) in [(RELAYED, RELAYED_TWO), (NATIVE_OPENAI, NATIVE_TWO)] {
            let of = |route: &Route| {
                self.results.values(Workload::ShortAnswers, route, "CPU per stream, µs")
            };
            let (one, two_values) = (of(&one), of(&two));
            let gains = one.iter().zip(&two_values).map(|(one, two)| 2.0 * one / two).collect();
            rows.push(vec![
                two.name.to_owned(),
                number(median(two_values)?),
                number(median(one)?),
                format!("{:.2}×", median(gains)?),
            ]);
        }
        Some(table(&rows))
    }

    /// What it costs to keep a stream for a client that may come back.
    fn kept_table(&self) -> Option<String> {
        let mut rows = vec![
            ["kept streams", "figure", "kept", "not kept", "ratio"].map(str::to_owned).to_vec(),
        ];
        for (workload, figure) in [
            (Workload::ShortAnswers, "CPU per stream, µs"),
            (FLOOD, "CPU per token, µs"),
            (Workload::Paced, "CPU per token, µs"),
            (FEWER, "memory per stream, KiB"),
        ] {
            let of = |route: &Route| self.results.values(workload, route, figure);
            let (kept, plain) = (of(&RELAYED_KEPT), of(&RELAYED));
            let ratios = kept.iter().zip(&plain).map(|(kept, plain)| kept / plain).collect();
            rows.push(vec![
                name(workload),
                figure.to_owned(),
                number(median(kept)?),
                number(median(plain)?),
                format!("{:.2}×", median(ratios)?),
            ]);
        }
        Some(table(&rows))
    }

    /// Every value of every round.
    pub fn json(&self) -> Value {
        let lines = LINES.iter().flat_map(|line| proxies().map(move |route| (line, route)));
        let cells = lines.filter_map(|(line, route)| {
            let cell = self.results.cell(line, &route)?;
            Some(json!({
                "workload": name(line.workload),
                "figure": line.figure,
                "route": route.name,
                "values": cell.values,
                "median": cell.median,
                "timesNginx": cell.to_nginx,
                "timesDirect": cell.to_direct,
                "goal": goal(line.goal),
                "met": cell.is_met,
            }))
        });
        json!({
            "machine": self.machine,
            "rounds": self.rounds,
            "figures": cells.collect::<Vec<_>>(),
            "all": self.results.json(),
        })
    }
}

fn missed_goal(line: &Line, route: &Route) -> String {
    format!("{}, {} ({})", name(line.workload), line.figure, route.name)
}

fn show(cell: &Cell) -> String {
    let ratio = |ratio: Option<f64>| ratio.map_or_else(|| "–".to_owned(), |it| format!("{it:.2}"));
    let value = number(cell.median);
    match (cell.to_nginx, cell.to_direct) {
        (None, None) => value,
        (nginx, None) => format!("{value} ({})", ratio(nginx)),
        (nginx, direct) => format!("{value} ({} / {})", ratio(nginx), ratio(direct)),
    }
}

fn goal(goal: Goal) -> String {
    match goal {
        Goal::None => String::new(),
        Goal::TimesNginx(relayed, translated) if (relayed - translated).abs() < f64::EPSILON => {
            format!("{relayed}×")
        }
        Goal::TimesNginx(relayed, translated) => format!("{relayed}×, {translated}×"),
        Goal::AtMost(most) => format!("≤ {most}"),
    }
}

/// Three digits that mean something.
pub fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A table in Markdown whose columns also align as text.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<_> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(text, "| {cell:width$} ");
        }
        text.push_str("|\n");
        if index == 0 {
            for width in &widths {
                let _ = write!(text, "|{}", "-".repeat(width + 2));
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::NGINX_OPENAI;

    #[test]
    fn the_report_shows_ratios_goals_and_what_is_missed() {
        let mut results = Results::default();
        let figure = "CPU per stream, µs";
        for (route, cpu) in [(NGINX_OPENAI, 20.0), (RELAYED, 28.0), (NATIVE_OPENAI, 60.0)] {
            results.add(Workload::ShortAnswers, &route, vec![(figure, cpu)]);
        }
        let run = Run { machine: "a machine", rounds: 1, results: &results, growth: &[] };
        let text = run.markdown();
        let row = text.lines().find(|line| line.contains(figure)).unwrap();
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let expected = ["", "W2 short answers", figure, "20.0", "28.0 (1.40)", "60.0 (3.00)"];
        assert_eq!(cells[..6], expected);
        let verdict = "1 of 2 goals are met. Missed: W2 short answers, CPU per stream, µs (native from OpenAI).";
        assert!(text.contains(verdict), "{text}");
        assert_eq!(run.json()["figures"][1]["timesNginx"], 1.4);
    }

    #[test]
    fn numbers_keep_three_digits() {
        assert_eq!([1234.5, 123.45, 12.345, 1.2345].map(number), ["1234", "123", "12.3", "1.23"]);
    }
}
