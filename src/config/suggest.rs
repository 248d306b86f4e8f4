//! Which key a misspelt one was meant to be.

/// Two slips of the finger still point to one key.
const MAX_DISTANCE: usize = 2;

/// The known key nearest to `key`, if one is near.
pub(super) fn nearest(key: &str, known: &[&'static str]) -> Option<&'static str> {
    let distances = known.iter().map(|candidate| (distance(key, candidate), *candidate));
    let (distance, candidate) = distances.min()?;
    // Of a key of two letters, nothing would be left of what was written.
    (distance <= MAX_DISTANCE && distance < candidate.len()).then_some(candidate)
}

/// The Levenshtein distance: how many letters to insert, delete or replace.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let first: Vec<usize> = (0..=to.len()).collect();
    let last = from.chars().enumerate().fold(first, |above, (index, letter)| {
        let mut left = index + 1;
        let mut row = vec![left];
        for ((diagonal, up), other) in above.iter().zip(above.iter().skip(1)).zip(&to) {
            let replaced = diagonal + usize::from(letter != *other);
            left = replaced.min(up + 1).min(left + 1);
            row.push(left);
        }
        row
    });
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_levenshteins() {
        for (from, to, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("prot", "port", 2),
            ("a", "a", 0),
        ] {
            assert_eq!(distance(from, to), expected, "{from} {to}");
            assert_eq!(distance(to, from), expected, "{to} {from}");
        }
    }

    #[test]
    fn only_a_near_key_is_suggested() {
        let known = ["port", "host", "workers"];
        assert_eq!(nearest("prot", &known), Some("port"));
        assert_eq!(nearest("worker", &known), Some("workers"));
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(nearest("x", &["ca"]), None);
    }
}
