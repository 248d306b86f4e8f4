//! What a client's body says of tools, of the answer's form, and of how to think.

use crate::chat::{Reasoning, ResponseFormat, Tool, ToolChoice};
use crate::fields::{Faults, Object, join};
use crate::fit::Losses;
use crate::openai::tools::{FORMATS, choice_word, read_function, read_schema};

const CHOICE: &str =
    "\"none\", \"auto\", \"required\", or {\"type\": \"function\", \"name\": a string}";
const NO_TOOLS: &str = "only functions can be called here: nothing runs tools for the model";

pub(super) fn tools(fields: &Object, faults: &mut Faults, losses: &mut Losses) -> Vec<Tool> {
    let Some(value) = fields.get("tools") else { return Vec::new() };
    let tools = faults.objects("tools", value);
    tools.iter().filter_map(|(path, object)| tool(path, object, faults, losses)).collect()
}

fn tool(path: &str, tool: &Object, faults: &mut Faults, losses: &mut Losses) -> Option<Tool> {
    if faults.required_string(path, tool, "type")? != "function" {
        losses.refuse(join(path, "type"), NO_TOOLS);
        return None;
    }
    losses.unknown(path, tool, &["type", "name", "description", "parameters", "strict"]);
    read_function(path, tool, faults)
}

pub(super) fn choice(
    fields: &Object,
    faults: &mut Faults,
    losses: &mut Losses,
) -> Option<ToolChoice> {
    let path = "tool_choice";
    let value = fields.get(path)?;
    if let Some(choice) = choice_word(value) {
        return Some(choice);
    }
    if !value.get().starts_with('{') {
        faults.add(path, format!("must be {CHOICE}"));
        return None;
    }
    let choice: Object = faults.read(path, value, CHOICE)?;
    if faults.required_string(path, &choice, "type")? != "function" {
        losses.refuse(join(path, "type"), format!("must be {CHOICE}"));
        return None;
    }
    faults.required_string(path, &choice, "name").map(ToolChoice::Function)
}

/// `text`: the answer's form, and how many words it should take, which nobody is told.
pub(super) fn format(
    fields: &Object,
    faults: &mut Faults,
    losses: &mut Losses,
) -> Option<ResponseFormat> {
    let value = fields.get("text")?;
    let settings: Object = faults.read("text", value, "an object")?;
    losses.unknown("text", &settings, &["format"]);
    let path = "text.format";
    let format: Object = faults.read(path, settings.get("format")?, "an object")?;
    match faults.required_string(path, &format, "type")?.as_str() {
        "text" => Some(ResponseFormat::Text),
        "json_object" => Some(ResponseFormat::Json),
        "json_schema" => {
            let known = ["type", "name", "description", "schema", "strict"];
            losses.unknown(path, &format, &known);
            let schema = faults.required(path, &format, "schema", "a JSON schema");
            read_schema(path, &format, schema, faults)
        }
        _ => {
            losses.refuse(join(path, "type"), FORMATS);
            None
        }
    }
}

pub(super) fn reasoning(
    fields: &Object,
    faults: &mut Faults,
    losses: &mut Losses,
) -> Option<Reasoning> {
    let value = fields.get("reasoning")?;
    let settings: Object = faults.read("reasoning", value, "an object")?;
    losses.unknown("reasoning", &settings, &["effort"]);
    let effort = faults.optional_string("reasoning", &settings, "effort")?;
    Some(if effort == "none" { Reasoning::Off } else { Reasoning::Effort(effort) })
}
