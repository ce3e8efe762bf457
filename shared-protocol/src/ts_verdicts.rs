//! Good and bad data of domain events with Rust's own verdict on each, by which the SDK's checker is tested.
//! `cargo xtask codegen` writes them to `fixtures/generated/verdicts.json`.

use crate::{
    event::{self, DOMAIN_TYPES, DomainEvent},
    json::JsonObject,
    limits::MAX_DEPTH,
};
use serde_json::Value;
use std::fmt::Write as _;

/// Valid data with every field of the type; the empty text for a type without.
pub(crate) fn sample(kind: &str) -> &'static str {
    match kind {
        "metric_update" => r#"{"metric":"calls","values":{"active":3,"live":true,"name":"x","none":null}}"#,
        "agent_status_change" => r#"{"agentId":"7","status":"online","message":"m","details":{"a":{"b":[1]}}}"#,
        "voice_clone_progress" => r#"{"userId":"u","jobId":"j","status":"queued","progress":40,"message":"m"}"#,
        "training_milestone" => r#"{"userId":"u","milestone":"half","details":{"a":{"b":[1]}}}"#,
        "clip_played" => r#"{"clipId":"c","plays":3,"location":"l"}"#,
        _ => "",
    }
}

/// Each of these takes the place of each value; among them what is just within a bound, and just beyond it. No `1.0`: once
/// parsed, JavaScript can't tell it from `1`.
fn replacements() -> Vec<String> {
    let mut all: Vec<String> = [
        "null",
        "true",
        "0",
        "-0",
        "-1",
        "1.5",
        "100",
        "100.5",
        "9007199254740991",
        "9007199254740992",
        "1e300",
        "1e400",
        "[]",
        "[1]",
        "{}",
        r#"{"queued":null}"#,
        r#""""#,
        r#""x""#,
        r#""queued""#,
        r#""\ud800""#,
        r#"{"\ud800":1}"#,
        r#"{"a.b":[1e400]}"#,
    ]
    .map(str::to_owned)
    .to_vec();
    // 128 and 129 bytes; 126 and 129 once percent-encoded; 128 and 130 bytes of which each becomes three.
    for (character, times) in [("n", 128), ("n", 129), (":", 42), (":", 43), ("é", 64), ("é", 65)] {
        all.push(format!("\"{}\"", character.repeat(times)));
    }
    all
}

/// The fixture, as JSON: one case a line, `path` where Rust refuses.
///
/// # Errors
/// A sample that is no JSON.
pub fn verdicts() -> Result<String, serde_json::Error> {
    let mut out = String::from("{\"generated\": \"by `cargo xtask codegen`; do not edit\", \"cases\": [\n");
    let mut separator = "";
    for (kind, text) in cases()? {
        let _ = write!(out, "{separator}{{\"type\": \"{kind}\", \"text\": {}", Value::from(text.as_str()));
        if let Some(path) = verdict(kind, &text) {
            let _ = write!(out, ", \"path\": {}", Value::from(path));
        }
        out.push('}');
        separator = ",\n";
    }
    out.push_str("\n]}\n");
    Ok(out)
}

/// The path that the server would name, publishing this; none where it would publish it.
fn verdict(kind: &str, text: &str) -> Option<String> {
    let refused = match JsonObject::parse(text) {
        Ok(data) => event::classify(kind, &data).err(),
        Err(_) => DomainEvent::parse(kind, text).and_then(Result::err),
    };
    refused.map(|error| error.path)
}

/// Each type with the texts of its data.
fn cases() -> Result<Vec<(&'static str, String)>, serde_json::Error> {
    let replacements = replacements();
    let mut all = Vec::new();
    for kind in DOMAIN_TYPES {
        let sample: Value = serde_json::from_str(sample(kind))?;
        let mut add = |text: String| all.push((kind, text));
        add(text_of(&sample, &[]));
        for other in ["null", "7", "\"x\"", "[]", "{}"] {
            add(other.to_owned());
        }
        for path in paths(&sample) {
            add(text_of(&sample, &[(&path, None)]));
            for replacement in &replacements {
                add(text_of(&sample, &[(&path, Some(replacement))]));
            }
        }
        // Two at once: the same one of them has to be named.
        let fields: Vec<String> = sample.as_object().into_iter().flat_map(|fields| fields.keys().cloned()).collect();
        let breaks = [None, Some("[]"), Some("\"\""), Some("9007199254740992")];
        for (index, one) in fields.iter().enumerate() {
            for other in &fields[index + 1..] {
                for (first, second) in breaks.iter().flat_map(|first| breaks.iter().map(move |second| (first, second))) {
                    add(text_of(&sample, &[(one, *first), (other, *second)]));
                }
            }
        }
        // Fields that no type names, as deep as it goes and one deeper; and a path that is cut.
        for levels in [MAX_DEPTH - 2, MAX_DEPTH - 1] {
            add(with_field(&sample, "more", &format!("{}{}", "[".repeat(levels), "]".repeat(levels))));
        }
        add(with_field(&sample, "\\ud800", "1"));
        add(with_field(&sample, "more", "\"\\ud800\""));
    }
    let long = "é".repeat(200);
    all.push(("metric_update", format!(r#"{{"metric":"m","values":{{"{long}":[]}}}}"#)));
    all.push(("agent_status_change", format!(r#"{{"agentId":"7","status":"s","details":{{"{long}":1e400}}}}"#)));
    Ok(all)
}

/// The places of all values within an object, dotted.
fn paths(value: &Value) -> Vec<String> {
    let Some(fields) = value.as_object() else { return Vec::new() };
    let mut all = Vec::new();
    for (name, inner) in fields {
        all.push(name.clone());
        all.extend(paths(inner).into_iter().map(|path| format!("{name}.{path}")));
    }
    all.sort();
    all
}

/// The value's text, its keys sorted, with other text (or nothing) at some places.
fn text_of(value: &Value, changes: &[(&str, Option<&str>)]) -> String {
    let Some(fields) = value.as_object() else { return value.to_string() };
    let mut names: Vec<&String> = fields.keys().collect();
    names.sort();
    let mut parts = Vec::new();
    for name in names {
        let text = match changes.iter().find(|(path, _)| path == name) {
            Some((_, None)) => continue,
            Some((_, Some(text))) => (*text).to_owned(),
            None => {
                let within: Vec<(&str, Option<&str>)> = changes
                    .iter()
                    .filter_map(|(path, text)| Some((path.strip_prefix(name.as_str())?.strip_prefix('.')?, *text)))
                    .collect();
                text_of(&fields[name], &within)
            }
        };
        parts.push(format!("\"{name}\":{text}"));
    }
    format!("{{{}}}", parts.join(","))
}

fn with_field(sample: &Value, name: &str, text: &str) -> String {
    let rest = text_of(sample, &[]);
    format!("{{\"{name}\":{text},{}", rest.strip_prefix('{').unwrap_or(&rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn there_are_good_and_bad_ones_of_every_type_and_every_field_is_refused_once() {
        let cases = cases().expect("the samples are JSON");
        for kind in DOMAIN_TYPES {
            let verdicts: Vec<Option<String>> =
                cases.iter().filter(|(of, _)| *of == kind).map(|(_, text)| verdict(kind, text)).collect();
            assert!(verdicts.iter().filter(|path| path.is_none()).count() >= 10, "{kind}");
            let refused: BTreeSet<String> = verdicts.into_iter().flatten().collect();
            let sample: Value = serde_json::from_str(sample(kind)).expect("JSON");
            for field in sample.as_object().expect("an object").keys() {
                assert!(refused.contains(&format!("data.{field}")), "{kind}: {field} is never refused");
            }
            assert!(refused.contains("data"), "{kind}");
        }
    }

    #[test]
    fn the_sample_names_every_field() {
        for kind in DOMAIN_TYPES {
            let event = DomainEvent::parse(kind, sample(kind)).expect("a domain event").expect("valid");
            let written: Value = serde_json::from_str(event.data().expect("data").get()).expect("JSON");
            assert_eq!(written, serde_json::from_str::<Value>(sample(kind)).expect("JSON"), "{kind}");
        }
    }
}
