//! The whole screen as lines: how much is going on, models and their targets, streams, keys.

use super::line::{Line, Style};
use super::lists::{Lists, Model, Stream, Target};
use super::quantity::{bytes, decimal, duration, percent};
use super::table::Table;
use super::view::{Mode, View};

/// The header, the titles of the streams, the last line.
const OTHER_LINES: usize = 3;
const KEYS: &str = "arrows select and sort  r reverse  / filter  c cancel  q quit";
const DOWN: char = '\u{25bc}';
const UP: char = '\u{25b2}';

/// The lines of a screen of that size; never more, and none wider.
#[must_use]
pub fn draw(view: &View, gateway: &str, (width, height): (usize, usize)) -> Vec<Line> {
    let mut lines = vec![header(view, gateway)];
    // Streams are what is looked at: models leave them half of the screen.
    let room = height.saturating_sub(OTHER_LINES) / 2;
    lines.extend(models(&view.lists, room));
    lines.extend(streams(view, width, height.saturating_sub(lines.len() + 1)));
    lines.truncate(height.saturating_sub(1));
    lines.resize_with(height.saturating_sub(1), Line::new);
    lines.push(footer(view));
    lines.into_iter().rev().take(height).rev().map(|line| line.fit(width)).collect()
}

fn header(view: &View, gateway: &str) -> Line {
    let (streams, rate) = (&view.lists.streams, view.lists.tokens_per_second());
    let stats = &streams.stats;
    let numbers = format!(
        "  streams {}/{}  queued {}  {} tok/s  buffered {}",
        streams.active_count,
        stats.max_streams,
        stats.queued,
        decimal(rate),
        bytes(stats.bytes_buffered),
    );
    Line::new().with(Style::Strong, gateway).with(Style::Plain, numbers)
}

/// Models with their targets, in so many lines.
fn models(lists: &Lists, room: usize) -> Vec<Line> {
    let of = |model| std::iter::once(model_line(model, lists)).chain(targets(model));
    let mut models: Vec<_> = lists.models.iter().collect();
    // What there is no room for must not be what is broken.
    let is_bad = |target: &Target| status(&target.status) == Style::Bad;
    models.sort_by_key(|model| {
        (status(&model.status) != Style::Bad, !model.targets.iter().any(is_bad))
    });
    let mut lines: Vec<_> = models.into_iter().flat_map(of).collect();
    let hidden = lines.len().saturating_sub(room);
    if hidden > 0 && room > 0 {
        lines.truncate(room - 1);
        let told = format!("... {} more lines of models and targets", hidden + 1);
        lines.push(Line::new().with(Style::Faint, told));
    }
    lines.truncate(room);
    lines
}

fn model_line(model: &Model, lists: &Lists) -> Line {
    let (active, queued) = (model.active(), lists.queued(&model.name));
    let permits = format!("  permits {active}/{}", model.max_concurrency);
    let is_full = model.max_concurrency > 0 && active >= model.max_concurrency;
    Line::new()
        .with(Style::Strong, &model.name)
        .with(Style::Plain, "  ")
        .with(status(&model.status), &model.status)
        .with(if is_full { Style::Warning } else { Style::Plain }, permits)
        .with(if queued > 0 { Style::Warning } else { Style::Plain }, format!("  queued {queued}"))
}

fn targets(model: &Model) -> impl Iterator<Item = Line> + use<'_> {
    let (bad, others): (Vec<_>, Vec<_>) =
        model.targets.iter().partition(|target| status(&target.status) == Style::Bad);
    bad.into_iter().chain(others).map(target_line)
}

fn target_line(target: &Target) -> Line {
    let circuit = match target.circuit.as_str() {
        "closed" => Style::Plain,
        "half-open" | "cooling" => Style::Warning,
        _ => Style::Bad,
    };
    let failing = if target.failing > 0.0 { Style::Warning } else { Style::Plain };
    let numbers = format!(
        "  active {}/{}  TTFT {}",
        target.active,
        target.max_concurrency,
        duration(target.time_to_first_token_ms)
    );
    let reason = target.reason.as_ref().map(|reason| format!("  {reason}")).unwrap_or_default();
    Line::new()
        .with(Style::Plain, format!("  {} ({})  ", target.name, target.provider))
        .with(status(&target.status), &target.status)
        .with(circuit, format!("  circuit {}", target.circuit))
        .with(Style::Plain, numbers)
        .with(failing, format!("  failing {}", percent(target.failing)))
        .with(Style::Faint, reason)
}

fn status(status: &str) -> Style {
    match status {
        "reachable" => Style::Good,
        "unreachable" => Style::Bad,
        _ => Style::Warning,
    }
}

/// The titles and the rows around the selected one.
fn streams(view: &View, width: usize, room: usize) -> Vec<Line> {
    let rows = view.rows();
    let table = Table::within(&rows, width, view.sort);
    let mark = if view.descending { DOWN } else { UP };
    let head = Line::new().with(Style::Strong, table.head(Some((view.sort, mark))));
    let selected = view.position(&rows);
    let shown = room.saturating_sub(1);
    let first = selected.map_or(0, |at| (at + 1).saturating_sub(shown));
    let rows = rows.iter().enumerate().skip(first).take(shown);
    let lines = rows.map(|(at, row)| {
        let line = row_line(&table, row);
        if Some(at) == selected { line.across(Style::Selected, width) } else { line }
    });
    std::iter::once(head).chain(lines).collect()
}

fn row_line(table: &Table, stream: &Stream) -> Line {
    let style = match stream.state.as_str() {
        "queued" => Style::Faint,
        _ => Style::Plain,
    };
    Line::new().with(style, table.row(stream))
}

fn footer(view: &View) -> Line {
    let filtered = match view.filter.as_str() {
        "" => String::new(),
        filter => format!("filter {filter}  (Esc clears)  "),
    };
    match (&view.mode, &view.failure, &view.notice) {
        (Mode::Confirm(id), ..) => {
            Line::new().with(Style::Warning, format!("y/n  cancel the stream {id}?"))
        }
        (Mode::Filter, ..) => {
            let typed = format!("filter: {}_  (Enter keeps, Esc clears)", view.filter);
            Line::new().with(Style::Strong, typed)
        }
        (_, Some(failure), _) => Line::new().with(Style::Bad, failure),
        (_, None, Some(notice)) => Line::new().with(Style::Good, notice),
        _ => Line::new().with(Style::Strong, filtered).with(Style::Faint, KEYS),
    }
}

#[cfg(test)]
mod tests {
    use crossterm::event::KeyCode;

    use super::*;
    use crate::cli::printable;
    use crate::cli::top::line::Span;
    use crate::cli::top::view::tests::{press, view};

    fn text(lines: &[Line]) -> Vec<String> {
        let text = |line: &Line| line.spans().iter().map(Span::text).collect();
        lines.iter().map(text).collect()
    }

    fn model(name: &str, targets: usize) -> Model {
        let target = || Target {
            name: "gpu".to_owned(),
            status: "unreachable".to_owned(),
            circuit: "open".to_owned(),
            active: 1,
            max_concurrency: 2,
            failing: 0.25,
            ..Target::default()
        };
        let targets = std::iter::repeat_with(target).take(targets).collect();
        let status = "reachable".to_owned();
        Model { name: name.to_owned(), status, max_concurrency: 4, targets }
    }

    #[test]
    fn everything_of_a_small_gateway_is_on_the_screen() {
        let mut view = view(&[("llama", 5), ("qwen", 7)]);
        view.lists.models = vec![model("llama", 2)];
        let shown = text(&draw(&view, "http://a", (130, 12)));
        assert_eq!(shown.len(), 12);
        assert_eq!(shown[0], "http://a  streams 2/10  queued 0  0.0 tok/s  buffered 0B");
        assert_eq!(shown[1], "llama  reachable  permits 2/4  queued 0");
        assert!(shown[2].contains("unreachable  circuit open  active 1/2  TTFT -  failing 25%"));
        assert!(shown[4].contains("AGE\u{25bc}"), "{shown:#?}");
        assert!(shown[5].starts_with("s1") && shown[6].starts_with("s0"), "{shown:#?}");
        assert_eq!(shown[11], KEYS);
    }

    #[test]
    fn no_screen_is_too_small() {
        let mut view = view(&[("llama", 5), ("qwen", 7), ("日本語", 9)]);
        view.lists.models = vec![model("llama", 5)];
        for height in 0..15 {
            for width in 0..140 {
                let shown = text(&draw(&view, "http://a", (width, height)));
                assert_eq!(shown.len(), height);
                assert!(shown.iter().all(|line| printable::width(line) <= width), "{shown:#?}");
            }
        }
    }

    #[test]
    fn the_selected_stream_is_always_to_be_seen() {
        let streams: Vec<_> = (0..50).map(|tokens| ("m", 100 - tokens)).collect();
        let mut view = view(&streams);
        for selected in 0..50 {
            press(&mut view, &[KeyCode::Down]);
            let lines = draw(&view, "http://a", (100, 9));
            let is_selected = |line: &&Line| line.spans()[0].style() == Style::Selected;
            let marked: Vec<_> = lines.iter().filter(|it| !it.spans().is_empty()).collect();
            let marked: Vec<_> = marked.into_iter().filter(is_selected).cloned().collect();
            assert_eq!(text(&marked).len(), 1, "{selected}");
            assert!(text(&marked)[0].starts_with(&format!("s{selected} ")));
            assert_eq!(printable::width(&text(&marked)[0]), 100);
        }
    }

    #[test]
    fn the_last_line_asks_and_tells() {
        let mut view = view(&[("m", 1)]);
        press(&mut view, &[KeyCode::Down, KeyCode::Char('c')]);
        let last = |view: &View| text(&draw(view, "http://a", (100, 9))).pop().unwrap();
        assert_eq!(last(&view), "y/n  cancel the stream s0?");
        press(&mut view, &[KeyCode::Char('n'), KeyCode::Char('/'), KeyCode::Char('x')]);
        assert!(last(&view).starts_with("filter: x_"));
        press(&mut view, &[KeyCode::Enter]);
        assert!(last(&view).starts_with("filter x  (Esc clears)"));
        view.failure = Some("gone".to_owned());
        assert_eq!(last(&view), "gone");
    }

    #[test]
    fn what_is_broken_is_shown_before_what_is_not() {
        let mut view = view(&[]);
        let [mut fine, mut mixed, mut gone] = ["fine", "mixed", "gone"].map(|name| model(name, 2));
        for target in fine.targets.iter_mut().chain(&mut mixed.targets[..1]) {
            "reachable".clone_into(&mut target.status);
        }
        "sound".clone_into(&mut mixed.targets[0].name);
        "unreachable".clone_into(&mut gone.status);
        view.lists.models = vec![fine, mixed, gone];
        let shown = text(&draw(&view, "http://a", (100, 15)));
        let begins = shown[1..7].iter().map(|line| line.split_whitespace().next().unwrap());
        assert_eq!(begins.collect::<Vec<_>>(), ["gone", "gpu", "gpu", "mixed", "gpu", "..."]);
    }

    #[test]
    fn a_cancel_without_a_stream_says_what_is_missing() {
        let mut view = view(&[("m", 1)]);
        press(&mut view, &[KeyCode::Char('c')]);
        let last = text(&draw(&view, "http://a", (100, 9))).pop().unwrap();
        assert_eq!(last, "select a stream first, by the arrows");
    }

    #[test]
    fn names_from_elsewhere_cannot_steer_the_terminal() {
        let evil = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}1m\r\n";
        let mut view = view(&[(evil, 5)]);
        let stream = &mut view.lists.streams.streams[0];
        for name in [&mut stream.request_id, &mut stream.owner, &mut stream.state] {
            evil.clone_into(name);
        }
        stream.target = Some(evil.to_owned());
        view.lists.models = vec![model(evil, 1)];
        for name in ["status", "circuit", "name", "reason"] {
            let target = &mut view.lists.models[0].targets[0];
            match name {
                "status" => evil.clone_into(&mut target.status),
                "circuit" => evil.clone_into(&mut target.circuit),
                "name" => evil.clone_into(&mut target.name),
                _ => target.reason = Some(evil.to_owned()),
            }
        }
        view.failure = Some(evil.to_owned());
        let shown = text(&draw(&view, evil, (200, 20))).concat();
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
        let plain = crate::cli::top::table::plain(&view.rows());
        assert!(!plain.chars().any(|c| c.is_control() && c != '\n'), "{plain:?}");
        assert_eq!(plain.lines().count(), 2);
    }
}
