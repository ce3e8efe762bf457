//! JavaScript values to Rust structs, as far as system messages and options need it.
//!
//! In this direction not serde-wasm-bindgen (the other one uses it): its error texts alone bring the formatting of floats and 20 KB into the module:
//! here an error names the field, and nothing is formatted.

use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;
use wasm_bindgen::{JsCast, JsValue};

/// A value that is not what was expected; the innermost field that it belongs to.
#[derive(Debug)]
pub(crate) struct Invalid(pub(crate) Option<&'static str>);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.unwrap_or("value"))
    }
}

impl std::error::Error for Invalid {}

impl de::Error for Invalid {
    fn custom<T: fmt::Display>(_message: T) -> Self {
        Self(None)
    }

    // These two would format otherwise.
    fn invalid_type(_unexpected: de::Unexpected<'_>, _expected: &dyn de::Expected) -> Self {
        Self(None)
    }

    fn missing_field(field: &'static str) -> Self {
        Self(Some(field))
    }
}

/// A value to be decoded.
pub(crate) struct Value(pub(crate) JsValue);

/// Decodes a whole value.
///
/// # Errors
/// [`Invalid`], with the field.
pub(crate) fn decode<T: de::DeserializeOwned>(value: JsValue) -> Result<T, Invalid> {
    T::deserialize(Value(value))
}

impl<'de> Deserializer<'de> for Value {
    type Error = Invalid;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        if let Some(text) = self.0.as_string() {
            visitor.visit_string(text)
        } else if let Some(number) = self.0.as_f64() {
            // Up to 2^53 every integer is exact (PROTOCOL.md's own bound).
            if (0.0..=js_sys::Number::MAX_SAFE_INTEGER).contains(&number) && number as u64 as f64 == number {
                visitor.visit_u64(number as u64)
            } else {
                visitor.visit_f64(number)
            }
        } else if let Some(truth) = self.0.as_bool() {
            visitor.visit_bool(truth)
        } else if let Some(array) = self.0.dyn_ref::<js_sys::Array>() {
            visitor.visit_seq(Items { array: array.clone(), next: 0 })
        } else {
            visitor.visit_unit()
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        if self.0.is_undefined() || self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Invalid> {
        if !self.0.is_object() {
            return Err(Invalid(None));
        }
        visitor.visit_map(Fields { object: self.0, fields, next: 0, value: JsValue::UNDEFINED })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier
    }
}

/// The items of an array.
struct Items {
    array: js_sys::Array,
    next: u32,
}

impl<'de> SeqAccess<'de> for Items {
    type Error = Invalid;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Invalid> {
        if self.next >= self.array.length() {
            return Ok(None);
        }
        let item = self.array.get(self.next);
        self.next += 1;
        seed.deserialize(Value(item)).map(Some)
    }
}

/// The fields that the struct knows, of those that the object has.
struct Fields {
    object: JsValue,
    fields: &'static [&'static str],
    next: usize,
    /// Of the field before `next`.
    value: JsValue,
}

impl Fields {
    /// Moves on to the next field that the object has, and gives its number.
    fn advance(&mut self) -> Option<u32> {
        while let Some(field) = self.fields.get(self.next) {
            self.value = crate::options::get(&self.object, field);
            self.next += 1;
            if !self.value.is_undefined() {
                return u32::try_from(self.next - 1).ok();
            }
        }
        None
    }
}

impl<'de> MapAccess<'de> for Fields {
    type Error = Invalid;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Invalid> {
        // By number, which serde's derive takes as well as the name: no names are compared.
        self.advance().map(|field| seed.deserialize(field.into_deserializer())).transpose()
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Invalid> {
        let field = self.next.checked_sub(1).and_then(|at| self.fields.get(at)).copied();
        seed.deserialize(Value(std::mem::take(&mut self.value))).map_err(|Invalid(inner)| Invalid(inner.or(field)))
    }
}
