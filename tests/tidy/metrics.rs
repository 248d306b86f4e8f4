//! Every metric is declared once, shown in a dashboard or an alert, and explained in docs/metrics.md.

use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::Value;

use crate::source::{bracketed, code, words};

/// Metrics of Prometheus itself; those of its client library begin with `process_`.
const FOREIGN: [&str; 2] = ["up", "ALERTS"];
/// Declared metrics that no panel and no alert shows: name and why. None so far.
const UNSHOWN: [(&str, &str); 0] = [];
/// Words of an expression that a list of labels follows.
const BEFORE_LABELS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
const OPERATORS: [&str; 5] = ["and", "or", "unless", "bool", "offset"];

/// A declared metric.
pub struct Metric {
    name: String,
    /// What its series are called, behind the name.
    suffixes: &'static [&'static str],
}

impl Metric {
    fn series(&self) -> impl Iterator<Item = String> {
        self.suffixes.iter().map(|suffix| format!("{}{suffix}", self.name))
    }
}

/// The metrics that a source declares: the literal at the head of a declaring call.
pub fn declared(text: &str) -> Vec<Metric> {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let code = code(text);
    let calls = words(&code).filter_map(|word| {
        let suffixes: &[&str] = match word.text {
            "histograms" => &["_bucket", "_sum", "_count"],
            "gauge" | "gauges" | "float_gauges" | "counter" | "counters" => &[""],
            "new" if word.before.ends_with("Opts::") => &[""],
            _ => return None,
        };
        let argument = text[text.len() - word.behind.len()..]
            .strip_prefix('(')?
            .trim_start()
            .strip_prefix('"')?;
        Some(Metric { name: argument.split_once('"')?.0.to_owned(), suffixes })
    });
    calls.collect()
}

/// The expressions of a dashboard's panels and variables.
pub fn of_dashboard(value: &Value) -> Vec<String> {
    let field = |(key, value): (&String, &Value)| match (key.as_str(), value.as_str()) {
        ("expr", Some(text)) => vec![text.to_owned()],
        ("query", Some(text)) => {
            let series = text.strip_prefix("label_values(").and_then(|text| text.split_once(','));
            series.map(|(series, _)| series.to_owned()).into_iter().collect()
        }
        _ => of_dashboard(value),
    };
    match value {
        Value::Object(fields) => fields.iter().flat_map(field).collect(),
        Value::Array(items) => items.iter().flat_map(of_dashboard).collect(),
        _ => Vec::new(),
    }
}

/// The names under which rules in YAML record.
pub fn recorded(yaml: &str) -> Vec<String> {
    let names = yaml.lines().filter_map(|line| line.trim_start().strip_prefix("- record:"));
    names.map(|name| name.trim().to_owned()).collect()
}

/// The expressions of rules in YAML: behind `expr:`, or on the deeper lines below it.
pub fn of_rules(yaml: &str) -> Vec<String> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let lines: Vec<_> = yaml.lines().collect();
    let rules = lines.iter().enumerate().filter(|(_, line)| line.trim_start().starts_with("expr:"));
    let expression = |(at, line): (usize, &&str)| {
        let begin = line.trim_start().trim_start_matches("expr:").trim();
        let begin = if begin.starts_with(['>', '|']) { "" } else { begin };
        let below = lines[at + 1..].iter().take_while(|below| indent(below) > indent(line));
        below.fold(begin.to_owned(), |text, line| text + " " + line.trim())
    };
    rules.map(expression).collect()
}

/// Takes the names of what is recorded out of the expressions, and says which of them none has, and which
/// names of that kind are left.
pub fn recording_faults(expressions: &mut [String], recorded: &[String]) -> Vec<String> {
    let mut faults = Vec::new();
    for name in recorded {
        let mut is_used = false;
        for text in &mut *expressions {
            while let Some(begin) = whole(text, name) {
                text.replace_range(begin..begin + name.len(), " ");
                is_used = true;
            }
        }
        if !is_used {
            faults.push(format!("{name}: recorded, and in no panel, alert or other rule"));
        }
    }
    let is_level = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let left = expressions.iter().flat_map(|text| {
        let code = code(text);
        let at: Vec<_> = code.match_indices(':').map(|(at, _)| at).collect();
        at.into_iter().filter(move |at| code[..*at].ends_with(is_level)).map(move |_| text)
    });
    faults.extend(left.map(|text| format!("{text}: names what is not recorded")));
    faults
}

/// Where a text has a name that goes on at neither end.
fn whole(text: &str, name: &str) -> Option<usize> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut found = text.match_indices(name).map(|(begin, _)| begin);
    found.find(|begin| {
        !text[..*begin].ends_with(is_part) && !text[begin + name.len()..].starts_with(is_part)
    })
}

/// The metrics that an expression names.
fn named(expression: &str) -> Vec<String> {
    let mut text = code(expression);
    while let Some(part) = next_aside(&text) {
        text.replace_range(part, " ");
    }
    let metrics = words(&text).filter(|word| {
        let is_number = word.text.starts_with(|c: char| c.is_ascii_digit());
        let is_call = word.behind.trim_start().starts_with('(');
        let is_known = OPERATORS.contains(&word.text) || BEFORE_LABELS.contains(&word.text);
        !is_number && !is_call && !is_known
    });
    metrics.map(|word| word.text.to_owned()).collect()
}

/// The next selector, range, or list of labels: nothing that could name a metric.
fn next_aside(text: &str) -> Option<Range<usize>> {
    if let Some(begin) = text.find(['{', '[']) {
        return Some(begin..begin + bracketed(&text[begin..]));
    }
    words(text).find_map(|word| {
        let list = word.behind.trim_start();
        let is_list = BEFORE_LABELS.contains(&word.text) && list.starts_with('(');
        is_list.then(|| word.before.len()..text.len() - list.len() + bracketed(list))
    })
}

pub fn faults(declared: &[Metric], expressions: &[String], page: &str) -> Vec<String> {
    let named: BTreeSet<_> = expressions.iter().flat_map(|text| named(text)).collect();
    let series: BTreeSet<_> = declared.iter().flat_map(Metric::series).collect();
    let foreign = |name: &str| FOREIGN.contains(&name) || name.starts_with("process_");
    let unknown = named.iter().filter(|name| !series.contains(*name) && !foreign(name));
    let mut faults: Vec<_> =
        unknown.map(|name| format!("{name}: in a panel or an alert, and not declared")).collect();
    for metric in declared {
        let excused = UNSHOWN.iter().any(|(name, _)| *name == metric.name);
        if !excused && !metric.series().any(|name| named.contains(&name)) {
            faults.push(format!("{}: in no panel and no alert", metric.name));
        }
        if !page.contains(&format!("`{}`", metric.name)) {
            faults.push(format!("{}: not in docs/metrics.md", metric.name));
        }
    }
    faults
}

#[cfg(test)]
const DECLARING: &str = "
    /// declare.gauge(\"not_this\")
    streams: declare.counters(
        \"streams_total\", \"Help with a_word.\", &[\"a_label\"],
    )?,
    wait: declare.histograms(\"wait_seconds\", \"Help.\", &[\"model\"], BUCKETS)?,
    let build = GaugeVec::new(Opts::new(\"build_info\", \"Help.\"), &[\"version\"]);
    #[cfg(test)] mod tests { declare.gauge(\"nor_this\") }";

#[cfg(test)]
fn check(expressions: &[&str], page: &str) -> Vec<String> {
    let expressions: Vec<_> = expressions.iter().map(|&text| text.to_owned()).collect();
    faults(&declared(DECLARING), &expressions, page)
}

#[test]
fn a_metric_that_is_unknown_unshown_or_unexplained_is_found() {
    let shown = ["sum(rate(streams_total[1m]))", "wait_seconds_bucket", "max(build_info)"];
    let page = "`streams_total` `wait_seconds` `build_info`";
    assert!(check(&shown, page).is_empty(), "{:?}", check(&shown, page));
    assert!(check(&[&shown[..], &["up == 0 or process_threads"]].concat(), page).is_empty());
    let unknown = check(&[&shown[..], &["no_such_metric"]].concat(), page);
    assert_eq!(unknown, ["no_such_metric: in a panel or an alert, and not declared"]);
    assert_eq!(check(&[&shown[..], &["wait_seconds"]].concat(), page).len(), 1);
    assert_eq!(check(&shown[..2], page), ["build_info: in no panel and no alert"]);
    assert_eq!(
        check(&shown, "`streams_total` `build_info`"),
        ["wait_seconds: not in docs/metrics.md"]
    );
}

#[test]
fn what_is_recorded_is_used_and_what_is_used_is_recorded() {
    let yaml =
        "rules:\n  - record: model:a:p99\n    expr: a\n  - record: model:a:p99_5m\n    expr: b\n";
    assert_eq!(recorded(yaml), ["model:a:p99", "model:a:p99_5m"]);
    let check = |expressions: &[&str]| {
        let mut expressions: Vec<_> = expressions.iter().map(|&text| text.to_owned()).collect();
        let faults = recording_faults(&mut expressions, &recorded(yaml));
        (faults, expressions.concat())
    };
    let both = ["max(model:a:p99{x=\"y:z\"}) > 1", "model:a:p99_5m"];
    assert_eq!(check(&both), (Vec::new(), "max( {x=\"y:z\"}) > 1 ".to_owned()));
    assert_eq!(check(&both[1..]).0.len(), 1, "that one begins like the other is not enough");
    assert_eq!(check(&[&both[..], &["model:b:p99"]].concat()).0.len(), 2, "once for each colon");
}

#[test]
fn an_expression_names_its_metrics_only() {
    let text = "histogram_quantile(0.95, sum by (le, model) (rate(a_bucket{job=\"j\", p!~\"/m|x\"}\
                [$__rate_interval]))) / on (instance) group_left b offset 5m or vector(0) > 1e3";
    assert_eq!(named(text), ["a_bucket", "b"]);
}

#[test]
fn expressions_are_found_wherever_they_stand() {
    let yaml = "- alert: A\n  expr: up == 0\n  for: 1m\n- alert: B\n  expr: >-\n    rate(a\n    [5m])\n  for: 1m\n";
    assert_eq!(of_rules(yaml), ["up == 0", " rate(a [5m])"]);
    let dashboard = serde_json::json!({
        "panels": [{ "title": "t", "panels": [{ "targets": [{ "expr": "a" }, { "expr": "b" }] }] }],
        "templating": { "list": [{ "query": { "query": "label_values(c, model)" } }] },
    });
    assert_eq!(of_dashboard(&dashboard), ["a", "b", "c"]);
}
