//! One value as it was given: by a TOML document or an environment variable.

use toml_edit::{Item, Value};

/// How much of a value a fault quotes.
const MAX_QUOTED_CHARS: usize = 80;

/// A value without a type yet.
#[derive(Clone, Copy)]
pub(super) enum Raw<'a> {
    Toml(&'a Value),
    /// A table or an array of tables.
    Tables(&'a Item),
    Variable(&'a str),
}

impl<'a> Raw<'a> {
    pub(super) fn of(item: &'a Item) -> Self {
        item.as_value().map_or(Self::Tables(item), Self::Toml)
    }

    pub(super) fn text(self) -> Option<&'a str> {
        match self {
            Self::Toml(value) => value.as_str(),
            Self::Variable(text) => Some(text),
            Self::Tables(_) => None,
        }
    }

    pub(super) fn integer(self) -> Option<i64> {
        match self {
            Self::Toml(value) => value.as_integer(),
            Self::Variable(text) => text.trim().parse().ok(),
            Self::Tables(_) => None,
        }
    }

    /// A number, with or without a decimal point; never `nan` or `inf`.
    pub(super) fn number(self) -> Option<f64> {
        let number = match self {
            // Beyond 2^53 the nearest number will do: no setting goes that far.
            #[expect(clippy::cast_precision_loss)]
            Self::Toml(value) => value.as_float().or(value.as_integer().map(|int| int as f64)),
            Self::Variable(text) => text.trim().parse().ok(),
            Self::Tables(_) => None,
        };
        number.filter(|number| number.is_finite())
    }

    pub(super) fn boolean(self) -> Option<bool> {
        match self {
            Self::Toml(value) => value.as_bool(),
            Self::Variable(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" => Some(true),
                "false" | "0" => Some(false),
                _ => None,
            },
            Self::Tables(_) => None,
        }
    }

    /// The value as a fault quotes it. Of tables and arrays only the kind is told: a secret may
    /// be inside.
    pub(super) fn shown(self) -> String {
        match self {
            Self::Variable(text) => quoted(text),
            Self::Tables(item) => item.type_name().to_owned(),
            Self::Toml(value) => match value {
                Value::String(text) => quoted(text.value()),
                Value::Integer(int) => int.value().to_string(),
                Value::Float(float) => float.value().to_string(),
                Value::Boolean(boolean) => boolean.value().to_string(),
                Value::Datetime(datetime) => datetime.value().to_string(),
                Value::Array(_) | Value::InlineTable(_) => value.type_name().to_owned(),
            },
        }
    }
}

/// In quotes, escaped and cut short.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED_CHARS) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_can_be_anything_it_spells() {
        assert_eq!(Raw::Variable(" 80 ").integer(), Some(80));
        assert_eq!(Raw::Variable("0.5").number(), Some(0.5));
        assert_eq!(Raw::Variable("inf").number(), None);
        assert_eq!(Raw::Variable("True").boolean(), Some(true));
        assert_eq!(Raw::Variable("0").boolean(), Some(false));
        assert_eq!(Raw::Variable("yes").boolean(), None);
    }

    #[test]
    fn a_toml_value_is_of_its_type_only() {
        let text = Value::from("1");
        assert_eq!(Raw::Toml(&text).integer(), None);
        assert_eq!(Raw::Toml(&text).text(), Some("1"));
        let int = Value::from(1);
        assert_eq!(Raw::Toml(&int).number(), Some(1.0));
        assert_eq!(Raw::Toml(&int).boolean(), None);
    }

    #[test]
    fn quotes_are_short_and_on_one_line() {
        assert_eq!(quoted("a\nb"), r#""a\nb""#);
        assert_eq!(quoted(&"é".repeat(100)), format!("{:?}...", "é".repeat(80)));
    }
}
