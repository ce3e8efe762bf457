//! What others may see of a user: a name and a picture, read from the token's claims and bounded. For display only.

use serde_json::{Map, Value};

/// Longer names are cut, in bytes.
const NAME_BYTES: usize = 128;
/// Longer addresses of pictures are left out: cut they would lead nowhere.
const AVATAR_BYTES: usize = 512;

/// A user's name and picture. Users write these claims themselves (`user_metadata`): nothing may be decided by them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    name: Option<Box<str>>,
    avatar_url: Option<Box<str>>,
}

impl Info {
    /// What the claims tell; `None` where they tell neither. Names: `user_metadata.name`, `user_metadata.full_name`, `name`.
    /// Pictures, by http and https only: `user_metadata.avatar_url`, `user_metadata.picture`, `picture`.
    pub fn of(claims: &Map<String, Value>) -> Option<Self> {
        let own = claims.get("user_metadata");
        let claim = |place: Option<&Value>| {
            let text = place?.as_str()?.trim();
            (!text.is_empty()).then(|| text.to_owned())
        };
        let of_user = |name: &str| claim(own.and_then(|own| own.get(name)));
        let of_token = |name: &str| claim(claims.get(name));
        let name = of_user("name").or_else(|| of_user("full_name")).or_else(|| of_token("name"));
        let avatar = of_user("avatar_url").or_else(|| of_user("picture")).or_else(|| of_token("picture"));
        let shown = |url: &String| {
            let by_http = ["https://", "http://"].iter().any(|scheme| url.starts_with(scheme));
            by_http && url.len() <= AVATAR_BYTES && !url.chars().any(|char| char.is_control() || char.is_whitespace())
        };
        let (name, avatar_url) = (name.map(|name| cut(&name).into()), avatar.filter(shown).map(String::into_boxed_str));
        (name.is_some() || avatar_url.is_some()).then_some(Self { name, avatar_url })
    }

    /// As it is sent: `{name?, avatarUrl?}`.
    pub fn to_json(&self) -> Map<String, Value> {
        let fields = [("name", &self.name), ("avatarUrl", &self.avatar_url)];
        let told = fields.into_iter().filter_map(|(field, value)| Some((field.to_owned(), value.as_deref()?.into())));
        told.collect()
    }
}

fn cut(name: &str) -> &str {
    let end = (0..=name.len().min(NAME_BYTES)).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
    &name[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn info(claims: Value) -> Option<Value> {
        let Value::Object(claims) = claims else { panic!("claims are an object") };
        Info::of(&claims).map(|info| info.to_json().into())
    }

    #[test]
    fn a_name_and_a_picture_and_nothing_else() {
        let claims = json!({
            "email": "ada@example.org", "phone": "1", "app_metadata": {"name": "no"},
            "user_metadata": {"name": " Ada ", "avatar_url": "https://example.org/a.png", "email": "ada@example.org"},
        });
        assert_eq!(info(claims), Some(json!({"name": "Ada", "avatarUrl": "https://example.org/a.png"})));
        assert_eq!(info(json!({"user_metadata": {"full_name": "Ada L."}})), Some(json!({"name": "Ada L."})));
        let oidc = json!({"name": "Ada", "picture": "http://localhost/a.png"});
        assert_eq!(info(oidc), Some(json!({"name": "Ada", "avatarUrl": "http://localhost/a.png"})));
        assert_eq!(info(json!({"email": "ada@example.org"})), None);
        assert_eq!(info(json!({"user_metadata": "none", "name": 7, "picture": ["https://example.org"]})), None);
    }

    #[test]
    fn what_is_too_long_or_would_run_is_left_out() {
        let long = info(json!({"name": "é".repeat(200)})).unwrap();
        assert_eq!(long["name"].as_str().map(str::len), Some(NAME_BYTES));
        for bad in ["javascript:alert(1)", "data:image/png;base64,", "//example.org/a.png", "https://example.org/a b"] {
            assert_eq!(info(json!({"picture": bad})), None, "{bad}");
        }
        assert_eq!(info(json!({"picture": format!("https://example.org/{}", "a".repeat(AVATAR_BYTES))})), None);
    }
}
