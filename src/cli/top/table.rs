//! The streams as a table: on a screen as wide as that is, or all of it for a script.

use super::column::Column;
use super::lists::Stream;
use crate::cli::printable;

/// Of an id so much is shown where there is no room for all: enough to tell streams apart.
const SHORT_ID: usize = 8;
/// Of names where there is no room.
const SHORT_NAME: usize = 14;
const GAP: &str = "  ";
const NONE: &str = "-";

/// What goes first where there is no room even so. An id is never left out, nor is what the order goes by.
const LEAST_FIRST: [Column; 9] = [
    Column::Buffered,
    Column::Target,
    Column::FirstToken,
    Column::Owner,
    Column::Rate,
    Column::State,
    Column::Tokens,
    Column::Age,
    Column::Model,
];

/// The columns that are shown, and how wide each is.
#[derive(Debug)]
pub struct Table(Vec<(Column, usize)>);

impl Table {
    /// As wide as the streams need.
    #[must_use]
    pub fn whole(rows: &[&Stream]) -> Self {
        let width = |column: Column| {
            let widths = rows.iter().map(|row| printable::width(&text(column, row)));
            // The mark of the order stands behind the title.
            widths.max().unwrap_or(0).max(column.title().len() + 1)
        };
        Self(Column::ALL.map(|column| (column, width(column))).into())
    }

    /// In so many columns: what is long is shortened, then what matters least is left out.
    #[must_use]
    pub fn within(rows: &[&Stream], width: usize, sorted: Column) -> Self {
        let mut table = Self::whole(rows);
        for (limited, most) in [
            (&[Column::Id] as &[_], SHORT_ID),
            (&[Column::Model, Column::Target, Column::Owner], SHORT_NAME),
        ] {
            if table.width() <= width {
                break;
            }
            for (column, wide) in &mut table.0 {
                if limited.contains(column) {
                    *wide = (*wide).min(most);
                }
            }
        }
        for least in LEAST_FIRST.into_iter().filter(|column| *column != sorted) {
            if table.width() <= width {
                break;
            }
            table.0.retain(|(column, _)| *column != least);
        }
        table
    }

    fn width(&self) -> usize {
        let wide: usize = self.0.iter().map(|(_, wide)| wide).sum();
        wide + GAP.len() * self.0.len().saturating_sub(1)
    }

    /// The titles; one may have a mark.
    #[must_use]
    pub fn head(&self, marked: Option<(Column, char)>) -> String {
        self.line(|column| match marked {
            Some((sorted, mark)) if sorted == column => format!("{}{mark}", column.title()),
            _ => column.title().to_owned(),
        })
    }

    #[must_use]
    pub fn row(&self, stream: &Stream) -> String {
        self.line(|column| text(column, stream))
    }

    fn line(&self, text: impl Fn(Column) -> String) -> String {
        let cells = self.0.iter().map(|&(column, width)| {
            let text = text(column);
            let left = width.saturating_sub(printable::width(&text));
            if column.is_number() {
                printable::column(&format!("{:left$}{text}", ""), width)
            } else {
                printable::column(&text, width)
            }
        });
        cells.collect::<Vec<_>>().join(GAP)
    }
}

/// All streams, the titles first, for a script.
#[must_use]
pub fn plain(rows: &[&Stream]) -> String {
    let table = Table::whole(rows);
    let lines = std::iter::once(table.head(None)).chain(rows.iter().map(|row| table.row(row)));
    lines.fold(String::new(), |text, line| text + line.trim_end() + "\n")
}

/// No cell is empty: a script counts them.
fn text(column: Column, stream: &Stream) -> String {
    let text = column.text(stream);
    if text.is_empty() { NONE.to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::top::view::tests::view;

    #[test]
    fn a_script_gets_every_cell_of_every_stream() {
        let view = view(&[("llama3.2:1b", 5), ("a-model-with-quite-a-long-name", 12_345)]);
        let text = plain(&view.rows());
        let cells: Vec<Vec<_>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(cells[0], Column::ALL.map(Column::title));
        let [_, first, second] = cells.as_slice() else { panic!("{text}") };
        assert_eq!(first[..3], ["s1", "a-model-with-quite-a-long-name", "-"]);
        assert_eq!(second[4..8], ["streaming", "1.0s", "-", "5"]);
    }

    #[test]
    fn ids_and_then_names_are_shortened_where_there_is_no_room() {
        let mut view = view(&[("a-model-with-quite-a-long-name", 5)]);
        view.lists.streams.streams[0].request_id = "0123456789abcdef0123456789abcdef".to_owned();
        let rows = view.rows();
        let shown = |width| Table::within(&rows, width, Column::Age).row(rows[0]);
        assert!(shown(200).contains("0123456789abcdef0123456789abcdef"));
        let shorter = shown(120);
        assert!(shorter.starts_with("01234567  a-model-with-quite-a-long-name"), "{shorter}");
        assert!(shown(90).starts_with("01234567  a-model-with-q  "));
    }

    #[test]
    fn what_matters_least_is_left_out_and_never_what_the_order_goes_by() {
        let view = view(&[("a-model-with-quite-a-long-name", 5)]);
        let rows = view.rows();
        for width in 30..200 {
            for sorted in Column::ALL {
                let table = Table::within(&rows, width, sorted);
                let head = table.head(Some((sorted, '\u{25bc}')));
                assert!(printable::width(&head) <= width, "{head:?}");
                assert!(head.contains(&format!("{}\u{25bc}", sorted.title())), "{head:?}");
                assert!(head.starts_with("ID"), "{head:?}");
            }
        }
        let titles = |width| Table::within(&rows, width, Column::Age).head(None);
        assert!(titles(80).contains("TOK/S") && !titles(80).contains("BUFFERED"), "{}", titles(80));
        assert!(titles(60).contains("TOKENS"), "{}", titles(60));
    }
}
