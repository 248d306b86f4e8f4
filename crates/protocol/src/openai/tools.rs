//! The tools of a client's body, and the form its answer must have.
//!
//! Responses say the same in another place: what both have is read here for both.

use serde_json::value::RawValue;

use crate::chat::{ResponseFormat, Tool, ToolChoice};
use crate::fields::{Faults, Object, join};
use crate::fit::Losses;

const FUNCTION: &str = "an object: {\"name\": a string, \"parameters\": a JSON schema}";
const CHOICE: &str = "\"none\", \"auto\", \"required\", or {\"type\": \"function\", \"function\": {\"name\": a string}}";
/// OpenAI wants a name; servers that speak its dialect mostly do not.
const UNNAMED: &str = "response";
/// The forms of an answer.
pub(crate) const FORMATS: &str = "must be one of \"text\", \"json_object\", \"json_schema\"";

pub(crate) fn decode(fields: &Object, faults: &mut Faults, losses: &mut Losses) -> Vec<Tool> {
    let Some(value) = fields.get("tools") else { return Vec::new() };
    let tools = faults.objects("tools", value);
    tools.iter().filter_map(|(path, tool)| read_tool(path, tool, faults, losses)).collect()
}

fn read_tool(path: &str, tool: &Object, faults: &mut Faults, losses: &mut Losses) -> Option<Tool> {
    let kind = faults.required_string(path, tool, "type")?;
    if kind != "function" {
        losses.refuse(join(path, "type"), "only functions are understood by this model's upstream");
        return None;
    }
    losses.unknown(path, tool, &["type", "function"]);
    let function = faults.required(path, tool, "function", FUNCTION)?;
    let path = join(path, "function");
    let function: Object = faults.read(&path, function, FUNCTION)?;
    losses.unknown(&path, &function, &["name", "description", "parameters", "strict"]);
    read_function(&path, &function, faults)
}

/// What a function is called, and what it takes.
pub(crate) fn read_function(path: &str, function: &Object, faults: &mut Faults) -> Option<Tool> {
    let name = faults.required_string(path, function, "name");
    Some(Tool {
        description: faults.optional_string(path, function, "description"),
        parameters: function.get("parameters").map(ToOwned::to_owned),
        strict: faults.optional_boolean(path, function, "strict"),
        name: name?,
    })
}

pub(super) fn choice(
    fields: &Object,
    faults: &mut Faults,
    losses: &mut Losses,
) -> Option<ToolChoice> {
    let value = fields.get("tool_choice")?;
    if let Some(choice) = choice_word(value) {
        return Some(choice);
    }
    match value.get() {
        text if text.starts_with('{') => {}
        text if text.starts_with('"') => {
            losses.refuse("tool_choice", format!("must be {CHOICE}"));
            return None;
        }
        _ => {
            faults.add("tool_choice", "must be a string or an object");
            return None;
        }
    }
    let choice: Object = faults.read("tool_choice", value, CHOICE)?;
    let function = choice.get("function").and_then(|function| {
        let function: Object = faults.read("tool_choice.function", function, FUNCTION)?;
        faults.required_string("tool_choice.function", &function, "name")
    });
    if function.is_none() {
        losses.refuse("tool_choice", format!("must be {CHOICE}"));
    }
    function.map(ToolChoice::Function)
}

/// A choice that names no tool.
pub(crate) fn choice_word(value: &RawValue) -> Option<ToolChoice> {
    Some(match value.get() {
        "\"none\"" => ToolChoice::None,
        "\"auto\"" => ToolChoice::Auto,
        "\"required\"" => ToolChoice::Required,
        _ => return None,
    })
}

pub(super) fn response_format(
    fields: &Object,
    faults: &mut Faults,
    losses: &mut Losses,
) -> Option<ResponseFormat> {
    let path = "response_format";
    let value = fields.get(path)?;
    let format: Object = faults.read(path, value, "an object")?;
    match faults.required_string(path, &format, "type")?.as_str() {
        "text" => Some(ResponseFormat::Text),
        "json_object" => Some(ResponseFormat::Json),
        "json_schema" => json_schema(&format, faults, losses),
        _ => {
            losses.refuse("response_format.type", FORMATS);
            None
        }
    }
}

fn json_schema(
    format: &Object,
    faults: &mut Faults,
    losses: &mut Losses,
) -> Option<ResponseFormat> {
    let path = "response_format.json_schema";
    let given = format.get("json_schema");
    let given = given.and_then(|value| faults.read::<Object>(path, value, "an object"));
    let given = given.unwrap_or_default();
    losses.unknown(path, &given, &["name", "description", "schema", "strict"]);
    let schema = given.get("schema");
    if schema.is_none() {
        losses.refuse(join(path, "schema"), "is required: a JSON schema");
    }
    read_schema(path, &given, schema, faults)
}

/// A schema, and what is said of it beside it.
pub(crate) fn read_schema(
    path: &str,
    given: &Object,
    schema: Option<&RawValue>,
    faults: &mut Faults,
) -> Option<ResponseFormat> {
    let name = faults.optional_string(path, given, "name");
    Some(ResponseFormat::Schema {
        name: name.unwrap_or_else(|| UNNAMED.to_owned()),
        description: faults.optional_string(path, given, "description"),
        strict: faults.optional_boolean(path, given, "strict"),
        schema: RawValue::to_owned(schema?),
    })
}
