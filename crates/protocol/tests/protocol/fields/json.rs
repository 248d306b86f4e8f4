//! JSON put together and compared.

use serde_json::Value;

/// RFC 7386, but that `null` stays.
pub fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (_, Value::Null) => {}
        (Value::Object(target), Value::Object(patch)) => {
            for (name, value) in patch {
                merge(target.entry(name).or_insert(Value::Null), value);
            }
        }
        (target, patch) => *target = patch.clone(),
    }
}

/// Where two values differ: `messages[].role`. A value that is there in one only is one place.
pub fn differences(before: &Value, after: &Value) -> Vec<String> {
    let mut places = Vec::new();
    walk("", before, after, &mut places);
    places.sort();
    places.dedup();
    places
}

fn walk(path: &str, before: &Value, after: &Value, places: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(left), Value::Object(right)) => {
            let names = left.keys().chain(right.keys().filter(|name| !left.contains_key(*name)));
            for name in names {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                walk(&path, &before[name], &after[name], places);
            }
        }
        (Value::Array(left), Value::Array(right)) => {
            for index in 0..left.len().max(right.len()) {
                walk(&format!("{path}[]"), &before[index], &after[index], places);
            }
        }
        _ if before == after => {}
        _ => places.push(path.to_owned()),
    }
}

/// What stands at `messages[0].role`.
pub fn at<'a>(value: &'a Value, place: &str) -> Option<&'a Value> {
    place.split('.').try_fold(value, |value, step| {
        let (name, indices) = step.split_once('[').unwrap_or((step, ""));
        let indices = indices.split(['[', ']']).filter(|index| !index.is_empty());
        indices.fold(value.get(name), |value, index| value?.get(index.parse::<usize>().ok()?))
    })
}
