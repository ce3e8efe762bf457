//! An event's data from words of the command line: `agentId=7` is text, `values.active:=3` is JSON.

use serde_json::{Map, Value};

/// A word that is no field.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(in crate::cli) enum FieldError {
    #[error("{0:?} is no field. Use name=text, or name:=JSON for numbers, booleans, lists and objects; dots make objects")]
    NoField(String),
    #[error("{word:?}: what follows := is not JSON: {reason}. Use name=text for text")]
    NotJson { word: String, reason: String },
    #[error("{0:?}: the field was given before as something else")]
    Twice(String),
}

/// The object that the words describe, on top of `base`.
pub(super) fn object(mut base: Map<String, Value>, words: &[String]) -> Result<Map<String, Value>, FieldError> {
    for word in words {
        let (path, value) = field(word)?;
        put(&mut base, path, value).ok_or_else(|| FieldError::Twice(word.clone()))?;
    }
    Ok(base)
}

fn field(word: &str) -> Result<(&str, Value), FieldError> {
    let (name, text) = word.split_once('=').ok_or_else(|| FieldError::NoField(word.to_owned()))?;
    let (path, value) = match name.strip_suffix(':') {
        Some(path) => {
            let value = serde_json::from_str(text)
                .map_err(|error| FieldError::NotJson { word: word.to_owned(), reason: error.to_string() })?;
            (path, value)
        }
        None => (name, Value::from(text)),
    };
    if path.split('.').any(str::is_empty) { Err(FieldError::NoField(word.to_owned())) } else { Ok((path, value)) }
}

fn put(object: &mut Map<String, Value>, path: &str, value: Value) -> Option<()> {
    match path.split_once('.') {
        Some((first, rest)) => {
            let inner = object.entry(first).or_insert_with(|| Value::Object(Map::new()));
            put(inner.as_object_mut()?, rest, value)
        }
        None if object.contains_key(path) => None,
        None => {
            object.insert(path.to_owned(), value);
            Some(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(words: &[&str]) -> Result<Value, FieldError> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        object(Map::new(), &words).map(Value::Object)
    }

    #[test]
    fn words_become_an_object() {
        let data = of(&["metric=voice_call", "values.active:=3", "values.open:=true", "note=a=b", "id=7"]).unwrap();
        assert_eq!(data, json!({"metric": "voice_call", "values": {"active": 3, "open": true}, "note": "a=b", "id": "7"}));
    }

    #[test]
    fn what_is_no_field_is_named() {
        assert!(matches!(of(&["metric"]), Err(FieldError::NoField(word)) if word == "metric"));
        assert!(matches!(of(&["=3"]), Err(FieldError::NoField(_))));
        assert!(matches!(of(&["a..b=3"]), Err(FieldError::NoField(_))));
        assert!(matches!(of(&["a:=b"]), Err(FieldError::NotJson { .. })));
        assert!(matches!(of(&["a=1", "a=2"]), Err(FieldError::Twice(_))));
        assert!(matches!(of(&["a=1", "a.b=2"]), Err(FieldError::Twice(_))));
    }
}
