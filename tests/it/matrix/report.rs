//! The report of a run: a table of what was tried and seen, kept in `docs/reliability.md`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::Write as _;
use std::path::PathBuf;

const BEGIN: &str = "<!-- matrix: begin -->\n";
const END: &str = "<!-- matrix: end -->\n";

/// One row: a fault at a place.
#[derive(Default)]
pub struct Row {
    pub trials: usize,
    /// How many clients saw what.
    pub saw: BTreeMap<String, usize>,
    pub silent_truncations: usize,
    pub double_terminals: usize,
    /// Streams that were still there when all was over.
    pub leaks: usize,
}

/// What is left when all is over.
#[derive(Default, Debug, PartialEq, Eq)]
pub struct Leaks {
    pub streams: usize,
    pub permits: usize,
    pub upstream_requests: usize,
    pub sockets: usize,
}

#[derive(Default)]
pub struct Report {
    pub rows: BTreeMap<(&'static str, &'static str), Row>,
    pub started: usize,
    pub outcomes: BTreeMap<&'static str, u64>,
    pub leaks: Leaks,
}

impl Report {
    pub fn trials(&self) -> usize {
        self.rows.values().map(|row| row.trials).sum()
    }

    /// Trials with a fault in them.
    pub fn positions(&self) -> usize {
        let faulty = self.rows.iter().filter(|((fault, _), _)| *fault != "none");
        faulty.map(|(_, row)| row.trials).sum()
    }

    pub fn silent_truncations(&self) -> usize {
        self.rows.values().map(|row| row.silent_truncations).sum()
    }

    pub fn double_terminals(&self) -> usize {
        self.rows.values().map(|row| row.double_terminals).sum()
    }

    pub fn markdown(&self) -> String {
        let mut text = String::from(
            "| fault | where | trials | the client saw | silent truncations | double terminals | leaks |\n\
             |---|---|--:|---|--:|--:|--:|\n",
        );
        for ((fault, place), row) in &self.rows {
            let saw: Vec<_> =
                row.saw.iter().map(|(what, count)| format!("{count} × {what}")).collect();
            let Row { trials, silent_truncations, double_terminals, leaks, .. } = row;
            writeln!(
                text,
                "| {fault} | {place} | {trials} | {} | {silent_truncations} | {double_terminals} | {leaks} |",
                saw.join(", ")
            )
            .unwrap();
        }
        let (truncations, doubles) = (self.silent_truncations(), self.double_terminals());
        let Leaks { streams, permits, upstream_requests, sockets } = self.leaks;
        let outcomes: Vec<_> =
            self.outcomes.iter().map(|(name, count)| format!("{count} `{name}`")).collect();
        write!(
            text,
            "\n{} trials, {} of them with a fault: **{truncations} silent truncations, {doubles} double \
             terminals**; left behind: {streams} streams, {permits} permits, {upstream_requests} requests at \
             an upstream, {sockets} sockets. By the gateway's own metrics {} streams were started, and ended as {}.\n",
            self.trials(),
            self.positions(),
            self.started,
            outcomes.join(", "),
        )
        .unwrap();
        text
    }

    /// Prints the report, past the test harness that would swallow it.
    pub fn print(&self, seed: u64) {
        let text = format!("\nReliability matrix, seed {seed}\n\n{}\n", self.markdown());
        std::io::stderr().write_all(text.as_bytes()).unwrap();
    }

    /// Holds the report against the one in the document; with `UPDATE_DOCS=1` writes it there.
    pub fn compare(&self) {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/reliability.md");
        let document = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = document.split_once(BEGIN).expect("the document has the mark");
        let (kept, after) = rest.split_once(END).expect("the document has the end mark");
        let found = self.markdown();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, [before, BEGIN, &found, END, after].concat()).unwrap();
            return;
        }
        let odd: Vec<_> =
            found.lines().filter(|line| !kept.lines().any(|old| old == *line)).collect();
        assert!(
            found == kept,
            "docs/reliability.md says otherwise; UPDATE_DOCS=1 writes it anew:\n{}",
            odd.join("\n")
        );
    }
}
