//! Field names that some servers take for others.

use crate::fields::{Faults, Object, join};

/// Servers written in Go take `Model` for `model`, and the last of the two counts: passed on, it
/// would undo what was checked here. Refuses what differs from one of `decisive` in case alone.
pub(crate) fn refuse(fields: &Object, decisive: &[&str], faults: &mut Faults) {
    for name in fields.names().filter(|name| !decisive.contains(name)) {
        if let Some(known) = decisive.iter().find(|known| folded(name).eq(known.chars())) {
            let message = format!("must be spelt \"{known}\": some servers take it for that");
            faults.add(join("", name), message);
        }
    }
}

/// A name without its case, as Unicode folds it: U+017F is an `s` as well, U+212A a `k`.
fn folded(name: &str) -> impl Iterator<Item = char> {
    name.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase)
}
