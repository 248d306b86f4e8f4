//! What reading a configuration brings to light: the settings in effect, and the faults.

use std::sync::Arc;

use super::fault::{Fault, Problem, Source};

/// How wide the `key = value` column of [`render`] may grow; longer lines stick out.
const MAX_COLUMN: usize = 64;

/// One setting in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// The path of the key, as in `server.port` or `models[0].name`.
    pub key: String,
    /// The value as TOML would write it; `********` for secrets.
    pub value: String,
    pub source: Source,
}

/// Every setting of a configuration as it was read, secrets hidden.
#[derive(Debug, Clone, Default)]
pub struct Shown(pub Arc<[Effective]>);

/// In which line a setting stands is no part of what it is.
impl PartialEq for Shown {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Writes one line for each setting: `server.port = 3000   # config/tidegate.toml:3`.
pub(super) fn render(effective: &[Effective]) -> String {
    let settings: Vec<_> =
        effective.iter().map(|setting| format!("{} = {}", setting.key, setting.value)).collect();
    let widths = settings.iter().map(|setting| setting.chars().count());
    let column = widths.max().unwrap_or(0).min(MAX_COLUMN);
    let lines = settings.iter().zip(effective);
    let lines = lines.map(|(left, setting)| format!("{left:column$}   # {}", setting.source));
    lines.collect::<Vec<_>>().join("\n")
}

/// The findings so far.
#[derive(Default)]
pub(super) struct Report {
    pub(super) faults: Vec<Fault>,
    pub(super) effective: Vec<Effective>,
    pub(super) warnings: Vec<String>,
}

impl Report {
    pub(super) fn record(&mut self, key: String, value: String, source: Source) {
        self.effective.push(Effective { key, value, source });
    }

    pub(super) fn fault(
        &mut self,
        key: &str,
        found: Option<String>,
        source: Source,
        problem: Problem,
    ) {
        self.faults.push(Fault { key: key.to_owned(), found, source, problem });
    }

    pub(super) fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }

    /// Whether something is wrong with the key at `path`, or below it.
    pub(super) fn is_faulty(&self, path: &str) -> bool {
        self.faults.iter().any(|fault| {
            let rest = fault.key.strip_prefix(path);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    /// Whether a variable has set anything.
    pub(super) fn uses(&self, variable: &'static str) -> bool {
        self.effective.iter().any(|setting| setting.source == Source::Variable(variable))
    }

    /// The setting at `path`, if it has been read.
    pub(super) fn setting(&self, path: &str) -> Option<&Effective> {
        self.effective.iter().rev().find(|setting| setting.key == path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_aligned() {
        let mut report = Report::default();
        report.record("a".to_owned(), "1".to_owned(), Source::Default);
        report.record("long.key".to_owned(), "\"x\"".to_owned(), Source::Variable("X"));
        assert_eq!(
            render(&report.effective),
            "a = 1            # default\n\
             long.key = \"x\"   # X"
        );
    }

    #[test]
    fn a_fault_below_a_key_is_the_keys_own() {
        let mut report = Report::default();
        let problem = Problem::Missing("a name".to_owned());
        report.fault("models[0].name", None, Source::Default, problem);
        for (path, faulty) in
            [("models", true), ("models[0]", true), ("models[0].name", true), ("model", false)]
        {
            assert_eq!(report.is_faulty(path), faulty, "{path}");
        }
    }
}
