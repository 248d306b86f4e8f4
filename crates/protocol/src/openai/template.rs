//! A frame that is spelt like one seen before, but for its text.
//!
//! The frames of one answer mostly differ in the piece of text and in nothing else. Once such a
//! frame was understood, the next one need not be: two comparisons find its text.

const KEY: &str = r#""content":""#;

/// All of a frame but its text.
#[derive(Debug, Default)]
pub(super) struct Template {
    head: String,
    tail: String,
}

impl Template {
    /// The text of a frame that is otherwise the same as the one learnt. It holds no quote, no
    /// escape and nothing JSON forbids, so the frame says the same as that one but for the text.
    pub fn text_of<'a>(&self, json: &'a str) -> Option<&'a str> {
        if self.tail.is_empty() {
            return None;
        }
        let text = json.strip_prefix(&self.head)?.strip_suffix(&self.tail)?;
        text.bytes().all(is_plain).then_some(text)
    }

    /// Takes a frame that was understood and says nothing but a piece of text; which one, if that
    /// is known.
    pub fn learn(&mut self, json: &str, known: Option<&str>) {
        self.head.clear();
        self.tail.clear();
        let Some(key) = json.find(KEY) else { return };
        let (head, rest) = json.split_at(key + KEY.len());
        let (text, tail) = rest.split_at(rest.bytes().take_while(|byte| is_plain(*byte)).count());
        let as_known = known.is_none_or(|known| known == text);
        if as_known && tail.starts_with('"') && !tail.contains(KEY) {
            self.head.push_str(head);
            self.tail.push_str(tail);
        }
    }
}

fn is_plain(byte: u8) -> bool {
    byte >= b' ' && byte != b'"' && byte != b'\\'
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: &str = r#"{"id":"a","choices":[{"delta":{"content":"hi"},"finish_reason":null}]}"#;

    fn learnt(json: &str, text: &str) -> Template {
        let mut template = Template::default();
        template.learn(json, Some(text));
        template
    }

    #[test]
    fn a_frame_that_differs_in_its_text_is_known() {
        for text in ["", "ho", "é {}[]:,", "hihi"] {
            let frame = FRAME.replace("hi", text);
            assert_eq!(learnt(FRAME, "hi").text_of(&frame), Some(text));
        }
    }

    #[test]
    fn a_frame_that_differs_in_more_is_not() {
        for other in [
            FRAME.replace("null", "\"stop\""),
            FRAME.replace("\"a\"", "\"b\""),
            FRAME.replace("hi", r#"h\"i"#),
            FRAME.replace("hi", r"h\n"),
            FRAME.replace("hi", r#"hi","role":"tool"#),
            FRAME.replace("hi", "h\ti"),
            FRAME[..FRAME.len() - 1].to_owned(),
        ] {
            assert_eq!(learnt(FRAME, "hi").text_of(&other), None, "{other}");
        }
    }

    #[test]
    fn what_is_not_plain_is_not_learnt() {
        let twice = FRAME.replace("hi", r#"hi","content":"ho"#);
        let escaped = FRAME.replace("hi", r#"h\"i"#);
        for (odd, text) in [(&*twice, "hi"), (&escaped, "h\"i"), (FRAME, "ho"), ("hi", "hi")] {
            assert_eq!(learnt(odd, text).text_of(odd), None, "{odd}");
        }
    }
}
