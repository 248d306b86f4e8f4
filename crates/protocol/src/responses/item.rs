//! A piece of a conversation, as it is kept, listed and continued from.

use std::sync::Arc;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use crate::fields::Object;

/// What an item takes besides its texts.
const ITEM_BYTES: usize = 64;

/// One item of a conversation, in the form in which it is listed. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Item {
    id: Arc<str>,
    json: Arc<RawValue>,
}

impl Item {
    /// The item as it is written; nothing where it cannot be.
    pub(super) fn new(id: &str, item: &impl Serialize) -> Option<Self> {
        let json = to_raw_value(item).ok()?;
        Some(Self { id: id.into(), json: json.into() })
    }

    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The item's JSON.
    #[must_use]
    pub fn json(&self) -> &RawValue {
        &self.json
    }

    /// Bytes of memory the item holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        ITEM_BYTES + self.id.len() + self.json.get().len()
    }
}

/// A page of items: the body of `GET /v1/responses/{id}/input_items`.
#[derive(Serialize)]
pub struct ItemList<'a> {
    object: &'static str,
    data: Vec<&'a RawValue>,
    first_id: Option<&'a str>,
    last_id: Option<&'a str>,
    has_more: bool,
}

impl<'a> ItemList<'a> {
    /// The items in their order; `has_more` says whether others follow.
    #[must_use]
    pub fn new(items: &[&'a Item], has_more: bool) -> Self {
        Self {
            object: "list",
            data: items.iter().map(|item| item.json()).collect(),
            first_id: items.first().map(|item| item.id()),
            last_id: items.last().map(|item| item.id()),
            has_more,
        }
    }
}

/// A client's item with an id and a type, otherwise as it came.
pub(super) struct Identified<'a> {
    pub id: &'a str,
    pub kind: &'a str,
    pub fields: &'a Object,
}

impl Serialize for Identified<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", self.id)?;
        map.serialize_entry("type", self.kind)?;
        for (name, value) in &self.fields.0 {
            if !matches!(name.as_str(), "id" | "type") {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    }
}
