//! Anthropic's dialect: what its requests become, and how its answers are written.

mod grammar;
mod order;

mod refusals;
mod requests;
mod streams;
mod whole;

use std::path::{Path, PathBuf};

use crate::properties::anthropic_reader as reader;
use tidegate_protocol::{Event, ToolCallDelta};

/// Where the golden files of this dialect are.
fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/anthropic").join(name)
}

/// Holds what was found to a golden file; `UPDATE_GOLDEN=1` writes it anew.
fn hold(path: &Path, found: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, found).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(found, golden, "{}: UPDATE_GOLDEN=1 writes it anew", path.display());
}

/// A fragment of a tool call.
fn call(index: u32, id: Option<&str>, name: Option<&str>, arguments: &str) -> Event {
    let (id, name) = (id.map(str::to_owned), name.map(str::to_owned));
    Event::ToolCall(ToolCallDelta { index, id, name, arguments: arguments.to_owned() })
}

fn thought(text: &str) -> Event {
    Event::Reasoning(text.to_owned())
}
