//! What becomes of every field of every dialect, at every kind of upstream: found by encoding a
//! request with the field and one without it, and kept in `docs/dialects.md`.
//!
//! A field that leaves no trace in the upstream's body, is not refused and not named as ignored,
//! is lost in silence: that fails, unless the field is the gateway's own affair.

mod fate;
mod json;

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;
use tidegate_protocol::ollama::client;
use tidegate_protocol::{Failure, Request, Wire};

use fate::{Fate, fate};

type Decode = fn(&[u8]) -> Result<Request, Failure>;

/// The bodies of one endpoint.
#[derive(Deserialize)]
struct Endpoint {
    title: String,
    /// The least body there is.
    base: Value,
    fields: Vec<Row>,
}

/// One row of the table.
#[derive(Deserialize)]
struct Row {
    field: String,
    /// What the field needs around it, merged into the endpoint's base.
    base: Option<Value>,
    /// The field itself, merged into the body.
    with: Value,
    /// Why the field is the gateway's own affair.
    own: Option<String>,
    why: Option<String>,
}

/// The table of one endpoint.
fn table(text: &str, decode: Decode) -> String {
    let endpoint: Endpoint = serde_json::from_str(text).unwrap();
    let mut table = format!("### {}\n\n", endpoint.title);
    table
        .push_str("| field | OpenAI, vLLM upstream | Ollama upstream | why |\n|---|---|---|---|\n");
    for field in &endpoint.fields {
        let mut base = endpoint.base.clone();
        json::merge(&mut base, field.base.as_ref().unwrap_or(&Value::Null));
        let mut with = base.clone();
        json::merge(&mut with, &field.with);
        let fates = [Wire::OpenAi, Wire::Ollama].map(|wire| {
            let fate = fate(decode, &base, &with, wire);
            let lost = fate == Fate::Lost && field.own.is_none();
            assert!(!lost, "{}: `{}` is lost in silence at {wire:?}", endpoint.title, field.field);
            fate.told(&field.field)
        });
        let why = field.own.as_ref().or(field.why.as_ref()).map_or("", String::as_str);
        let [openai, ollama] = fates;
        writeln!(table, "| {} | {openai} | {ollama} | {why} |", names(&field.field)).unwrap();
    }
    table
}

/// Field names in code style, remarks not.
fn names(field: &str) -> String {
    let (names, remark) = match field.find([':', ' ']) {
        Some(at) if field[at..].starts_with(':') || field[at..].starts_with(" (") => {
            field.split_at(at)
        }
        _ if field.starts_with("any ") => ("any", ""),
        _ => (field, ""),
    };
    if names == "any" {
        return field.to_owned();
    }
    let names: Vec<_> = names.split(", ").map(|name| format!("`{name}`")).collect();
    names.join(", ") + remark
}

#[test]
fn what_becomes_of_every_field_is_told() {
    let tables: Vec<String> = ENDPOINTS.iter().map(|(text, decode)| table(text, *decode)).collect();
    let found = tables.join("\n");
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/dialects.md");
    let doc = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- fields: written by a test -->\n", "<!-- end of fields -->");
    let (head, rest) = doc.split_once(begin).expect("a place for the tables");
    let (kept, tail) = rest.split_once(end).expect("the end of the tables");
    if kept.trim() == found.trim() {
        return;
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{head}{begin}\n{found}\n{end}{tail}")).unwrap();
        return;
    }
    panic!("docs/dialects.md says otherwise; UPDATE_DOCS=1 writes it anew:\n{found}");
}

const ENDPOINTS: &[(&str, Decode)] = &[
    (include_str!("../../fields/openai-chat.json"), tidegate_protocol::openai::decode_request),
    (
        include_str!("../../fields/anthropic-messages.json"),
        tidegate_protocol::anthropic::decode_request,
    ),
    (
        include_str!("../../fields/openai-completion.json"),
        tidegate_protocol::openai::decode_completion,
    ),
    (
        include_str!("../../fields/openai-embedding.json"),
        tidegate_protocol::openai::decode_embedding,
    ),
    (include_str!("../../fields/openai-responses.json"), response),
    (include_str!("../../fields/ollama-chat.json"), client::decode_chat),
    (include_str!("../../fields/ollama-generate.json"), client::decode_generate),
    (include_str!("../../fields/ollama-embed.json"), client::decode_embed),
    (include_str!("../../fields/ollama-embeddings.json"), client::decode_embeddings),
    (include_str!("../../fields/native.json"), native),
];

fn response(body: &[u8]) -> Result<Request, Failure> {
    let id = tidegate_protocol::StreamId::new(0, 1);
    let asked = tidegate_protocol::responses::decode_request(body, id, |_| Err(String::new()))?;
    Ok(asked.request)
}

fn native(body: &[u8]) -> Result<Request, Failure> {
    let limits = tidegate_protocol::native::Limits {
        max_content_chars: 10,
        max_messages: 3,
        default_temperature: 0.7,
        default_max_tokens: 2048,
        max_tokens: 4096,
    };
    tidegate_protocol::native::decode_request(body, &limits)
}
