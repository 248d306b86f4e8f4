//! The house rules, held by tests that read the tree as text.
//!
//! A rule is a function from text to the faults in it. It is applied to the tree here; beside each
//! rule stands a test that feeds it violations, because a rule that cannot fail holds nothing.
//!
//! - [`source`]: Rust as far as the rules must understand it.
//! - [`modules`]: layers, the purity of the wire formats, size, what library code may not do.
//! - [`metrics`]: declared, shown and explained.
//! - [`secrets`]: what must not be printed, and which clock limits are held by.
//! - [`surface`]: routes and error codes are described; no file names the place it was written in.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

#[path = "tidy/metrics.rs"]
mod metrics;
#[path = "tidy/modules.rs"]
mod modules;
#[path = "tidy/secrets.rs"]
mod secrets;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/surface.rs"]
mod surface;

const NOT_OURS: [&str; 5] = [".git", ".ci", "target", "node_modules", "__pycache__"];

/// A file of the tree.
struct File {
    /// From the root, with slashes.
    path: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn json(path: &str) -> Value {
    serde_json::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files below a folder whose names end in one of `ends`. There must be some.
fn files(folder: &str, ends: &str) -> Vec<File> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in entries(&folder) {
            let name = entry.file_name().unwrap_or_default().to_string_lossy();
            let is_ours = !NOT_OURS.contains(&&*name);
            if is_ours && entry.is_dir() {
                folders.push(entry);
            } else if is_ours && name.ends_with(ends) {
                found.push(open(&entry));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} holds nothing to check");
    found
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.expect("an entry of a folder").path()).collect()
}

fn open(file: &Path) -> File {
    let path = file.strip_prefix(root()).expect("a file below the root").to_string_lossy();
    let bytes = fs::read(file).unwrap_or_else(|error| panic!("{path}: {error}"));
    File { path: path.replace('\\', "/"), text: String::from_utf8_lossy(&bytes).into_owned() }
}

/// The library, the binary and the protocol crate.
fn sources() -> Vec<File> {
    let mut sources = files("src", ".rs");
    sources.extend(files("crates/protocol/src", ".rs"));
    sources
}

fn each(files: &[File], rule: fn(&str, &str) -> Vec<String>) {
    none(&files.iter().flat_map(|file| rule(&file.path, &file.text)).collect::<Vec<_>>());
}

fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn modules_import_lower_layers_only() {
    each(&files("src", ".rs"), modules::layer_faults);
}

#[test]
fn the_wire_formats_know_no_time_sockets_or_actors() {
    each(&files("crates/protocol/src", ".rs"), modules::purity_faults);
    none(&modules::dependency_faults(&read("crates/protocol/Cargo.toml")));
}

#[test]
fn files_are_short_and_say_what_they_are_for() {
    each(&sources(), modules::shape_faults);
}

#[test]
fn library_code_neither_panics_nor_prints() {
    let mut sources = sources();
    let pairs = sources.iter().map(|file| (file.path.as_str(), file.text.as_str()));
    let tests = modules::test_files(pairs);
    sources.retain(|file| !tests.contains(&file.path));
    each(&sources, modules::ban_faults);
    let paths: Vec<_> = sources.iter().map(|file| file.path.as_str()).collect();
    none(&modules::allowance_faults(&paths));
}

#[test]
fn secrets_are_neither_printed_nor_timed() {
    each(&files("src", ".rs"), secrets::exposure_faults);
    none(&secrets::secret_faults(&read("src/config/secret.rs")));
}

#[test]
fn limits_are_held_by_a_clock_that_does_not_jump() {
    each(&sources(), secrets::wall_clock_faults);
}

#[test]
fn metrics_are_declared_shown_and_explained() {
    let telemetry = files("src/telemetry", ".rs");
    let declared: Vec<_> =
        telemetry.iter().flat_map(|file| metrics::declared(&file.text)).collect();
    let dashboards = files("grafana/dashboards", ".json");
    let mut expressions: Vec<_> =
        dashboards.iter().flat_map(|file| metrics::of_dashboard(&json(&file.path))).collect();
    let rules = read("config/rules.yml");
    for yaml in [&rules, &read("config/alerts.yml")] {
        expressions.extend(metrics::of_rules(yaml));
    }
    none(&metrics::recording_faults(&mut expressions, &metrics::recorded(&rules)));
    none(&metrics::faults(&declared, &expressions, &read("docs/metrics.md")));
}

#[test]
fn routes_are_described() {
    let described = json("src/http/openapi.json");
    none(&surface::route_faults(&read("src/http/routes.rs"), &described));
}

#[test]
fn error_codes_are_described() {
    let errors = read("crates/protocol/src/error.rs");
    let described = json("src/http/openapi.json");
    none(&surface::code_faults(&errors, &described, &read("docs/errors.md")));
}

#[test]
fn no_file_names_the_workplace() {
    each(&files("", ""), surface::workplace_faults);
}
