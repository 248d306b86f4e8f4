//! The chart: each goal's figure as a bar, nginx is 1.

use std::fmt::Write as _;

use crate::report::number;
use crate::results::{Goal, LINES, Line, Results, name};
use crate::route::{NATIVE_OLLAMA, NATIVE_OPENAI, OPENAI_OLLAMA, RELAYED, Route};

const LEFT: f64 = 330.0;
/// The length of a bar that is as long as nginx's.
const UNIT: f64 = 110.0;
/// The longest bar, in times nginx's.
const MOST: f64 = 5.0;
const BAR: f64 = 13.0;
const GAP: f64 = 16.0;
/// The routes that are drawn: a bar for each in every group. The tables have them all.
const CHARTED: [Route; 4] = [RELAYED, NATIVE_OPENAI, NATIVE_OLLAMA, OPENAI_OLLAMA];
const COLOURS: [&str; 4] = ["#0b6e99", "#e08a1e", "#8a63b0", "#4f9d69"];

/// An SVG of what has a goal in times nginx's, readable on light and dark pages.
pub fn svg(results: &Results, caption: &str) -> String {
    let mut body = String::new();
    let mut top = legend(&mut body);
    for line in &LINES {
        if let Goal::TimesNginx(relayed, translated) = line.goal {
            top = group(&mut body, results, line, (relayed, translated), top);
        }
    }
    let width = LEFT + UNIT * MOST + 90.0;
    let height = top + 24.0;
    let one = LEFT + UNIT;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>Tidegate beside nginx</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{body}\
         <line x1=\"{one}\" x2=\"{one}\" y1=\"34\" y2=\"{top}\" stroke=\"#222222\"/>\n\
         <text x=\"{one}\" y=\"30\" text-anchor=\"middle\" fill=\"#222222\">nginx = 1</text>\n\
         <text x=\"10\" y=\"{}\" font-size=\"10\" fill=\"#555555\">{}</text>\n</svg>\n",
        top + 16.0,
        escape(caption)
    )
}

fn legend(body: &mut String) -> f64 {
    let mut x = 10.0;
    for (route, colour) in CHARTED.iter().zip(COLOURS) {
        let _ = writeln!(
            body,
            "<rect x=\"{x}\" y=\"5\" width=\"11\" height=\"11\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"15\" fill=\"#222222\">{}</text>",
            x + 16.0,
            escape(route.name)
        );
        x += 205.0;
    }
    let _ = writeln!(body, "<text x=\"{x}\" y=\"15\" fill=\"#222222\">| goal</text>");
    40.0
}

fn group(
    body: &mut String,
    results: &Results,
    line: &Line,
    goals: (f64, f64),
    mut top: f64,
) -> f64 {
    let _ = writeln!(
        body,
        "<text x=\"10\" y=\"{}\" fill=\"#222222\">{}</text>\
         <text x=\"10\" y=\"{}\" font-size=\"11\" fill=\"#555555\">{}</text>",
        top + 12.0,
        escape(&name(line.workload)),
        top + 27.0,
        escape(line.figure)
    );
    for (route, colour) in CHARTED.iter().zip(COLOURS) {
        let Some(cell) = results.cell(line, route) else { continue };
        let ratio = cell.to_nginx.unwrap_or(0.0);
        let length = ratio.clamp(0.0, MOST) * UNIT;
        let goal = if route.is_relayed() { goals.0 } else { goals.1 };
        let at = LEFT + goal.min(MOST) * UNIT;
        let (bottom, middle) = (top + BAR, top + BAR - 2.5);
        let label = LEFT + length.max(goal.min(MOST) * UNIT) + 6.0;
        let _ = writeln!(
            body,
            "<rect x=\"{LEFT}\" y=\"{top}\" width=\"{length:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>\
             <line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{top}\" y2=\"{bottom}\" stroke=\"#222222\" stroke-width=\"2\"/>\
             <text x=\"{label:.1}\" y=\"{middle}\" font-size=\"11\" fill=\"#222222\">{ratio:.2}× ({})</text>",
            number(cell.median)
        );
        top += BAR + 2.0;
    }
    top + GAP
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
