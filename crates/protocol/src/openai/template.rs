//! A frame that is spelt like one seen before, but for its text.
//!
//! The frames of one answer mostly differ in the piece of text and in nothing else. Once such a
//! frame was understood, the next one need not be: two comparisons find its text.

/// The keys a piece of an answer comes under, as most servers space them. The last is that of
/// completions.
const KEYS: [&str; 5] = [
    r#""content":""#,
    r#""reasoning_content":""#,
    r#""reasoning":""#,
    r#""arguments":""#,
    r#""text":""#,
];

/// Those of them that hold nothing but the answer's text.
const TEXT_KEYS: [&str; 2] = [KEYS[0], KEYS[4]];

/// All of a frame but its text.
#[derive(Debug, Default)]
pub(super) struct Template {
    head: String,
    tail: String,
}

impl Template {
    /// Whether a frame is JSON and differs in its text alone from the one learnt.
    pub fn fits(&self, json: &str) -> bool {
        self.raw_text_of(json).is_some()
    }

    /// The text of such a frame, if it is spelt without escapes.
    pub fn text_of<'a>(&self, json: &'a str) -> Option<&'a str> {
        self.raw_text_of(json).filter(|text| !text.contains('\\'))
    }

    fn raw_text_of<'a>(&self, json: &'a str) -> Option<&'a str> {
        if self.tail.is_empty() {
            return None;
        }
        let text = json.strip_prefix(&self.head)?.strip_suffix(&self.tail)?;
        (string_len(text) == text.len()).then_some(text)
    }

    /// Takes a frame that was understood and says nothing but a piece of the answer.
    pub fn learn(&mut self, json: &str) {
        self.head.clear();
        self.tail.clear();
        let begin = KEYS.iter().find_map(|key| Some(json.find(key)? + key.len()));
        let Some((head, rest)) = begin.map(|begin| json.split_at(begin)) else { return };
        let (_, tail) = rest.split_at(string_len(rest));
        if tail.starts_with('"') {
            self.head.push_str(head);
            self.tail.push_str(tail);
        }
    }

    /// Takes a frame that was understood and says nothing but `text`.
    pub fn learn_text(&mut self, json: &str, text: &str) {
        self.learn(json);
        // There must be no other place, however it is spelt, that the text may have come from.
        let once = json.matches(r#""content""#).count() + json.matches(r#""text""#).count() == 1;
        let plain = !self.head.contains('\\') && !self.tail.contains('\\');
        let spoken = TEXT_KEYS.iter().any(|key| self.head.ends_with(key));
        if !(once && plain && spoken && self.text_of(json) == Some(text)) {
            self.tail.clear();
        }
    }
}

/// How much of `text` can stand in one JSON string, as it is.
fn string_len(text: &str) -> usize {
    let mut at = 0;
    loop {
        at += match text.as_bytes().get(at..) {
            Some([b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..]) => 2,
            Some([b'\\', b'u', a, b, c, d, ..])
                if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) =>
            {
                6
            }
            None | Some([] | [..b' ' | b'"' | b'\\', ..]) => return at,
            Some(_) => 1,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: &str = r#"{"id":"a","choices":[{"delta":{"content":"hi"},"finish_reason":null}]}"#;

    fn learnt(json: &str, text: &str) -> Template {
        let mut template = Template::default();
        template.learn_text(json, text);
        template
    }

    fn fits(json: &str, other: &str) -> bool {
        let mut template = Template::default();
        template.learn(json);
        template.fits(other)
    }

    #[test]
    fn a_frame_that_differs_in_its_text_is_known() {
        for text in ["", "ho", "é {}[]:,", "hihi", "\u{7f}"] {
            let frame = FRAME.replace("hi", text);
            assert_eq!(learnt(FRAME, "hi").text_of(&frame), Some(text));
        }
        for key in ["content", "reasoning_content", "reasoning", "arguments"] {
            let frame = FRAME.replace("content", key);
            for text in ["ho", r#"\"\\\/\b\f\n\r\t"#, r"\u00e9\uD83c", "x\\\"}", "é"] {
                assert!(fits(&frame, &frame.replace("hi", text)), "{key} {text}");
            }
        }
    }

    #[test]
    fn a_frame_that_differs_in_more_is_not() {
        for other in [
            FRAME.replace("null", "\"stop\""),
            FRAME.replace("\"a\"", "\"b\""),
            FRAME.replace("hi", r#"hi","role":"tool"#),
            FRAME.replace("hi", "h\ti"),
            FRAME.replace("hi", r"\x"),
            FRAME.replace("hi", r"\u12g4"),
            FRAME.replace("hi", r"\u123"),
            FRAME.replace("hi", "\\"),
            FRAME[..FRAME.len() - 1].to_owned(),
        ] {
            assert!(!fits(FRAME, &other), "{other}");
        }
        assert!(!Template::default().fits(FRAME));
        assert!(!fits("{}", "{}"));
    }

    #[test]
    fn a_text_with_escapes_is_left_to_a_parser() {
        for text in [r#"h\"i"#, r"h\n"] {
            assert_eq!(learnt(FRAME, "hi").text_of(&FRAME.replace("hi", text)), None);
        }
    }

    #[test]
    fn a_text_that_may_stand_elsewhere_is_not_learnt() {
        for (odd, text) in [
            (&*FRAME.replace("hi", r#"hi","content":"ho"#), "hi"),
            (&*FRAME.replace("{\"id\"", r#"{"x":{"content": "hi"},"id""#), "hi"),
            (&*FRAME.replace("\"a\"", r#"{"content":"hi"}"#), "hi"),
            (&*FRAME.replace("\"a\"", r#"{"c\u006fntent":"hi"}"#), "hi"),
            (&*FRAME.replace("]}", r#"],"x":{"c\u006fntent":"hi"}}"#), "hi"),
            (&*FRAME.replace("content", "reasoning"), "hi"),
            (&*FRAME.replace("hi", r#"h\"i"#), "h\"i"),
            (FRAME, "ho"),
            ("hi", "hi"),
        ] {
            assert_eq!(learnt(odd, text).text_of(odd), None, "{odd}");
        }
    }
}
