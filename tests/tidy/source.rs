//! Rust as far as the rules must understand it: code without comments and literals, its words,
//! its paths, its tests.

/// The text with comments and literals blanked: what is left is code, every byte at its place.
pub fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let blank = blank_len(rest);
        let word = rest.len() - rest.trim_start_matches(is_word).len();
        let (taken, left) = rest.split_at(blank.unwrap_or(word.max(first.len_utf8())));
        match blank {
            Some(_) => code.extend(taken.bytes().map(|b| if b == b'\n' { '\n' } else { ' ' })),
            None => code.push_str(taken),
        }
        rest = left;
    }
    code
}

/// The length of the comment or literal that `rest` begins with.
fn blank_len(rest: &str) -> Option<usize> {
    let until = |from: usize, end: &str| {
        rest[from..].find(end).map_or(rest.len(), |found| from + found + end.len())
    };
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(until(2, "*/"));
    }
    if let Some(raw) = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r')) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let begin = rest.len() - raw.len() + hashes + 1;
            return Some(until(begin, &format!("\"{}", "#".repeat(hashes))));
        }
    }
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let inner = &rest[1..];
    // A lifetime has no second quote.
    if quote == '\'' && !inner.starts_with('\\') && inner.chars().nth(1) != Some('\'') {
        return None;
    }
    let mut escaped = false;
    let end = inner.find(|c| {
        let ends = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    Some(end.map_or(rest.len(), |end| end + 2))
}

pub fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// A word with what stands before and behind it.
pub struct Word<'c> {
    pub before: &'c str,
    pub text: &'c str,
    pub behind: &'c str,
}

/// The words of a code.
pub fn words(code: &str) -> impl Iterator<Item = Word<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let begin = at + code[at..].find(is_word)?;
        at = code[begin..].find(|c| !is_word(c)).map_or(code.len(), |len| begin + len);
        Some(Word { before: &code[..begin], text: &code[begin..at], behind: &code[at..] })
    })
}

/// The length of the bracketed part that `text` begins with; of one sign if it does not.
pub fn bracketed(text: &str) -> usize {
    let mut depth = 0;
    let end = text.find(|c| {
        depth += i32::from("{([".contains(c)) - i32::from("})]".contains(c));
        depth == 0
    });
    end.map_or(text.len(), |end| end + 1)
}

/// The code without the items under `#[cfg(test)]`.
pub fn without_tests(code: &str) -> String {
    let mut parts = code.split("#[cfg(test)]");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for item in parts {
        let begin = item.find([';', '{']).unwrap_or(item.len());
        kept.push_str(&item[begin + bracketed(&item[begin..])..]);
    }
    kept
}

/// The first names behind a `path::`: one, or those of a group in braces.
pub fn members(behind: &str) -> Vec<&str> {
    if !behind.starts_with('{') {
        return words(behind).next().map(|word| word.text).into_iter().collect();
    }
    let group = &behind[1..bracketed(behind)];
    let is_open = |text: &str| text.matches('{').count() > text.matches('}').count();
    let names = words(group).filter(|word| {
        let before = word.before.trim_end();
        (before.is_empty() || before.ends_with(',')) && !is_open(before)
    });
    names.map(|word| word.text).collect()
}

#[test]
fn comments_and_literals_are_no_code() {
    let text = "a(\"x\\\"é\", 'z', '\\'', b\"p\") // q\n/* r\n */ b::<'c>(r#\"d \"e\" \"#, r#f);";
    let found = code(text);
    assert_eq!(
        words(&found).map(|word| word.text).collect::<Vec<_>>(),
        ["a", "b", "b", "c", "r", "f"]
    );
    assert_eq!(found.len(), text.len());
    assert_eq!(found.find("b::"), text.find("b::"));
}

#[test]
fn tests_are_cut_out() {
    let text = "one;\n#[cfg(test)]\nmod tests;\ntwo;\n#[cfg(test)]\nmod more { a { b } }\nthree;";
    let left = without_tests(text);
    assert_eq!(left.split_whitespace().collect::<Vec<_>>(), ["one;", "two;", "three;"]);
}

#[test]
fn members_of_a_group_are_its_first_names() {
    assert_eq!(members("{a, b::{c, d}, e as f};"), ["a", "b", "e"]);
    assert_eq!(members("{\n    a::{b, c},\n    d,\n};"), ["a", "d"]);
    assert_eq!(members("a::b"), ["a"]);
}
