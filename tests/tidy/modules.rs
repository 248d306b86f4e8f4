//! What modules may import, how long files may be, what library code may not do.

use std::collections::BTreeSet;

use crate::source::{Word, code, is_word, members, without_tests, words};

/// The modules, lowest layer first. A module imports lower layers only.
const LAYERS: [&[&str]; 9] = [
    &["config", "telemetry", "provider"],
    &["access", "routing"],
    &["store", "simulation"],
    &["admission", "backend"],
    &["stream"],
    &["registry"],
    &["http"],
    &["app"],
    &["cli"],
];
/// Imports within a layer: who may import whom.
const WITHIN: [(&str, &str); 3] =
    [("telemetry", "config"), ("provider", "config"), ("provider", "telemetry")];

const PROTOCOL_DEPENDENCIES: [&str; 7] =
    ["base64", "bytes", "bytestring", "memchr", "serde", "serde_json", "thiserror"];
/// What would let time, sockets or actors into the wire formats.
const IMPURE: [&str; 6] = ["tokio", "awc", "futures", "rand", "Instant", "SystemTime"];
const IMPURE_STD: [&str; 5] = ["env", "fs", "net", "process", "thread"];

const MAX_LINES: usize = 400;

const BANNED_CALLS: [&str; 2] = ["unwrap", "expect"];
const BANNED_MACROS: &str =
    "dbg eprint eprintln panic print println todo unimplemented unreachable";
/// What is allowed all the same: file, word, how often, and why.
const ALLOWED: [(&str, &str, usize, &str); 1] =
    [("src/stream/actor.rs", "panic", 1, "the purpose of a test hook that no release has")];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

fn may_import(module: &str, other: &str) -> bool {
    module == other || layer(other) < layer(module) || WITHIN.contains(&(module, other))
}

pub fn layer_faults(path: &str, text: &str) -> Vec<String> {
    // The files at the top belong to no module.
    let Some((module, _)) = path.strip_prefix("src/").and_then(|path| path.split_once('/')) else {
        return Vec::new();
    };
    if layer(module).is_none() {
        return vec![format!(
            "{path}: the module `{module}` has no layer in tests/tidy/modules.rs"
        )];
    }
    let code = code(text);
    let modules = imports(path, &code);
    let wrong = modules.into_iter().filter(|other| !may_import(module, other));
    wrong.map(|other| format!("{path}: `{module}` must not import `{other}`")).collect()
}

/// The modules that a file imports, by `crate::` or by climbing out of its own with `super::`.
fn imports<'c>(path: &str, code: &'c str) -> Vec<&'c str> {
    let depth = path.matches('/').count() - usize::from(path.ends_with("/mod.rs"));
    let leaves = |word: &Word<'_>| {
        let above = word.before.len() - word.before.trim_end_matches("super::").len();
        word.text == "crate" || word.text == "super" && above / "super::".len() + 1 >= depth
    };
    let paths = words(code).filter(leaves).filter_map(|word| word.behind.strip_prefix("::"));
    paths.flat_map(members).filter(|name| layer(name).is_some()).collect()
}

pub fn purity_faults(path: &str, text: &str) -> Vec<String> {
    let code = code(text);
    let impure = |word: &Word<'_>| {
        let of_std = word.behind.strip_prefix("::").filter(|_| word.text == "std").map(members);
        let of_std = of_std.unwrap_or_default();
        IMPURE.contains(&word.text)
            || word.text.starts_with("actix")
            || of_std.iter().any(|name| IMPURE_STD.contains(name))
    };
    let line = |word: &Word<'_>| word.before.matches('\n').count() + 1;
    let found = words(&code).filter(impure);
    found
        .map(|word| format!("{path}:{}: `{}` has no place in wire formats", line(&word), word.text))
        .collect()
}

pub fn dependency_faults(manifest: &str) -> Vec<String> {
    let manifest = toml_edit::Document::parse(manifest).expect("a manifest");
    let platforms = manifest.get("target").map(|_| "[target]".to_owned());
    let tables = ["dependencies", "build-dependencies"];
    let tables = tables.iter().filter_map(|table| manifest.get(table)?.as_table_like());
    let names = tables.flat_map(|table| table.iter().map(|(name, _)| name.to_owned()));
    let unknown = names.filter(|name| !PROTOCOL_DEPENDENCIES.contains(&name.as_str()));
    let unknown = unknown.chain(platforms);
    unknown.map(|name| format!("crates/protocol/Cargo.toml: {name} is not allowed")).collect()
}

pub fn shape_faults(path: &str, text: &str) -> Vec<String> {
    let lines = text.lines().count();
    let long = (lines > MAX_LINES).then(|| format!("{path}: {lines} lines, at most {MAX_LINES}"));
    let mute = !text.starts_with("//!");
    let mute = mute.then(|| format!("{path}: does not begin with what it is for (`//!`)"));
    long.into_iter().chain(mute).collect()
}

/// The files that are modules under `#[cfg(test)]`, of pairs of path and text.
pub fn test_files<'t>(files: impl Iterator<Item = (&'t str, &'t str)>) -> BTreeSet<String> {
    files.flat_map(|(path, text)| test_modules(path, &code(text))).collect()
}

fn test_modules(path: &str, code: &str) -> Vec<String> {
    let (folder, name) = path.rsplit_once('/').unwrap_or_default();
    let folder = match name.trim_end_matches(".rs") {
        "mod" | "lib" | "main" => folder.to_owned(),
        stem => format!("{folder}/{stem}"),
    };
    let items = code.split("#[cfg(test)]").skip(1);
    let names = items.filter_map(|item| item.trim().strip_prefix("mod ")?.split_once(';'));
    let names = names.map(|(name, _)| name).filter(|name| name.chars().all(is_word));
    names.map(|name| format!("{folder}/{name}.rs")).collect()
}

pub fn ban_faults(path: &str, text: &str) -> Vec<String> {
    let code = without_tests(&code(text));
    let is_banned = |word: &Word<'_>| {
        let is_method = word.before.ends_with('.') || word.before.ends_with("::");
        is_method && BANNED_CALLS.contains(&word.text)
            || word.behind.starts_with('!') && BANNED_MACROS.split(' ').any(|m| m == word.text)
    };
    let mut found: Vec<_> = words(&code).filter(is_banned).map(|word| word.text).collect();
    let mut faults = Vec::new();
    for (_, allowed, most, _) in ALLOWED.iter().filter(|(file, ..)| *file == path) {
        match found.iter().filter(|word| word == &allowed).count() {
            0 => faults.push(format!("{path}: `{allowed}` is allowed and not used")),
            count if count <= *most => found.retain(|word| word != allowed),
            _ => {}
        }
    }
    faults.extend(found.iter().map(|word| format!("{path}: `{word}` in library code")));
    faults
}

/// Allowances for files that are not there.
pub fn allowance_faults(paths: &[&str]) -> Vec<String> {
    let gone = ALLOWED.iter().filter(|(file, ..)| !paths.contains(file));
    gone.map(|(file, word, ..)| format!("{file}: gone, and `{word}` is allowed there")).collect()
}

#[test]
fn an_import_of_a_higher_layer_is_found() {
    for (path, text) in [
        ("src/stream/actor.rs", "use crate::registry::Registry;"),
        ("src/backend/pump.rs", "use crate::{config::Timeouts, admission::Ticket};"),
        ("src/admission/mod.rs", "fn f(_: &crate::backend::Backend) {}"),
        ("src/access/keys.rs", "use crate::routing::Route;"),
        ("src/config/mod.rs", "use super::provider;"),
        ("src/provider/client.rs", "use super::super::http;"),
        ("src/telemetry/a/b.rs", "use super::super::super::{app, config};"),
        ("src/cache/mod.rs", ""),
    ] {
        assert_eq!(layer_faults(path, text).len(), 1, "{path} {text}");
    }
    for (path, text) in [
        ("src/http/chat.rs", "use crate::{\n    access::{Caller, app},\n    stream::x,\n};"),
        ("src/provider/openai.rs", "use crate::config::Model; use super::http; // crate::app"),
        ("src/stream/actor.rs", "use crate::stream::{registry, http}; pub(crate) mod a {}"),
        ("src/main.rs", "use crate::app::Gateway;"),
    ] {
        assert!(layer_faults(path, text).is_empty(), "{path} {text}");
    }
}

#[test]
fn time_and_sockets_in_the_wire_formats_are_found() {
    for text in [
        "use tokio::sync::mpsc;",
        "use actix_web::HttpResponse;",
        "use std::time::{Duration, Instant};",
        "fn now() -> std::time::SystemTime { todo() }",
        "use std::{fmt, net::IpAddr};",
    ] {
        assert_eq!(purity_faults("a.rs", text).len(), 1, "{text}");
    }
    let pure = "use std::time::Duration; use std::{fmt, str}; // tokio\nlet net = \"std::net\";";
    assert!(purity_faults("a.rs", pure).is_empty());
    for manifest in ["[dependencies]\ntokio = \"1\"", "[target.x.dependencies]\nbytes = \"1\""] {
        assert_eq!(dependency_faults(manifest).len(), 1, "{manifest}");
    }
    let tests = "[dependencies]\nbytes.workspace = true\n[dev-dependencies]\ntokio = \"1\"";
    assert!(dependency_faults(tests).is_empty());
}

#[test]
fn a_long_file_and_a_mute_one_are_found() {
    let lines = |count: usize| format!("//! Doc.\n{}", "x\n".repeat(count - 1));
    assert!(shape_faults("a.rs", &lines(MAX_LINES)).is_empty());
    assert_eq!(shape_faults("a.rs", &lines(MAX_LINES + 1)).len(), 1);
    assert_eq!(shape_faults("a.rs", "use a;\n").len(), 1);
}

#[test]
fn what_library_code_may_not_do_is_found() {
    for text in [
        "a.unwrap();",
        "a.map(Result::unwrap)",
        "a.expect(\"b\")",
        "panic!(\"c\")",
        "todo!()",
        "std::println!()",
        "#[cfg(test)]\nmod tests { a.unwrap() }\nfn f() { dbg!(1); }",
    ] {
        assert_eq!(ban_faults("src/a.rs", text).len(), 1, "{text}");
    }
    let fine = "#[expect(dead_code)] fn f() { a.unwrap_or(1); panic::catch(); } // b.unwrap()\n\
                #[cfg(test)]\nmod tests { fn g() { panic!(\"{}\", a.unwrap()); } }";
    assert!(ban_faults("src/a.rs", fine).is_empty());
}

#[test]
fn an_allowance_is_for_so_many_and_must_be_used() {
    let path = "src/stream/actor.rs";
    assert!(ban_faults(path, "panic!()").is_empty());
    assert_eq!(ban_faults(path, "panic!(); panic!()").len(), 2);
    assert_eq!(ban_faults(path, "").len(), 1);
    assert_eq!(allowance_faults(&["src/main.rs"]).len(), 1);
}

#[test]
fn modules_of_tests_are_known() {
    let test = |path, text| test_files([(path, text)].into_iter()).into_iter().collect::<Vec<_>>();
    assert_eq!(test("src/a/mod.rs", "#[cfg(test)]\nmod tests;\nmod b;"), ["src/a/tests.rs"]);
    assert_eq!(test("src/a/b.rs", "mod c;\n#[cfg(test)]\nmod d;"), ["src/a/b/d.rs"]);
    assert!(test("src/a/mod.rs", "#[cfg(test)]\nmod tests { use a; }").is_empty());
}
