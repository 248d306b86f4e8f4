//! What is looked at: the streams in their order, the filter, the selected one, and what keys do.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::column::Column;
use super::lists::{Lists, Stream};

/// A longer filter finds nothing that a shorter one does not.
const FILTER_CHARS: usize = 64;
/// A page of the table, whose height only the screen knows.
const PAGE: isize = 10;

/// What a key asks for beyond another view.
#[derive(Debug, PartialEq, Eq)]
pub enum Wish {
    Quit,
    /// Let the shell have the terminal for a while.
    Stop,
    /// Cancel the stream of that id.
    Cancel(String),
}

/// What keys are for at the moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Mode {
    #[default]
    Browse,
    /// They write the filter.
    Filter,
    /// They answer whether the stream of that id is to be cancelled. The list may move meanwhile,
    /// the question does not.
    Confirm(String),
}

#[derive(Debug)]
pub struct View {
    pub lists: Lists,
    pub sort: Column,
    pub descending: bool,
    pub filter: String,
    /// By id: it stays the same stream wherever the order puts it.
    pub selected: Option<String>,
    pub mode: Mode,
    /// Why the last look at the gateway saw nothing.
    pub failure: Option<String>,
    /// What became of a cancel, until the next key.
    pub notice: Option<String>,
}

impl Default for View {
    fn default() -> Self {
        Self {
            lists: Lists::default(),
            sort: Column::Age,
            descending: true,
            filter: String::new(),
            selected: None,
            mode: Mode::default(),
            failure: None,
            notice: None,
        }
    }
}

impl View {
    /// The streams that the filter lets through, in their order.
    #[must_use]
    pub fn rows(&self) -> Vec<&Stream> {
        let filter = self.filter.to_lowercase();
        let matches = |stream: &&Stream| {
            filter.is_empty()
                || Column::ALL.iter().any(|it| it.text(stream).to_lowercase().contains(&filter))
        };
        let mut rows: Vec<_> = self.lists.streams.streams.iter().filter(matches).collect();
        rows.sort_by(|a, b| {
            let order = self.sort.order(a, b);
            let order = if self.descending { order.reverse() } else { order };
            // Equals must not change places from one look to the next.
            order.then_with(|| a.request_id.cmp(&b.request_id))
        });
        rows
    }

    /// Which row is selected.
    #[must_use]
    pub fn position(&self, rows: &[&Stream]) -> Option<usize> {
        let selected = self.selected.as_deref()?;
        rows.iter().position(|row| row.request_id == selected)
    }

    /// New lists; the selection goes with its stream.
    pub fn update(&mut self, lists: Lists) {
        let rows = self.rows();
        let before = self.position(&rows);
        self.lists = lists;
        let rows = self.rows();
        if self.position(&rows).is_none() {
            // Whoever comes to stand where it stood.
            let place = before.map(|at| at.min(rows.len().saturating_sub(1)));
            self.selected = place.and_then(|at| rows.get(at)).map(|row| row.request_id.clone());
        }
    }

    /// What a key does.
    pub fn press(&mut self, key: KeyEvent) -> Option<Wish> {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Some(Wish::Quit),
                KeyCode::Char('z') => Some(Wish::Stop),
                _ => None,
            };
        }
        self.notice = None;
        match std::mem::take(&mut self.mode) {
            Mode::Browse => self.browse(key.code),
            Mode::Filter => {
                self.write_filter(key.code);
                None
            }
            Mode::Confirm(id) => {
                let is_yes = matches!(key.code, KeyCode::Char('y' | 'Y'));
                is_yes.then_some(Wish::Cancel(id))
            }
        }
    }

    fn browse(&mut self, key: KeyCode) -> Option<Wish> {
        match key {
            KeyCode::Char('q') => return Some(Wish::Quit),
            KeyCode::Char('c') | KeyCode::Delete => match self.selected.clone() {
                Some(id) => self.mode = Mode::Confirm(id),
                None => self.notice = Some("select a stream first, by the arrows".to_owned()),
            },
            KeyCode::Char('/') => self.mode = Mode::Filter,
            KeyCode::Char('r') => self.descending = !self.descending,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Up | KeyCode::Char('k') => self.select_by(-1),
            KeyCode::Down | KeyCode::Char('j') => self.select_by(1),
            KeyCode::PageUp => self.select_by(-PAGE),
            KeyCode::PageDown => self.select_by(PAGE),
            KeyCode::Home => self.select_by(isize::MIN),
            KeyCode::End => self.select_by(isize::MAX),
            KeyCode::Left => self.sort_by(Column::ALL.len() - 1),
            KeyCode::Right => self.sort_by(1),
            _ => {}
        }
        None
    }

    fn write_filter(&mut self, key: KeyCode) {
        self.mode = Mode::Filter;
        match key {
            KeyCode::Char(c) if self.filter.chars().count() < FILTER_CHARS => self.filter.push(c),
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Enter => self.mode = Mode::Browse,
            KeyCode::Esc => {
                self.filter.clear();
                self.mode = Mode::Browse;
            }
            _ => {}
        }
    }

    fn select_by(&mut self, step: isize) {
        let rows = self.rows();
        let last = rows.len().saturating_sub(1);
        let at = match self.position(&rows) {
            Some(at) => at.saturating_add_signed(step).min(last),
            None if step == isize::MAX => last,
            None => 0,
        };
        self.selected = rows.get(at).map(|row| row.request_id.clone());
    }

    /// So many columns to the right, and around.
    fn sort_by(&mut self, steps: usize) {
        let at = Column::ALL.iter().position(|column| *column == self.sort).unwrap_or_default();
        let next = Column::ALL.get((at + steps) % Column::ALL.len());
        self.sort = next.copied().unwrap_or(self.sort);
        // Of numbers the largest are looked for, of names the first.
        self.descending = self.sort.is_number();
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::cli::top::lists::{Stats, Streams};

    /// A view of streams `s0`, `s1` and so on, each with its model and its tokens.
    pub fn view(streams: &[(&str, u64)]) -> View {
        let mut view = View::default();
        view.update(lists(streams));
        view
    }

    pub fn lists(streams: &[(&str, u64)]) -> Lists {
        let stream = |(number, (model, tokens)): (usize, &(&str, u64))| Stream {
            request_id: format!("s{number}"),
            model: (*model).to_owned(),
            state: "streaming".to_owned(),
            tokens: *tokens,
            age_ms: 1000 + *tokens,
            ..Stream::default()
        };
        let streams: Vec<_> = streams.iter().enumerate().map(stream).collect();
        let stats = Stats { max_streams: 10, ..Stats::default() };
        let active_count = streams.len() as u64;
        Lists { streams: Streams { active_count, stats, streams }, models: Vec::new() }
    }

    pub fn press(view: &mut View, keys: &[KeyCode]) -> Option<Wish> {
        let pressed = keys.iter().map(|key| view.press(KeyEvent::new(*key, KeyModifiers::NONE)));
        pressed.collect::<Vec<_>>().pop().flatten()
    }

    fn ids(view: &View) -> Vec<&str> {
        view.rows().iter().map(|row| row.request_id.as_str()).collect()
    }

    #[test]
    fn any_column_sorts_both_ways() {
        let mut view = view(&[("b", 5), ("a", 9), ("c", 1)]);
        assert_eq!(ids(&view), ["s1", "s0", "s2"], "the oldest first");
        while view.sort != Column::Model {
            press(&mut view, &[KeyCode::Right]);
        }
        assert_eq!(ids(&view), ["s1", "s0", "s2"]);
        press(&mut view, &[KeyCode::Char('r')]);
        assert_eq!(ids(&view), ["s2", "s0", "s1"]);
        press(&mut view, &[KeyCode::Left, KeyCode::Left]);
        assert_eq!(view.sort, Column::Buffered, "around the corner");
        assert_eq!(ids(&view), ["s0", "s1", "s2"], "equals have an order");
    }

    #[test]
    fn the_filter_looks_into_every_column() {
        let mut view = view(&[("llama", 5), ("qwen", 9)]);
        let typed = [KeyCode::Char('/'), KeyCode::Char('Q'), KeyCode::Char('w')];
        press(&mut view, &typed);
        assert_eq!((ids(&view), &view.mode), (vec!["s1"], &Mode::Filter));
        // A letter that is a command elsewhere.
        press(&mut view, &[KeyCode::Backspace, KeyCode::Backspace, KeyCode::Char('c')]);
        assert_eq!(view.filter, "c");
        press(&mut view, &[KeyCode::Esc]);
        assert_eq!((ids(&view).len(), &view.mode), (2, &Mode::Browse));
    }

    #[test]
    fn the_selection_stays_with_its_stream() {
        let mut view = view(&[("a", 3), ("a", 2), ("a", 1)]);
        press(&mut view, &[KeyCode::Down, KeyCode::Down]);
        assert_eq!(view.selected.as_deref(), Some("s1"));
        view.update(lists(&[("a", 1), ("a", 9), ("a", 3)]));
        assert_eq!((ids(&view)[0], view.selected.as_deref()), ("s1", Some("s1")));
        view.update(lists(&[("a", 1)]));
        assert_eq!(view.selected.as_deref(), Some("s0"), "its place goes to the next");
        press(&mut view, &[KeyCode::End, KeyCode::Home, KeyCode::PageDown, KeyCode::Up]);
        assert_eq!(view.selected.as_deref(), Some("s0"));
        view.update(lists(&[]));
        assert_eq!(view.selected, None);
        assert_eq!(press(&mut view, &[KeyCode::Char('c'), KeyCode::Char('y')]), None);
    }

    #[test]
    fn a_cancel_is_asked_about_and_meant_for_the_stream_that_was_selected() {
        let mut view = view(&[("a", 3), ("a", 2)]);
        press(&mut view, &[KeyCode::Down, KeyCode::Char('c')]);
        assert_eq!(view.mode, Mode::Confirm("s0".to_owned()));
        assert_eq!(press(&mut view, &[KeyCode::Enter]), None, "anything but y is no");
        press(&mut view, &[KeyCode::Char('c')]);
        view.update(lists(&[]));
        let wish = press(&mut view, &[KeyCode::Char('y')]);
        assert_eq!(wish, Some(Wish::Cancel("s0".to_owned())));
    }

    #[test]
    fn control_c_ends_it_from_everywhere_and_control_z_stops_it() {
        for mode in [Mode::Browse, Mode::Filter, Mode::Confirm("s0".to_owned())] {
            let mut view = View { mode: mode.clone(), ..View::default() };
            let mut press = |c| view.press(KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL));
            assert_eq!(press('z'), Some(Wish::Stop));
            assert_eq!(press('c'), Some(Wish::Quit));
            assert_eq!(view.mode, mode, "it is all the same behind it");
        }
    }
}
