//! JSON that every reader understands the same way.
//!
//! The grammar leaves open which of two equal keys counts, how deep values may nest and what half
//! a surrogate pair means, and servers differ in it. What the gateway has checked is passed on to
//! an upstream that reads it again, so a body that two readers may take differently is refused,
//! the parts that the gateway does not know included.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::error::{ErrorKind, Failure, FieldFault};
use crate::fields::{Faults, join};

/// Deeper values are refused. Below the 128 levels of `serde_json`; Python stops at some hundred.
const MAX_DEPTH: usize = 100;
/// A path to a fault is shown up to here.
const PATH_BYTES: usize = 200;

/// Reads a text once and notes every key that comes twice in its object.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] when it is not JSON, with the place, or nests too deep.
pub(crate) fn check(text: &str, faults: &mut Faults) -> Result<(), Failure> {
    let mut walk = Walk { path: Vec::new(), keys: Vec::new(), faults, too_deep: None };
    let mut json = serde_json::Deserializer::from_str(text);
    let walked = walk.deserialize(&mut json).and_then(|()| json.end());
    if let Some(field) = walk.too_deep.take() {
        let message = format!("nests deeper than {MAX_DEPTH} levels");
        return Err(Failure::invalid(vec![FieldFault { field, message }]));
    }
    walked.map_err(|error| {
        let place = match walk.shown_path() {
            path if path.is_empty() => path,
            path => format!(", in {path}"),
        };
        let message = format!("the body is not valid JSON: {error}{place}");
        Failure::new(ErrorKind::InvalidRequest, message)
    })
}

/// On the way through a text.
struct Walk<'de, 'f> {
    path: Vec<Step>,
    /// The keys of all objects that are open, the outermost first.
    keys: Vec<Cow<'de, str>>,
    faults: &'f mut Faults,
    too_deep: Option<String>,
}

/// One step down a path.
enum Step {
    /// The value of a key, by its place in [`Walk::keys`].
    Field(usize),
    Element(usize),
}

impl Walk<'_, '_> {
    /// A list or an object begins.
    fn enter<E: Error>(&mut self) -> Result<(), E> {
        if self.path.len() < MAX_DEPTH {
            return Ok(());
        }
        // All of it would be as long as it is deep.
        self.path.truncate(1);
        self.too_deep = Some(self.shown_path());
        Err(E::custom("too deep"))
    }

    /// The object whose keys begin at `first` is over.
    fn leave_object(&mut self, first: usize) {
        let mut own = self.keys.split_off(first);
        own.sort_unstable();
        for pair in own.windows(2) {
            if let [one, other] = pair
                && one == other
            {
                let field = join(&self.shown_path(), one);
                self.faults.add(field, "appears more than once");
            }
        }
    }

    fn shown_path(&self) -> String {
        let mut shown = String::new();
        for step in &self.path {
            if shown.len() > PATH_BYTES {
                shown.push_str("...");
                break;
            }
            match step {
                Step::Field(key) => {
                    let key = self.keys.get(*key).map_or("", |key| key);
                    shown = join(&shown, key);
                }
                Step::Element(index) => shown = format!("{shown}[{index}]"),
            }
        }
        shown
    }
}

impl<'de> DeserializeSeed<'de> for &mut Walk<'de, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Walk<'de, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.enter()?;
        for index in 0.. {
            self.path.push(Step::Element(index));
            let element = list.next_element_seed(&mut *self)?;
            self.path.pop();
            if element.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.enter()?;
        let first = self.keys.len();
        while let Some(Key(key)) = map.next_key()? {
            self.keys.push(key);
            self.path.push(Step::Field(self.keys.len() - 1));
            map.next_value_seed(&mut *self)?;
            self.path.pop();
        }
        self.leave_object(first);
        Ok(())
    }
}

/// A key as it reads once its escapes are undone; copied only if it has any.
struct Key<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }

            fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }

        deserializer.deserialize_str(Text)
    }
}
