//! References to secrets among a codec's options.

use serde_json::{Map, Value};

/// A reference that stands in a codec's options in place of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretReference<'a> {
    /// The secret is in the environment variable of this name: `{"env": "NAME"}`.
    Env(&'a str),
    /// The secret is in the file at this path: `{"file": "PATH"}`.
    File(&'a str),
}

impl<'a> SecretReference<'a> {
    /// Returns the reference if `value` is one.
    pub fn of(value: &'a Value) -> Option<Self> {
        let members = value.as_object().filter(|members| members.len() == 1)?;
        match members.iter().next()? {
            (key, Value::String(name)) if key == "env" => Some(Self::Env(name)),
            (key, Value::String(path)) if key == "file" => Some(Self::File(path)),
            _ => None,
        }
    }

    /// Returns the place of the first reference to a secret in options, such as `options.auth.key`.
    /// Commands that show the options that they use accept no references.
    pub fn first_place(options: &Map<String, Value>) -> Option<String> {
        options.iter().find_map(|(key, member)| find(member, &member_place("options", key)))
    }
}

fn find(value: &Value, place: &str) -> Option<String> {
    if SecretReference::of(value).is_some() {
        return Some(place.to_owned());
    }
    match value {
        Value::Object(members) => {
            members.iter().find_map(|(key, member)| find(member, &member_place(place, key)))
        }
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(index, item)| find(item, &format!("{place}[{index}]")))
        }
        _ => None,
    }
}

/// Returns the place of a member of a JSON object, as error messages name it:
/// `options.auth."a key"`.
pub fn member_place(object: &str, key: &str) -> String {
    let is_bare =
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if is_bare { format!("{object}.{key}") } else { format!("{object}.{key:?}") }
}
