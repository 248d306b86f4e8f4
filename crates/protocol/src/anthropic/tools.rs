//! The tools of a client's body, and the form its answer must have.

use super::request::Reader;
use crate::chat::{ResponseFormat, Tool, ToolChoice};
use crate::fields::{Object, join};
use crate::wishes::Wish;

const CHOICE: &str = "must be one of \"auto\", \"any\", \"tool\", \"none\"";
/// OpenAI wants a format to have a name.
const UNNAMED: &str = "response";

pub(super) fn decode(reader: &mut Reader<'_>) -> Vec<Tool> {
    let Some(value) = reader.fields.get("tools") else { return Vec::new() };
    let tools = reader.faults.objects("tools", value);
    tools.iter().filter_map(|(path, tool)| read(reader, path, tool)).collect()
}

fn read(reader: &mut Reader<'_>, path: &str, tool: &Object) -> Option<Tool> {
    if let Some(kind) = tool.get("type") {
        let kind = reader.faults.string(&join(path, "type"), kind)?;
        if kind != "custom" {
            let message = "must be \"custom\": there are no tools on the server's side here";
            reader.losses.refuse(join(path, "type"), message);
            return None;
        }
    }
    let known = ["type", "name", "description", "input_schema", "strict"];
    reader.note_unknown(path, tool, &known);
    let faults = &mut *reader.faults;
    let name = faults.required_string(path, tool, "name");
    let schema = faults.required(path, tool, "input_schema", "a JSON schema");
    let place = join(path, "input_schema");
    let schema =
        schema.filter(|schema| faults.read::<Object>(&place, schema, "a JSON schema").is_some());
    Some(Tool {
        description: faults.optional_string(path, tool, "description"),
        strict: faults.optional_boolean(path, tool, "strict"),
        parameters: schema.map(ToOwned::to_owned),
        name: name?,
    })
}

pub(super) fn choice(reader: &mut Reader<'_>) -> Option<ToolChoice> {
    let path = "tool_choice";
    let choice = reader.object("", reader.fields, path)?;
    reader.note_unknown(path, &choice, &["type", "name", "disable_parallel_tool_use"]);
    match reader.faults.required_string(path, &choice, "type")?.as_str() {
        "auto" => Some(ToolChoice::Auto),
        "any" => Some(ToolChoice::Required),
        "none" => Some(ToolChoice::None),
        "tool" => reader.faults.required_string(path, &choice, "name").map(ToolChoice::Function),
        _ => {
            reader.faults.add("tool_choice.type", CHOICE);
            None
        }
    }
}

/// Only the wish for one call at a time is told; several are the default everywhere.
pub(super) fn parallel(reader: &mut Reader<'_>) -> Option<bool> {
    let choice: Object = serde_json::from_str(reader.fields.get("tool_choice")?.get()).ok()?;
    let value = choice.get("disable_parallel_tool_use")?;
    let disabled = reader.faults.boolean("tool_choice.disable_parallel_tool_use", value)?;
    disabled.then_some(false)
}

/// `output_config.format`, which was `output_format` before.
pub(super) fn output_format(reader: &mut Reader<'_>) -> Option<ResponseFormat> {
    let config = reader.fields.get("output_config");
    let config: Option<Object> = config.and_then(|value| serde_json::from_str(value.get()).ok());
    let newer = config.and_then(|config| reader.object("output_config", &config, "format"));
    let older = reader.object("", reader.fields, "output_format");
    let (path, format) = match (newer, older) {
        (Some(newer), _) => ("output_config.format", newer),
        (None, older) => ("output_format", older?),
    };
    reader.note_unknown(path, &format, &["type", "schema"]);
    if reader.faults.required_string(path, &format, "type")? != "json_schema" {
        reader.losses.refuse(join(path, "type"), "must be \"json_schema\"");
        return None;
    }
    let schema = reader.faults.required(path, &format, "schema", "a JSON schema")?;
    reader.losses.note(Wish::Format, path);
    Some(ResponseFormat::Schema {
        name: UNNAMED.to_owned(),
        description: None,
        schema: schema.to_owned(),
        // Here a schema is always kept to.
        strict: Some(true),
    })
}
