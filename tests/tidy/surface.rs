//! What the outside is told: routes and error codes as they are, and nothing of the place where
//! this was written.

use std::collections::BTreeSet;

use serde_json::Value;

/// Names of that place; in pieces, so that this file does not hold them.
const WORKPLACE: [&str; 3] =
    [concat!("/wo", "rk/"), concat!("../sha", "red"), concat!(".lib", "rary")];

/// Methods and paths of `ROUTES`, and the paths that are served, against the `OpenAPI` document.
pub fn route_faults(routes: &str, openapi: &Value) -> Vec<String> {
    let table = quoted(between(routes, "pub const ROUTES", "];"));
    let table = table.chunks(2).map(|pair| pair.join(" ")).collect();
    let paths = openapi["paths"].as_object().into_iter().flatten();
    let described = paths.flat_map(|(path, item)| {
        let methods = item.as_object().into_iter().flatten();
        methods.map(move |(method, _)| format!("{method} {path}"))
    });
    let mut faults = differences("ROUTES and openapi.json", &table, &described.collect());
    let listed = |path: &str| table.iter().any(|route| route.split(' ').nth(1) == Some(path));
    let served = ["resource(\"", ">(\""].iter().flat_map(|call| routes.split(call).skip(1));
    let served = served.filter_map(|rest| rest.split('"').next());
    let served = served.filter(|path| path.starts_with('/'));
    faults.extend(
        served.filter(|path| !listed(path)).map(|path| format!("{path}: served, not in ROUTES")),
    );
    faults
}

/// The codes of `ErrorKind` against the `OpenAPI` document and the table of docs/errors.md.
pub fn code_faults(errors: &str, openapi: &Value, page: &str) -> Vec<String> {
    let codes = owned(quoted(between(errors, "fn code(", "\n    }\n")));
    let described = openapi["components"]["schemas"]["ErrorCode"]["enum"].as_array();
    let described = owned(described.into_iter().flatten().filter_map(Value::as_str));
    let rows = page.lines().filter_map(|row| row.strip_prefix("| `")?.split('`').next());
    let rows = owned(rows.filter(|name| !name.starts_with('/')));
    let mut faults = differences("ErrorKind and openapi.json", &codes, &described);
    faults.extend(differences("ErrorKind and docs/errors.md", &codes, &rows));
    faults
}

pub fn workplace_faults(path: &str, text: &str) -> Vec<String> {
    let found = WORKPLACE.iter().filter(|name| text.contains(*name));
    found.map(|name| format!("{path}: names the workplace ({name})")).collect()
}

/// What only one of two sets has; an empty one was not found at all.
fn differences(what: &str, one: &BTreeSet<String>, other: &BTreeSet<String>) -> Vec<String> {
    if one.is_empty() || other.is_empty() {
        return vec![format!("{what}: nothing was found to compare")];
    }
    one.symmetric_difference(other).map(|name| format!("only one of {what} has {name}")).collect()
}

fn owned<'t>(names: impl IntoIterator<Item = &'t str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

fn quoted(text: &str) -> Vec<&str> {
    text.split('"').skip(1).step_by(2).collect()
}

fn between<'t>(text: &'t str, begin: &str, end: &str) -> &'t str {
    let rest = text.split_once(begin).map_or("", |(_, rest)| rest);
    rest.split_once(end).map_or(rest, |(found, _)| found)
}

#[test]
fn a_route_that_is_not_described_or_not_there_is_found() {
    let routes = "/// \"Every\" one\npub const ROUTES: [(&str, &str); 2] = [\n    (\"get\", \"/a\"),\n    \
                  (\"post\", \"/b\"),\n];\nweb::resource(\"/a\"); get_only::<Native>(\"/b\")";
    let described = serde_json::json!({ "paths": { "/a": { "get": {} }, "/b": { "post": {} } } });
    assert!(route_faults(routes, &described).is_empty());
    let missing = serde_json::json!({ "paths": { "/a": { "get": {} } } });
    assert_eq!(route_faults(routes, &missing).len(), 1);
    let more =
        serde_json::json!({ "paths": { "/a": { "get": {}, "put": {} }, "/b": { "post": {} } } });
    assert_eq!(route_faults(routes, &more).len(), 1);
    assert_eq!(
        route_faults(&routes.replace("resource(\"/a", "resource(\"/c"), &described).len(),
        1
    );
    assert!(!route_faults("", &described).is_empty());
}

#[test]
fn a_code_that_is_not_described_or_not_there_is_found() {
    let errors =
        "fn code(self) -> &'static str {\n        A => \"ONE\", B => \"TWO\"\n    }\n\"no\"";
    let openapi = |codes: &[&str]| serde_json::json!({ "components": { "schemas": { "ErrorCode": { "enum": codes } } } });
    let page = "# Errors\n| under | shape |\n| `ONE` | 1 |\n| `TWO` | 2 |\n";
    let both = openapi(&["ONE", "TWO"]);
    assert!(code_faults(errors, &both, page).is_empty());
    assert_eq!(code_faults(errors, &openapi(&["ONE"]), page).len(), 1);
    assert_eq!(code_faults(errors, &openapi(&["ONE", "TWO", "SIX"]), page).len(), 1);
    assert_eq!(code_faults(errors, &both, &page.replace("| `TWO`", "| `SIX`")).len(), 2);
    assert_eq!(code_faults(errors, &both, "").len(), 1);
}

#[test]
fn a_name_of_the_workplace_is_found() {
    for name in WORKPLACE {
        assert_eq!(workplace_faults("a.md", &format!("see {name}x")).len(), 1);
    }
    assert!(workplace_faults("a.md", "workplace, work, shared/").is_empty());
}
