//! The content of a message, and of a tool's result.

use serde_json::value::RawValue;

use super::items::Reader;
use crate::chat::{Message, Part, Role};
use crate::fields::{Object, join};
use crate::openai::messages::audio;

const CONTENT: &str = "a string or a list of parts";
const FILES: &str = "files are not kept here: put their text into an input_text";
const RESULT: &str = "only text is understood as the result of a call";

impl Reader<'_> {
    /// The content of a message; whether it is one string.
    pub(super) fn content(&mut self, path: &str, value: &RawValue, message: &mut Message) -> bool {
        let field = join(path, "content");
        if value.get().starts_with('[') {
            for (path, part) in self.faults.objects(&field, value) {
                self.part(&path, &part, message);
            }
            return false;
        }
        if let Some(text) = self.faults.read::<String>(&field, value, CONTENT) {
            message.push_text(&text);
        }
        true
    }

    fn part(&mut self, path: &str, part: &Object, message: &mut Message) {
        let said = message.role == Role::Assistant;
        match self.faults.required_string(path, part, "type").as_deref() {
            Some("output_text") if said => {
                let known = ["type", "text", "annotations", "logprobs"];
                self.losses.unknown(path, part, &known);
                let text = self.faults.required_string(path, part, "text");
                message.push_text(&text.unwrap_or_default());
            }
            Some("input_text") => {
                self.losses.unknown(path, part, &["type", "text"]);
                let text = self.faults.required_string(path, part, "text");
                message.push_text(&text.unwrap_or_default());
            }
            Some("refusal") if said => {
                let text = self.faults.required_string(path, part, "refusal");
                message.push_text(&text.unwrap_or_default());
            }
            Some("input_image") if !said => message.content.extend(self.image(path, part)),
            Some("input_audio") if !said => {
                message.content.extend(audio(path, part, self.faults, self.losses));
            }
            Some("input_file") if !said => self.losses.refuse(join(path, "type"), FILES),
            Some(_) => {
                let allowed = if said {
                    "must be one of \"output_text\", \"refusal\""
                } else {
                    "must be one of \"input_text\", \"input_image\", \"input_audio\""
                };
                self.faults.add(join(path, "type"), allowed);
            }
            None => {}
        }
    }

    fn image(&mut self, path: &str, part: &Object) -> Option<Part> {
        self.losses.unknown(path, part, &["type", "image_url", "file_id", "detail"]);
        // SDKs want it said, and what they say by default leaves it to the model.
        if part.get("detail").is_some_and(|detail| detail.get() != "\"auto\"") {
            self.losses.ignore(join(path, "detail"));
        }
        if part.get("file_id").is_some() {
            let message = "files are not kept here: give the image as image_url";
            self.losses.refuse(join(path, "file_id"), message);
            return None;
        }
        let image = self.faults.required_string(path, part, "image_url").map(Part::Image)?;
        self.losses.note_part(&image, &join(path, "image_url"));
        Some(image)
    }

    /// The result of a call: a string, or parts of which all are text.
    pub(super) fn result(&mut self, path: &str, value: &RawValue) -> String {
        let field = join(path, "output");
        if !value.get().starts_with('[') {
            return self.faults.read(&field, value, CONTENT).unwrap_or_default();
        }
        let mut result = String::new();
        for (path, part) in self.faults.objects(&field, value) {
            match self.faults.required_string(&path, &part, "type").as_deref() {
                Some("input_text" | "output_text") => {
                    let text = self.faults.required_string(&path, &part, "text");
                    result.push_str(&text.unwrap_or_default());
                }
                Some(_) => self.losses.refuse(join(&path, "type"), RESULT),
                None => {}
            }
        }
        result
    }
}
