//! Checking a request field by field, so that a client is told of every fault at once.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::{ErrorKind, Failure, FieldFault};
use crate::strict;

/// The fields of a JSON object in their order, values untouched, duplicates kept.
#[derive(Clone, Default)]
pub(crate) struct Object(pub Vec<(String, Box<RawValue>)>);

impl Object {
    /// The field's value; the last one where there are several. `null` counts as absent.
    pub fn get(&self, name: &str) -> Option<&RawValue> {
        let (_, value) = self.0.iter().rfind(|(key, _)| key == name)?;
        (value.get() != "null").then_some(value)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Object(fields))
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

/// Reads the body of a request. Keys that come twice, at any depth, are faults.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] with the place of the fault when it is not a JSON object, or not
/// one that every reader understands the same way.
pub(crate) fn decode_body(body: &[u8], faults: &mut Faults) -> Result<Object, Failure> {
    let invalid = |message: String| Failure::new(ErrorKind::InvalidRequest, message);
    let text = std::str::from_utf8(body).map_err(|error| {
        invalid(format!("the body is not UTF-8 from byte {} on", error.valid_up_to()))
    })?;
    if text.trim_ascii().is_empty() {
        return Err(invalid("the body is empty; it must be a JSON object".to_owned()));
    }
    if text.starts_with('\u{feff}') {
        return Err(invalid("the body begins with a byte order mark; JSON has none".to_owned()));
    }
    strict::check(text, faults)?;
    // An error's own words would quote the value, which may be the prompt.
    serde_json::from_str(text).map_err(|_| invalid("the body must be a JSON object".to_owned()))
}

/// More faults than this are counted, not listed: a hostile body could hold a million.
const LISTED: usize = 64;

/// The faults found so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    listed: Vec<FieldFault>,
    unlisted: usize,
}

impl Faults {
    pub fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        if self.listed.len() < LISTED {
            self.listed.push(FieldFault { field: field.into(), message: message.into() });
        } else {
            self.unlisted += 1;
        }
    }

    /// A field that must be there.
    pub fn required<'a>(
        &mut self,
        path: &str,
        object: &'a Object,
        name: &str,
        allowed: &str,
    ) -> Option<&'a RawValue> {
        let value = object.get(name);
        if value.is_none() {
            self.add(join(path, name), format!("is required: {allowed}"));
        }
        value
    }

    /// A string that must be there.
    pub fn required_string(&mut self, path: &str, object: &Object, name: &str) -> Option<String> {
        let value = self.required(path, object, name, "a string")?;
        self.string(&join(path, name), value)
    }

    /// A string that may be left out.
    pub fn optional_string(&mut self, path: &str, object: &Object, name: &str) -> Option<String> {
        self.string(&join(path, name), object.get(name)?)
    }

    /// `true` or `false`, which may be left out.
    pub fn optional_boolean(&mut self, path: &str, object: &Object, name: &str) -> Option<bool> {
        self.boolean(&join(path, name), object.get(name)?)
    }

    /// The model's public name; none asks for the active model.
    pub fn model(&mut self, fields: &Object) -> Option<String> {
        let name = self.optional_string("", fields, "model")?;
        if name.is_empty() {
            self.add("model", "must not be empty: leave it out for the active model");
        }
        Some(name)
    }

    /// Reads a value of a type; a value of another type is a fault.
    pub fn read<'a, T: Deserialize<'a>>(
        &mut self,
        field: &str,
        value: &'a RawValue,
        allowed: &str,
    ) -> Option<T> {
        let read = serde_json::from_str(value.get()).ok();
        if read.is_none() {
            self.add(field, format!("must be {allowed}"));
        }
        read
    }

    pub fn string(&mut self, field: &str, value: &RawValue) -> Option<String> {
        self.read(field, value, "a string")
    }

    pub fn boolean(&mut self, field: &str, value: &RawValue) -> Option<bool> {
        self.read(field, value, "true or false")
    }

    pub fn number(
        &mut self,
        field: &str,
        value: &RawValue,
        range: RangeInclusive<f64>,
    ) -> Option<f64> {
        let allowed = format!("a number from {} to {}", range.start(), range.end());
        let number: f64 = self.read(field, value, &allowed)?;
        self.only_if(range.contains(&number), field, &allowed)?;
        Some(number)
    }

    pub fn integer(
        &mut self,
        field: &str,
        value: &RawValue,
        range: RangeInclusive<u32>,
    ) -> Option<u32> {
        let allowed = format!("a whole number from {} to {}", range.start(), range.end());
        let number: u32 = self.read(field, value, &allowed)?;
        self.only_if(range.contains(&number), field, &allowed)?;
        Some(number)
    }

    /// The elements of a list of objects, each with its path. Elements of another type are faults
    /// and left out.
    pub fn objects(&mut self, field: &str, value: &RawValue) -> Vec<(String, Object)> {
        let elements: Vec<&RawValue> =
            self.read(field, value, "a list of objects").unwrap_or_default();
        let mut objects = Vec::with_capacity(elements.len());
        for (index, element) in elements.into_iter().enumerate() {
            let path = format!("{field}[{index}]");
            if let Some(object) = self.read(&path, element, "an object") {
                objects.push((path, object));
            }
        }
        objects
    }

    /// A list that must have something in it.
    pub fn not_empty(&mut self, field: &str, value: &RawValue, what: &str) {
        let inside = value.get().strip_prefix('[').unwrap_or(" ");
        if inside.trim_start().starts_with(']') {
            self.add(field, format!("must hold at least one {what}"));
        }
    }

    fn only_if(&mut self, holds: bool, field: &str, allowed: &str) -> Option<()> {
        if !holds {
            self.add(field, format!("must be {allowed}"));
        }
        holds.then_some(())
    }

    pub fn listed(&self) -> &[FieldFault] {
        &self.listed
    }

    /// # Errors
    /// With every fault, when there is one.
    pub fn into_result(self) -> Result<(), Failure> {
        if self.listed.is_empty() { Ok(()) } else { Err(Failure::invalid(self.into_vec())) }
    }

    pub fn into_vec(mut self) -> Vec<FieldFault> {
        if self.unlisted > 0 {
            let message = format!("{} more faults are not listed", self.unlisted);
            self.listed.push(FieldFault { field: "(body)".to_owned(), message });
        }
        self.listed
    }
}

/// `messages[0]` and `role` make `messages[0].role`.
pub(crate) fn join(path: &str, name: &str) -> String {
    // A key is the client's text: what is shown of it is bounded.
    let plain = name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_graphic());
    let name = if plain {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(name.chars().filter(|c| !c.is_control()).take(64).collect())
    };
    if path.is_empty() { name.into_owned() } else { [path, ".", &name].concat() }
}
