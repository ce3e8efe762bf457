//! The schema by which the SDK checks domain events (§4), as a TypeScript module: types from the Rust structs, bounds from
//! their rules. `cargo xtask codegen` writes it.

use crate::{
    event::{self, DOMAIN_TYPES, DomainEvent},
    limits::{MAX_DEPTH, MAX_INTEGER},
    room::{MAX_ID_BYTES, MAX_ROOM_BYTES, plain_id_bytes},
    rules::Rule,
    ts_verdicts::sample,
};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::Value;
use std::fmt::Write as _;

/// The module, without header. The same text on every machine.
///
/// # Errors
/// A type that the SDK's checker has no word for, with its place.
pub fn schemas() -> Result<String, String> {
    let mut out = String::from("import type { EventSchema } from \"../validate/schema.js\";\n\n");
    out.push_str("/** The fields of each domain event (§4), in the order in which Rust looks for them. */\n");
    out.push_str("export const EVENT_SCHEMAS: Readonly<Record<string, EventSchema>> = {\n");
    for kind in DOMAIN_TYPES {
        let _ = writeln!(out, "  {kind}: {{");
        fields(kind, &mut out).map_err(|problem| format!("{kind}: {problem}"))?;
        out.push_str("  },\n");
    }
    out.push_str("};\n\n");
    let plain: String = plain_id_bytes().map(char::from).collect();
    let _ = writeln!(out, "/** What stays one byte in a room's id; each byte of other characters becomes three (§5). */");
    let _ = writeln!(out, "export const PLAIN_ID = {};\n", Value::from(plain));
    let _ = writeln!(out, "/** The deepest nesting of an event's data (§2). */\nexport const MAX_DEPTH = {};", MAX_DEPTH - 1);
    Ok(out)
}

/// One line for each field.
fn fields(kind: &str, out: &mut String) -> Result<(), String> {
    let schema = match kind {
        "metric_update" => json_schema::<event::MetricUpdate>(),
        "agent_status_change" => json_schema::<event::AgentStatusChange>(),
        "voice_clone_progress" => json_schema::<event::VoiceCloneProgress>(),
        "training_milestone" => json_schema::<event::TrainingMilestone>(),
        "clip_played" => json_schema::<event::ClipPlayed>(),
        _ => return Err("has no type".to_owned()),
    };
    let bounds = bounds(kind)?;
    let properties = schema["properties"].as_object().ok_or("is no struct")?;
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    // serde tells of the first field that is missing, in the struct's order, which is that of `required`.
    let mut optional: Vec<&str> = properties.keys().map(String::as_str).filter(|name| !required.contains(name)).collect();
    optional.sort_unstable();
    let names: Vec<&str> = required.iter().copied().chain(optional).collect();
    let mut unruled = names.iter();
    if let Some((field, _)) = bounds.iter().find(|(field, _)| !unruled.any(|name| name == field)) {
        return Err(format!("the rule for {field} is not in the order of the fields, or there is no such field"));
    }
    for name in names {
        let optional = !required.contains(&name);
        let (shape, nullable) = shape(&properties[name]).map_err(|problem| format!("{name}: {problem}"))?;
        if optional != nullable {
            return Err(format!("{name}: what may be left out may be null, and the other way round"));
        }
        let rule = bounds.iter().find(|(field, _)| *field == name).map_or("", |(_, rule)| rule);
        let may_miss = if optional { ", optional: true" } else { "" };
        let _ = writeln!(out, "    {name}: {{ {shape}{rule}{may_miss} }},");
    }
    Ok(())
}

fn json_schema<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::default().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>().into()
}

/// The rules of each field, as what follows its type.
fn bounds(kind: &str) -> Result<Vec<(&'static str, String)>, String> {
    let event = match DomainEvent::parse(kind, sample(kind)) {
        Some(Ok(event)) => event,
        other => return Err(format!("its sample is no such event: {other:?}")),
    };
    let mut found = Vec::new();
    event.rules(&mut |field, rule| {
        let name = format!(", minBytes: 1, maxBytes: {MAX_ID_BYTES}");
        let text = match rule {
            Rule::Name(_) => name,
            Rule::RoomId { prefix, .. } => {
                // A room's name is bounded as a whole too.
                let longest = MAX_ID_BYTES.min(MAX_ROOM_BYTES - prefix.len() - 1);
                format!("{name}, maxEncoded: {longest}")
            }
            Rule::Range { from, to, .. } => format!(", from: {from}, to: {to}"),
            Rule::Integer(_) => format!(", to: {MAX_INTEGER}"),
        };
        found.push((field, text));
        Ok::<(), String>(())
    })?;
    Ok(found)
}

/// The shape's words for a JSON schema, and whether it may be null.
fn shape(schema: &Value) -> Result<(String, bool), String> {
    if schema == &Value::Bool(true) {
        return Ok(("is: \"json\"".to_owned(), false));
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(choices) = schema[key].as_array() {
            return Ok((one_of(choices)?, false));
        }
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => return Err(format!("has no type: {schema}")),
    };
    let nullable = kinds.len() > 1 && kinds.contains(&"null");
    let mut kinds = kinds.into_iter().filter(|kind| !nullable || *kind != "null");
    let (Some(kind), None) = (kinds.next(), kinds.next()) else { return Err(format!("has several types: {schema}")) };
    let words = match kind {
        "string" if schema["enum"].is_array() => format!("is: \"enum\", names: {}", schema["enum"]),
        "string" => "is: \"text\"".to_owned(),
        "integer" if schema["format"] == "uint64" => "is: \"integer\"".to_owned(),
        "number" => "is: \"number\"".to_owned(),
        "boolean" | "null" => format!("is: \"{kind}\""),
        "object" if !schema["additionalProperties"].is_null() => {
            format!("is: \"map\", of: {{ {} }}", shape(&schema["additionalProperties"])?.0)
        }
        _ => return Err(format!("the checker has no word for {schema}")),
    };
    Ok((words, nullable))
}

/// An enum of names where all are, else a choice of shapes.
fn one_of(choices: &[Value]) -> Result<String, String> {
    let names: Vec<&Value> = choices.iter().filter_map(|choice| choice.get("const")).collect();
    if names.len() == choices.len() {
        return Ok(format!("is: \"enum\", names: {}", Value::from_iter(names.into_iter().cloned())));
    }
    let shapes: Vec<String> =
        choices.iter().map(|choice| Ok(format!("{{ {} }}", shape(choice)?.0))).collect::<Result<_, String>>()?;
    Ok(format!("is: \"any\", of: [{}]", shapes.join(", ")))
}
