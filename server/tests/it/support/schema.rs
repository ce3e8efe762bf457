//! Checks JSON against the schemas of an OpenAPI document: what ours uses of JSON Schema, and a panic at anything else, so that
//! no rule of the document goes unchecked.

use serde_json::Value;

/// Where `value` is not as `schema` says; empty where it is.
pub(crate) fn mismatches(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(document, schema, value, "", &mut found);
    found
}

fn check(document: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let mut wrong = |what: String| found.push(format!("{at}: {what}: {value}"));
    for (rule, told) in schema.as_object().unwrap() {
        match rule.as_str() {
            "description" | "example" => {}
            "$ref" => {
                let target = document.pointer(told.as_str().unwrap().strip_prefix('#').unwrap());
                check(document, target.unwrap_or_else(|| panic!("{told} is not there")), value, at, found);
                return check_rest(document, schema, value, at, found);
            }
            "type" => {
                let allowed: Vec<_> = told.as_array().map_or_else(|| vec![told.clone()], Clone::clone);
                if !allowed.iter().any(|kind| is(kind.as_str().unwrap(), value)) {
                    wrong(format!("is no {told}"));
                }
            }
            "enum" if !told.as_array().unwrap().contains(value) => wrong(format!("is none of {told}")),
            "minimum" if value.as_f64().is_some_and(|number| number < told.as_f64().unwrap()) => {
                wrong(format!("is under {told}"))
            }
            "minLength" | "maxLength" => {
                let (length, bound) = (value.as_str().map(|text| text.chars().count() as u64), told.as_u64().unwrap());
                if length.is_some_and(|length| if rule == "minLength" { length < bound } else { length > bound }) {
                    wrong(format!("breaks {rule} {told}"));
                }
            }
            "required" => {
                for field in told.as_array().unwrap().iter().filter(|field| value.get(field.as_str().unwrap()).is_none()) {
                    wrong(format!("lacks {field}"));
                }
            }
            "format" => {
                assert_eq!(told, "date-time");
                let text = value.as_str().unwrap_or_default();
                if !(text.len() == 24 && text.ends_with('Z') && text.as_bytes()[10] == b'T') {
                    wrong("is no time".to_owned());
                }
            }
            "pattern" => {
                let text = value.as_str().unwrap_or_default();
                let fits = match told.as_str().unwrap() {
                    room if room.starts_with("^[a-z]") => osbackend_protocol::RoomName::parse(text).is_ok(),
                    _ => !text.is_empty() && !text.chars().any(char::is_control),
                };
                if !fits {
                    wrong(format!("is not as {told}"));
                }
            }
            "const" if told != value => wrong(format!("is not {told}")),
            "maximum" if value.as_f64().is_some_and(|number| number > told.as_f64().unwrap()) => wrong(format!("is over {told}")),
            "allOf" | "anyOf" => {
                let fitting = told.as_array().unwrap().iter().filter(|one| mismatches(document, one, value).is_empty()).count();
                let needed = if rule == "allOf" { told.as_array().unwrap().len() } else { 1 };
                if fitting < needed {
                    wrong(format!("fits {fitting} of {rule} {told}"));
                }
            }
            "if" if mismatches(document, told, value).is_empty() => {
                mismatches(document, &schema["then"], value).into_iter().for_each(&mut wrong);
            }
            "not" if mismatches(document, told, value).is_empty() => wrong(format!("must not be {told}")),
            "const"
            | "enum"
            | "if"
            | "then"
            | "maximum"
            | "minimum"
            | "not"
            | "properties"
            | "additionalProperties"
            | "items"
            | "oneOf" => {}
            other => panic!("the checker does not know {other}"),
        }
    }
    check_rest(document, schema, value, at, found);
}

/// What is inside.
fn check_rest(document: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    if let Some(fields) = value.as_object() {
        for (name, field) in fields {
            let at = format!("{at}.{name}");
            match (schema["properties"].get(name), schema.get("additionalProperties")) {
                (Some(property), _) => check(document, property, field, &at, found),
                (None, Some(Value::Bool(false))) => found.push(format!("{at}: is not in the schema: {field}")),
                (None, Some(others)) => check(document, others, field, &at, found),
                (None, None) => {}
            }
        }
    }
    if let (Some(items), Some(schema)) = (value.as_array(), schema.get("items")) {
        for (index, item) in items.iter().enumerate() {
            check(document, schema, item, &format!("{at}[{index}]"), found);
        }
    }
    if let Some(choices) = schema.get("oneOf").and_then(Value::as_array) {
        let fitting = choices.iter().filter(|choice| mismatches(document, choice, value).is_empty()).count();
        if fitting != 1 {
            found.push(format!("{at}: fits {fitting} of the choices: {value}"));
        }
    }
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("the checker does not know the type {other}"),
    }
}
