//! A client's body, checked against the gateway's limits.

use crate::chat::{Chat, Message, Part, Role, Sampling};
use crate::error::Failure;
use crate::fields::{Faults, Object, decode_body, join};
use crate::request::{Request, Task};

const FIELDS: [&str; 5] = ["messages", "model", "temperature", "maxTokens", "stream"];
const MESSAGE_FIELDS: [&str; 2] = ["role", "content"];
const ROLES: &str = "one of \"user\", \"assistant\", \"system\"";

/// What a request may ask for, and what it gets when it does not say.
#[derive(Debug, Clone)]
pub struct Limits {
    pub max_content_chars: usize,
    pub max_messages: usize,
    pub default_temperature: f64,
    pub default_max_tokens: u32,
    pub max_tokens: u32,
}

/// Reads and checks the body of `POST /api/chat`.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) with every fault there is.
pub fn decode_request(body: &[u8], limits: &Limits) -> Result<Request, Failure> {
    let mut faults = Faults::default();
    let fields = decode_body(body, &mut faults)?;
    check_names("", &fields, &FIELDS, &mut faults);
    let messages = messages(&fields, limits, &mut faults);
    let model = faults.model(&fields);
    let temperature = fields
        .get("temperature")
        .and_then(|value| faults.number("temperature", value, 0.0..=2.0))
        .unwrap_or(limits.default_temperature);
    let max_tokens = fields
        .get("maxTokens")
        .and_then(|value| faults.integer("maxTokens", value, 1..=limits.max_tokens))
        .unwrap_or(limits.default_max_tokens);
    let stream = faults.optional_boolean("", &fields, "stream");
    faults.into_result()?;
    let sampling = Sampling {
        temperature: Some(temperature),
        max_tokens: Some(max_tokens),
        ..Sampling::default()
    };
    let stream = stream.unwrap_or(true);
    let task = Task::Chat(Chat { messages, sampling, ..Chat::default() });
    Ok(Request { model, stream, task, ..Request::default() })
}

fn messages(fields: &Object, limits: &Limits, faults: &mut Faults) -> Vec<Message> {
    let required = faults.required("", fields, "messages", "a list of at least one message");
    let Some(value) = required else { return Vec::new() };
    faults.not_empty("messages", value, "message");
    let list = faults.objects("messages", value);
    if list.len() > limits.max_messages {
        let (most, found) = (limits.max_messages, list.len());
        faults.add("messages", format!("must hold at most {most} messages, not {found}"));
        return Vec::new();
    }
    list.iter().map(|(path, object)| message(path, object, limits, faults)).collect()
}

fn message(path: &str, object: &Object, limits: &Limits, faults: &mut Faults) -> Message {
    check_names(path, object, &MESSAGE_FIELDS, faults);
    let role = role(path, object, faults).unwrap_or_default();
    let content = content(path, object, limits, faults).unwrap_or_default();
    Message { role, content: vec![Part::Text(content)], ..Message::default() }
}

fn role(path: &str, object: &Object, faults: &mut Faults) -> Option<Role> {
    let value = faults.required(path, object, "role", ROLES)?;
    let field = join(path, "role");
    let role = faults.read(&field, value, ROLES)?;
    if !matches!(role, Role::User | Role::Assistant | Role::System) {
        faults.add(field, format!("must be {ROLES}"));
    }
    Some(role)
}

fn content(path: &str, object: &Object, limits: &Limits, faults: &mut Faults) -> Option<String> {
    let allowed = format!("a string of 1 to {} characters", limits.max_content_chars);
    let value = faults.required(path, object, "content", &allowed)?;
    let field = join(path, "content");
    let content: String = faults.read(&field, value, &allowed)?;
    let chars = content.chars().count();
    if chars == 0 || chars > limits.max_content_chars {
        faults.add(field, format!("must be {allowed}, not {chars}"));
    }
    Some(content)
}

pub(super) fn check_names(path: &str, object: &Object, known: &[&str], faults: &mut Faults) {
    for name in object.names().filter(|name| !known.contains(name)) {
        let message = match nearest(name, known) {
            Some(near) => format!("is not a known field; did you mean \"{near}\"?"),
            None => format!("is not a known field; known are {}", known.join(", ")),
        };
        faults.add(join(path, name), message);
    }
}

/// The known name that differs least, if the difference may be a slip.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let fold = |name: &str| -> Vec<char> {
        name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    // No slip is that long, and the work grows with the length.
    if name.len() > 32 {
        return None;
    }
    let name = fold(name);
    let distances = known.iter().map(|known| (distance(&name, &fold(known)), *known));
    let (least, near) = distances.min()?;
    (least <= near.len() / 3).then_some(near)
}

/// How many characters must be changed, put in or taken out (Levenshtein).
fn distance(left: &[char], right: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (so_far, a) in left.iter().enumerate() {
        let mut diagonal = so_far;
        let mut before = so_far + 1;
        let mut next = vec![before];
        for (above, b) in row.iter().skip(1).zip(right) {
            before = (diagonal + usize::from(a != b)).min(above + 1).min(before + 1);
            diagonal = *above;
            next.push(before);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_field_that_was_meant() {
        for (slip, meant) in [
            ("max_tokens", Some("maxTokens")),
            ("maxtoken", Some("maxTokens")),
            ("temprature", Some("temperature")),
            ("message", Some("messages")),
            ("Model", Some("model")),
            ("top_p", None),
            ("", None),
        ] {
            assert_eq!(nearest(slip, &FIELDS), meant, "{slip}");
        }
        assert_eq!(nearest(&"m".repeat(100_000), &FIELDS), None);
    }

    #[test]
    fn distances_are_levenshtein() {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        for (left, right, expected) in [
            ("kitten", "sitting", 3),
            ("", "abc", 3),
            ("abc", "", 3),
            ("abcd", "c", 3),
            ("same", "same", 0),
        ] {
            assert_eq!(distance(&chars(left), &chars(right)), expected, "{left} {right}");
        }
    }
}
