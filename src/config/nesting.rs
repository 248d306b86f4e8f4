//! Sections within sections, and the keys that no section knows.

use toml_edit::{Item, TableLike};

use super::environment::Override;
use super::fault::{Problem, Source};
use super::report::Report;
use super::section::{Section, Sources};
use super::suggest::nearest;

impl<'a> Section<'a> {
    /// Reads the whole document.
    pub(super) fn read_root<T>(
        sources: Sources<'a>,
        report: &'a mut Report,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> T {
        let mut root = Section {
            sources,
            table: Some(sources.document.root()),
            source: Source::Default,
            path: String::new(),
            overrides: Vec::new(),
            known: Vec::new(),
            report,
        };
        let value = read(&mut root);
        root.refuse_unknown_keys();
        value
    }

    /// Reads the section `[key]`. One that is not in the file has its defaults.
    pub(super) fn section<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> T {
        self.known.push(key);
        let path = self.path_of(key);
        let found = self.in_file(key);
        let source = found.as_ref().map_or(Source::Default, |(_, source)| source.clone());
        let table = found.and_then(|(item, source)| {
            let table = item.as_table_like();
            if table.is_none() {
                let problem = Problem::NotAllowed(format!("a table: [{path}]"));
                self.fault(key, Some(item.type_name().to_owned()), source, problem);
            }
            table
        });
        let overrides = self.sources.environment.overrides(&path);
        self.nested(Place { table, source, path, overrides }, read)
    }

    /// Reads every section `[[key]]`, in the order of the file.
    pub(super) fn sections<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Section<'_>) -> T,
    ) -> Vec<T> {
        self.known.push(key);
        let Some((item, source)) = self.in_file(key) else { return Vec::new() };
        let Some(tables) = tables(item) else {
            let problem = Problem::NotAllowed(format!("tables: [[{}]]", self.path_of(key)));
            self.fault(key, Some(item.type_name().to_owned()), source, problem);
            return Vec::new();
        };
        let mut values = Vec::new();
        for (index, (table, span)) in tables.into_iter().enumerate() {
            let source = self.sources.document.source(span);
            let path = format!("{}[{index}]", self.path_of(key));
            let overrides = Vec::new();
            values.push(
                self.nested(Place { table: Some(table), source, path, overrides }, &mut read),
            );
        }
        values
    }

    /// Reads one more section `[[key]]`, which only the environment has.
    pub(super) fn section_from_environment<T>(
        &mut self,
        key: &str,
        index: usize,
        overrides: Vec<Override<'a>>,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> T {
        let path = format!("{}[{index}]", self.path_of(key));
        let named = overrides.first();
        let source = named.map_or(Source::Default, |named| Source::Variable(named.variable));
        self.nested(Place { table: None, source, path, overrides }, read)
    }

    fn nested<T>(&mut self, place: Place<'a>, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        let Place { table, source, path, overrides } = place;
        let mut inner = Section {
            sources: self.sources,
            table,
            source,
            path,
            overrides,
            known: Vec::new(),
            report: &mut *self.report,
        };
        let value = read(&mut inner);
        inner.refuse_unknown_keys();
        value
    }

    /// A key nobody asked for is misspelt or misplaced. Its value is not quoted: it may be a
    /// secret.
    fn refuse_unknown_keys(&mut self) {
        let Some(table) = self.table else { return };
        for (key, _) in table.iter().filter(|(key, _)| !self.known.contains(key)) {
            let source =
                self.in_file(key).map_or_else(|| self.source.clone(), |(_, source)| source);
            let nearest = nearest(key, &self.known).map(str::to_owned);
            // A quoted key can have line ends in it; a fault has one line.
            let path = self.path_of(&key.escape_debug().to_string());
            self.report.fault(&path, None, source, Problem::UnknownKey { nearest });
        }
    }
}

/// Where a nested section is found.
struct Place<'a> {
    table: Option<&'a dyn TableLike>,
    source: Source,
    path: String,
    overrides: Vec<Override<'a>>,
}

type Spanned<'a> = (&'a dyn TableLike, Option<std::ops::Range<usize>>);

/// The tables of `[[key]]` or of `key = [{ ... }, { ... }]`.
fn tables(item: &Item) -> Option<Vec<Spanned<'_>>> {
    if let Some(tables) = item.as_array_of_tables() {
        return Some(tables.iter().map(|table| (table as &dyn TableLike, table.span())).collect());
    }
    item.as_array()?
        .iter()
        .map(|value| Some((value.as_inline_table()? as &dyn TableLike, value.span())))
        .collect()
}
