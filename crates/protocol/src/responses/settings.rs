//! What a client's body says of tools, of the answer's form, and of how to think.

use serde_json::value::RawValue;

use crate::chat::{Reasoning, ResponseFormat, Tool, ToolChoice};
use crate::fields::{Faults, Object, join};
use crate::fit::Losses;

const CHOICE: &str =
    "\"none\", \"auto\", \"required\", or {\"type\": \"function\", \"name\": a string}";
const NO_TOOLS: &str = "only functions can be called here: nothing runs tools for the model";
const UNNAMED: &str = "response";

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
    let name = faults.required_string(path, tool, "name");
    Some(Tool {
        description: text(path, "description", tool, faults),
        parameters: tool.get("parameters").map(ToOwned::to_owned),
        strict: truth(path, "strict", tool, faults),
        name: name?,
    })
}

pub(super) fn choice(
    fields: &Object,
    faults: &mut Faults,
    losses: &mut Losses,
) -> Option<ToolChoice> {
    let path = "tool_choice";
    let value = fields.get(path)?;
    match value.get() {
        "\"none\"" => return Some(ToolChoice::None),
        "\"auto\"" => return Some(ToolChoice::Auto),
        "\"required\"" => return Some(ToolChoice::Required),
        text if text.starts_with('{') => {}
        _ => {
            faults.add(path, format!("must be {CHOICE}"));
            return None;
        }
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
        "json_schema" => schema(path, &format, faults, losses),
        _ => {
            let allowed = "must be one of \"text\", \"json_object\", \"json_schema\"";
            losses.refuse(join(path, "type"), allowed);
            None
        }
    }
}

fn schema(
    path: &str,
    format: &Object,
    faults: &mut Faults,
    losses: &mut Losses,
) -> Option<ResponseFormat> {
    losses.unknown(path, format, &["type", "name", "description", "schema", "strict"]);
    let schema = faults.required(path, format, "schema", "a JSON schema");
    Some(ResponseFormat::Schema {
        name: text(path, "name", format, faults).unwrap_or_else(|| UNNAMED.to_owned()),
        description: text(path, "description", format, faults),
        strict: truth(path, "strict", format, faults),
        schema: RawValue::to_owned(schema?),
    })
}

pub(super) fn reasoning(
    fields: &Object,
    faults: &mut Faults,
    losses: &mut Losses,
) -> Option<Reasoning> {
    let value = fields.get("reasoning")?;
    let settings: Object = faults.read("reasoning", value, "an object")?;
    losses.unknown("reasoning", &settings, &["effort"]);
    let effort = text("reasoning", "effort", &settings, faults)?;
    Some(if effort == "none" { Reasoning::Off } else { Reasoning::Effort(effort) })
}

fn text(path: &str, name: &str, object: &Object, faults: &mut Faults) -> Option<String> {
    object.get(name).and_then(|value| faults.string(&join(path, name), value))
}

fn truth(path: &str, name: &str, object: &Object, faults: &mut Faults) -> Option<bool> {
    object.get(name).and_then(|value| faults.boolean(&join(path, name), value))
}
