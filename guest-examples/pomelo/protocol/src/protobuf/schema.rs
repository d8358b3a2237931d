//! Pomelo's schemas in JSON: checks them, and compiles them into tables for the conversion of
//! bodies.
//!
//! A schema is an object with a member for each field, such as `"required uInt32 code": 1`, and a
//! member for each message type that only this schema uses, such as `"message Hero": {...}`.
//! Message types for all schemas have the same form, and are next to the routes.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use serde_json::{Map, Value};

use crate::text::quoted;

/// The highest tag. The tag is shifted by the 3 bits of the wire type, and Pomelo's shifts lose
/// bits from 2^31 on.
const MAX_TAG: u32 = (1 << 28) - 1;

/// The largest number of fields in a message. A bit for each field is on the stack during a
/// conversion.
pub(super) const MAX_FIELDS: usize = 256;

/// The number of levels to which messages may be nested. Limits the recursion of a conversion.
const MAX_DEPTH: usize = 32;

const TYPES: &str = "uInt32, sInt32, int32, float, double, string, or a message of this schema or beside it";
const KEYS: &str = "`required TYPE NAME`, `optional TYPE NAME`, `repeated TYPE NAME` or `message NAME`, with \
                    one space between";

/// The schemas of one direction.
#[derive(Debug)]
pub(crate) struct Schemas {
    messages: Vec<Message>,
    /// The index of each route's message.
    routes: HashMap<String, usize, FixedState>,
}

/// The schema of one route.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schema<'a> {
    pub(super) messages: &'a [Message],
    pub(super) root: usize,
}

#[derive(Debug)]
pub(super) struct Message {
    /// Sorted by tag.
    pub(super) fields: Vec<Field>,
    /// The indexes of the fields, sorted by name.
    by_name: Vec<u16>,
}

#[derive(Debug)]
pub(super) struct Field {
    tag: u32,
    pub(super) option: FieldOption,
    pub(super) kind: Kind,
    pub(super) name: String,
    /// The name as a key in JSON, with the colon.
    pub(super) key: String,
    /// The bytes before a value: the tag and the wire type.
    pub(super) head: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldOption {
    Required,
    Optional,
    Repeated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Unsigned,
    /// Zigzag. In a schema, `sInt32` or `int32`.
    Signed,
    Float,
    Double,
    Text,
    /// The index of the message.
    Message(usize),
}

impl Kind {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "uInt32" => Self::Unsigned,
            "sInt32" | "int32" => Self::Signed,
            "float" => Self::Float,
            "double" => Self::Double,
            "string" => Self::Text,
            _ => return None,
        })
    }

    /// Returns whether the kind is a number. Arrays of numbers are packed.
    pub(super) fn is_number(self) -> bool {
        !matches!(self, Self::Text | Self::Message(_))
    }

    fn wire_type(self) -> u32 {
        match self {
            Self::Unsigned | Self::Signed => 0,
            Self::Double => 1,
            Self::Text | Self::Message(_) => 2,
            Self::Float => 5,
        }
    }
}

impl Schemas {
    /// Compiles the schemas of one direction. `side` is the name of `source` in errors.
    pub(super) fn compile(side: &str, source: &Map<String, Value>) -> Result<Self, String> {
        let mut compiler = Compiler { side, source, shared: HashMap::new(), messages: Vec::new() };
        let mut routes = HashMap::default();
        for (key, schema) in source {
            match key.strip_prefix("message ") {
                // Unused messages are checked too. Otherwise a mistake in one would appear only
                // with its first use.
                Some(name) => {
                    declarable(name).map_err(|fault| format!("`{side}`: {fault}"))?;
                    compiler.shared(name, 0)?;
                }
                None if key.is_empty() => return Err(format!("`{side}` has a schema for an empty route")),
                None => {
                    let place = format!("`{side}`, route `{key}`");
                    let (root, _) = compiler.message(schema, &place, 1)?;
                    routes.insert(key.clone(), root);
                }
            }
        }
        Ok(Self { messages: compiler.messages, routes })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// Returns the schema of a route, if it has one.
    pub(crate) fn of(&self, route: &str) -> Option<Schema<'_>> {
        let &root = self.routes.get(route)?;
        Some(Schema { messages: &self.messages, root })
    }
}

impl Message {
    pub(super) fn by_tag(&self, tag: u64) -> Option<usize> {
        // Tags usually count 1, 2, 3 and so on, which gives the position of a field.
        let guess = usize::try_from(tag).ok()?.wrapping_sub(1);
        if self.fields.get(guess).is_some_and(|field| u64::from(field.tag) == tag) {
            return Some(guess);
        }
        self.fields.binary_search_by_key(&tag, |field| field.tag.into()).ok()
    }

    pub(super) fn by_name(&self, name: &str) -> Option<usize> {
        let named = |&index: &u16| self.fields[usize::from(index)].name.as_str();
        let place = self.by_name.binary_search_by_key(&name, named).ok()?;
        Some(self.by_name[place].into())
    }
}

// === the compiler ===

struct Compiler<'a> {
    side: &'a str,
    source: &'a Map<String, Value>,
    /// The messages next to the routes that were compiled so far. `None` for one that is being
    /// compiled.
    shared: HashMap<&'a str, Option<Compiled>>,
    messages: Vec<Message>,
}

/// The index of a message, and its number of levels: 1 if it contains no message.
type Compiled = (usize, usize);

impl<'a> Compiler<'a> {
    /// Compiles a message. `depth` counts the message and those around it.
    fn message(&mut self, source: &'a Value, place: &str, depth: usize) -> Result<Compiled, String> {
        let source = source.as_object().ok_or_else(|| format!("{place}: a schema must be an object"))?;
        if depth > MAX_DEPTH {
            return Err(too_deep(place));
        }
        let mut nested: HashMap<&str, Option<Compiled>> = HashMap::new();
        let mut fields: Vec<Field> = Vec::new();
        let mut height = 1;
        for key in source.keys() {
            if let Key::Message(name) = split(key).map_err(|fault| format!("{place}: {fault}"))? {
                nested.insert(name, None);
            }
        }
        for (key, value) in source {
            let (option, kind, name) = match split(key)? {
                Key::Field(option, kind, name) => (option, kind, name),
                Key::Message(name) => {
                    // Unused messages are checked too.
                    if nested[name].is_none() {
                        let place = format!("{place}, message `{name}`");
                        nested.insert(name, Some(self.message(value, &place, depth + 1)?));
                    }
                    continue;
                }
            };
            let tag = value.as_u64().and_then(|tag| u32::try_from(tag).ok());
            let tag = tag.filter(|tag| (1..=MAX_TAG).contains(tag)).ok_or_else(|| {
                format!("{place}: the tag of `{name}` must be a whole number from 1 to {MAX_TAG}")
            })?;
            let kind = match Kind::named(kind) {
                Some(kind) => kind,
                None => {
                    let found = match nested.get(kind).copied() {
                        Some(Some(compiled)) => Some(compiled),
                        Some(None) => {
                            let inside = format!("{place}, message `{kind}`");
                            let compiled =
                                self.message(&source[&format!("message {kind}")], &inside, depth + 1)?;
                            nested.insert(kind, Some(compiled));
                            Some(compiled)
                        }
                        None => self.shared(kind, depth)?,
                    };
                    let (index, its_height) = found.ok_or_else(|| {
                        format!("{place}: `{name}` has the unknown type `{kind}`; allowed are {TYPES}")
                    })?;
                    height = height.max(1 + its_height);
                    Kind::Message(index)
                }
            };
            let mut head = Vec::new();
            super::encode::write_varint(u64::from(tag << 3 | kind.wire_type()), &mut head);
            let (name, key) = (name.to_owned(), quoted(name) + ":");
            // Fields are few, so each is inserted at its position. A sort would add more code to
            // the component than the whole compiler has.
            match fields.binary_search_by_key(&tag, |field: &Field| field.tag) {
                Ok(other) => {
                    let other = &fields[other].name;
                    return Err(format!("{place}: `{other}` and `{name}` have the same tag, {tag}"));
                }
                Err(_) if fields.len() == MAX_FIELDS => {
                    return Err(format!("{place}: a message may have at most {MAX_FIELDS} fields"));
                }
                Err(at) => fields.insert(at, Field { tag, option, kind, name, key, head }),
            }
        }
        let mut by_name: Vec<u16> = Vec::with_capacity(fields.len());
        for (index, field) in fields.iter().enumerate() {
            let named = |&other: &u16| fields[usize::from(other)].name.as_str();
            match by_name.binary_search_by_key(&field.name.as_str(), named) {
                Ok(_) => return Err(format!("{place}: there are two fields with the name `{}`", field.name)),
                Err(at) => by_name.insert(at, index as u16),
            }
        }
        self.messages.push(Message { fields, by_name });
        Ok((self.messages.len() - 1, height))
    }

    /// Compiles a message next to the routes, which is used `depth` levels deep. Returns `None` if
    /// there is no such message.
    fn shared(&mut self, name: &str, depth: usize) -> Result<Option<Compiled>, String> {
        let Some((key, source)) = self.source.get_key_value(&format!("message {name}")) else {
            return Ok(None);
        };
        let name = &key["message ".len()..];
        let place = format!("`{}`, message `{name}`", self.side);
        let compiled = match self.shared.get(name) {
            Some(Some(compiled)) => *compiled,
            Some(None) => return Err(format!("{place}: it contains itself, which is not allowed")),
            None => {
                self.shared.insert(name, None);
                let compiled = self.message(source, &place, depth + 1)?;
                self.shared.insert(name, Some(compiled));
                compiled
            }
        };
        if depth + compiled.1 > MAX_DEPTH {
            return Err(too_deep(&place));
        }
        Ok(Some(compiled))
    }
}

fn too_deep(place: &str) -> String {
    format!("{place}: messages may be nested {MAX_DEPTH} levels deep, and these are nested deeper")
}

enum Key<'a> {
    /// The option, the type and the name.
    Field(FieldOption, &'a str, &'a str),
    Message(&'a str),
}

fn split(key: &str) -> Result<Key<'_>, String> {
    let wrong = || format!("the key `{key}` must be {KEYS}");
    let mut words = key.split(' ');
    let words = [words.next(), words.next(), words.next(), words.next()];
    let (option, kind, name) = match words {
        [Some("message"), Some(name), None, None] => {
            declarable(name)?;
            return Ok(Key::Message(name));
        }
        [Some("required"), Some(kind), Some(name), None] => (FieldOption::Required, kind, name),
        [Some("optional"), Some(kind), Some(name), None] => (FieldOption::Optional, kind, name),
        [Some("repeated"), Some(kind), Some(name), None] => (FieldOption::Repeated, kind, name),
        _ => return Err(wrong()),
    };
    if kind.is_empty() || name.is_empty() {
        return Err(wrong());
    }
    // In the handshake, `__messages` and `__tags` are members next to the fields, and JavaScript
    // reserves `__proto__`.
    if name.starts_with("__") {
        return Err(format!("the name `{name}` must not begin with `__`, which is reserved"));
    }
    Ok(Key::Field(option, kind, name))
}

/// Checks that a message may have this name.
fn declarable(name: &str) -> Result<(), String> {
    let is_word = !name.is_empty() && !name.contains(' ') && !name.starts_with("__");
    // Pomelo treats the last two as numbers too, but cannot write them.
    let is_type = Kind::named(name).is_some() || ["uInt64", "sInt64"].contains(&name);
    if is_word && !is_type {
        return Ok(());
    }
    Err(format!("a message can't have the name `{name}`: it must be a word that is no type's name"))
}

// === the form in the handshake ===

/// Returns the schemas as pomelo-protobuf parses them, in the order of the source. Each schema has
/// a member for each field, `"code":{"option":"required","type":"uInt32","tag":1}`, and the members
/// `__messages` and `__tags`. The schemas must have been compiled before.
pub(super) fn parsed(schemas: &Map<String, Value>) -> String {
    let mut json = String::new();
    write_members(&mut json, schemas, |json, key, schema| {
        json.push_str(&quoted(key));
        json.push(':');
        write_parsed(json, schema);
    });
    json
}

fn write_parsed(json: &mut String, schema: &Value) {
    let members = schema.as_object().into_iter().flatten().filter_map(|(key, value)| {
        let key = split(key).ok()?;
        Some((key, value))
    });
    let (mut tags, mut messages): (Vec<(u64, String)>, _) = (Vec::new(), Vec::new());
    json.push('{');
    for (key, value) in members {
        match key {
            Key::Message(name) => messages.push((name, value)),
            Key::Field(option, kind, name) => {
                let option = match option {
                    FieldOption::Required => "required",
                    FieldOption::Optional => "optional",
                    FieldOption::Repeated => "repeated",
                };
                let (name, kind) = (quoted(name), quoted(kind));
                json.push_str(&format!(
                    "{name}:{{\"option\":\"{option}\",\"type\":{kind},\"tag\":{value}}},"
                ));
                // Sorted by tag: JavaScript sorts keys that are numbers.
                let tag = value.as_u64().unwrap_or_default();
                let at = tags.partition_point(|(other, _)| *other < tag);
                tags.insert(at, (tag, name));
            }
        }
    }
    json.push_str("\"__messages\":");
    write_members(json, messages, |json, name, message| {
        json.push_str(&quoted(name));
        json.push(':');
        write_parsed(json, message);
    });
    json.push_str(",\"__tags\":");
    write_members(json, tags, |json, tag, name| {
        json.push_str(&format!("\"{tag}\":{name}"));
    });
    json.push('}');
}

fn write_members<K, V>(
    json: &mut String,
    members: impl IntoIterator<Item = (K, V)>,
    write: impl Fn(&mut String, K, V),
) {
    json.push('{');
    for (index, (key, value)) in members.into_iter().enumerate() {
        if index > 0 {
            json.push(',');
        }
        write(json, key, value);
    }
    json.push('}');
}

/// Returns the source of the schemas that [`parsed`] wrote. The source is unchecked; compiling it
/// checks it.
pub(super) fn unparsed(parsed: &Value) -> Result<Value, String> {
    let parsed = parsed.as_object().ok_or("the schemas are not an object")?;
    parsed.iter().map(|(key, schema)| Ok((key.clone(), unparsed_schema(schema, 1)?))).collect()
}

fn unparsed_schema(parsed: &Value, depth: usize) -> Result<Value, String> {
    if depth > MAX_DEPTH {
        return Err(too_deep("a schema"));
    }
    let parsed = parsed.as_object().ok_or("a schema is not an object")?;
    let mut source = Map::new();
    for (name, member) in parsed {
        match name.as_str() {
            "__tags" => {}
            "__messages" => {
                for (name, message) in member.as_object().into_iter().flatten() {
                    source.insert(format!("message {name}"), unparsed_schema(message, depth + 1)?);
                }
            }
            _ => {
                let word = |key: &str| member[key].as_str().unwrap_or_default();
                let key = format!("{} {} {name}", word("option"), word("type"));
                source.insert(key, member["tag"].clone());
            }
        }
    }
    Ok(Value::Object(source))
}
