//! Reads the keys of one section: typed, with defaults, every fault and every value noted.

use toml_edit::{Item, TableLike, Value};

use super::document::Document;
use super::environment::{Environment, Override};
use super::fault::{Problem, Source};
use super::kind::Kind;
use super::raw::Raw;
use super::report::Report;

/// How [`Report`] shows a key that has no value and no default.
const NOT_SET: &str = "(not set)";

/// Where values come from.
#[derive(Clone, Copy)]
pub(super) struct Sources<'a> {
    pub(super) document: &'a Document<'a>,
    pub(super) environment: &'a Environment,
}

/// A table of the file with the variables that override it. Either may be absent.
///
/// A wrong value is noted and its default goes on in its place, so that reading never stops at
/// the first fault.
pub(super) struct Section<'a> {
    pub(super) sources: Sources<'a>,
    pub(super) table: Option<&'a dyn TableLike>,
    /// Where the section itself stands, for keys that are missing in it.
    pub(super) source: Source,
    pub(super) path: String,
    pub(super) overrides: Vec<Override<'a>>,
    /// The keys asked for so far.
    pub(super) known: Vec<&'static str>,
    pub(super) report: &'a mut Report,
}

/// What reading a key came to.
enum Reading<T> {
    Absent,
    Faulty,
    Value(T),
}

impl<'a> Section<'a> {
    /// The value of a key, or its default.
    pub(super) fn get<T>(&mut self, key: &'static str, kind: &Kind<T>, default: T) -> T {
        match self.read(key, kind) {
            Reading::Value(value) => value,
            Reading::Faulty => default,
            Reading::Absent => {
                self.record(key, kind.show(&default), Source::Default);
                default
            }
        }
    }

    /// The value of a key that may be left out.
    pub(super) fn optional<T>(&mut self, key: &'static str, kind: &Kind<T>) -> Option<T> {
        match self.read(key, kind) {
            Reading::Value(value) => Some(value),
            Reading::Faulty => None,
            Reading::Absent => {
                self.record(key, NOT_SET.to_owned(), Source::Default);
                None
            }
        }
    }

    /// The value of a key that has no default. None has been noted as a fault.
    pub(super) fn required<T>(&mut self, key: &'static str, kind: &Kind<T>) -> Option<T> {
        match self.read(key, kind) {
            Reading::Value(value) => Some(value),
            Reading::Faulty => None,
            Reading::Absent => {
                self.missing(key, kind.allowed.clone());
                None
            }
        }
    }

    /// The values of a list, empty by default. Only the file has lists.
    pub(super) fn list<T>(&mut self, key: &'static str, kind: &Kind<T>) -> Vec<T> {
        self.known.push(key);
        let Some((item, source)) = self.in_file(key) else {
            self.record(key, "[]".to_owned(), Source::Default);
            return Vec::new();
        };
        let Some(array) = item.as_array() else {
            let problem = Problem::NotAllowed(format!("a list, each {}", kind.allowed));
            self.fault(key, Some(kind.quote(Raw::of(item))), source, problem);
            return Vec::new();
        };
        let values: Vec<T> =
            array.iter().filter_map(|value| self.element(key, kind, value)).collect();
        let shown: Vec<_> = values.iter().map(|value| kind.show(value)).collect();
        self.record(key, format!("[{}]", shown.join(", ")), source);
        values
    }

    fn element<T>(&mut self, key: &str, kind: &Kind<T>, value: &Value) -> Option<T> {
        let raw = Raw::Toml(value);
        let parsed = kind.parse(raw);
        if parsed.is_none() {
            let source = self.sources.document.source(value.span());
            let problem = Problem::NotAllowed(kind.allowed.clone());
            self.fault(key, Some(kind.quote(raw)), source, problem);
        }
        parsed
    }

    fn read<T>(&mut self, key: &'static str, kind: &Kind<T>) -> Reading<T> {
        self.known.push(key);
        let Some((raw, source)) = self.given(key) else { return Reading::Absent };
        if let Some(value) = kind.parse(raw) {
            self.record(key, kind.show(&value), source);
            return Reading::Value(value);
        }
        let problem = Problem::NotAllowed(kind.allowed.clone());
        self.fault(key, Some(kind.quote(raw)), source, problem);
        Reading::Faulty
    }

    /// A variable goes before the file.
    fn given(&self, key: &str) -> Option<(Raw<'a>, Source)> {
        if let Some(found) = self.overrides.iter().find(|found| found.key == key) {
            return Some((Raw::Variable(found.value), Source::Variable(found.variable)));
        }
        self.in_file(key).map(|(item, source)| (Raw::of(item), source))
    }

    /// Whether the file or a variable has a value for a key.
    pub(super) fn is_given(&self, key: &str) -> bool {
        self.given(key).is_some()
    }

    /// What the file has for a key, whatever the environment says.
    pub(super) fn in_file(&self, key: &str) -> Option<(&'a Item, Source)> {
        let (key, item) = self.table?.get_key_value(key)?;
        Some((item, self.sources.document.source(key.span().or_else(|| item.span()))))
    }

    /// Notes that the value of a key does not go with another one, unless something is wrong with
    /// it anyway.
    pub(super) fn conflict(&mut self, key: &str, explanation: impl Into<String>) {
        let path = self.path_of(key);
        if self.report.is_faulty(&path) {
            return;
        }
        let setting = self.report.setting(&path);
        let (found, source) = match setting {
            Some(setting) => (Some(setting.value.clone()), setting.source.clone()),
            None => (None, self.source.clone()),
        };
        self.report.fault(&path, found, source, Problem::Conflict(explanation.into()));
    }

    /// Notes that a key should be there.
    pub(super) fn missing(&mut self, key: &str, allowed: impl Into<String>) {
        let problem = Problem::Missing(allowed.into());
        self.fault(key, None, self.source.clone(), problem);
    }

    /// Whether nothing is wrong with a key so far.
    pub(super) fn is_sound(&self, key: &str) -> bool {
        !self.report.is_faulty(&self.path_of(key))
    }

    pub(super) fn fault(
        &mut self,
        key: &str,
        found: Option<String>,
        source: Source,
        problem: Problem,
    ) {
        let path = self.path_of(key);
        self.report.fault(&path, found, source, problem);
    }

    fn record(&mut self, key: &str, value: String, source: Source) {
        let path = self.path_of(key);
        self.report.record(path, value, source);
    }

    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}
