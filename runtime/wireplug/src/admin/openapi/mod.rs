//! Describes the requests of the control API in [OpenAPI
//! 3.1](https://spec.openapis.org/oas/v3.1.1). `docs/openapi.json` is this description.
//!
//! The schemas come from the types of the questions and answers, and the texts from their doc
//! comments. So the description cannot differ from the code.
//!
//! | file | its job |
//! |---|---|
//! | `operation` | describes one request |

mod operation;
#[cfg(test)]
mod tests;

use schemars::generate::{Contract, SchemaSettings};
use schemars::transform::{RecursiveTransform, Transform as _};
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};
use wireplug_connectors::Health;

pub(super) use self::operation::{Body, Operation};
use super::routes::Route;
use crate::server::client_commands::VERBS;

/// The refusals that every request may have, besides those of the request itself.
const REFUSALS: [u16; 4] = [400, 401, 403, 429];

/// The meanings of all refusals.
const MEANINGS: [(u16, &str); 13] = [
    (400, "The request makes no sense."),
    (401, "The token is missing or wrong, or has expired."),
    (403, "The client does not have the role, or may not connect."),
    (404, "There is no such codec, session, fault or client."),
    (408, "The body came too slowly."),
    (409, "The state of the server does not allow it."),
    (413, "The body is too large."),
    (415, "The body has another type, or is no UTF-8."),
    (422, "What is to be loaded is refused."),
    (
        429,
        "Too many tokens from the client's address were wrong, or the session has too many requests in flight.",
    ),
    (501, "The codec of the session has no requests to clients."),
    (503, "It is not possible now: try again later."),
    (504, "The client has not answered in time."),
];

/// Returns the description of these requests, and of health checks.
pub(super) fn document(routes: &[Route]) -> Value {
    let mut schemas = Schemas::new();
    let mut paths = Map::new();
    for path in Health::PATHS {
        paths.insert((*path).to_owned(), json!({ "get": health_check() }));
    }
    for route in routes {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_lowercase()] = operation(route, &mut schemas);
    }
    let refusal_schema = json!({
        "type": "object",
        "description": "Why a request was refused.",
        "properties": { "error": { "type": "string", "description": "What is wrong, where, and what to do." } },
        "required": ["error"],
    });
    let mut components = schemas.finish();
    components.insert("Refusal".to_owned(), refusal_schema);
    let refusals = MEANINGS.map(|(status, meaning)| {
        let content = json!({ "application/json": { "schema": { "$ref": "#/components/schemas/Refusal" } } });
        (status.to_string(), json!({ "description": meaning, "content": content }))
    });
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "The control API of wireplug",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE") },
            "description": "Operators list, swap, try and roll back codecs under traffic with it, and services send \
                            commands to clients. Each request needs a role of its client, which `security` names. \
                            Over a Unix socket and with a client certificate, no token is needed.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": Map::from_iter(refusals),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of the file that `token-file` of [control] names.",
                },
            },
        },
    })
}

fn health_check() -> Value {
    let text = json!({ "text/plain": { "schema": { "type": "string" } } });
    json!({
        "summary": "Answers a health check",
        "tags": ["health"],
        "security": [],
        "responses": {
            "200": { "description": "All is well.", "content": text },
            "503": { "description": "The reason why not.", "content": text },
        },
    })
}

fn operation(route: &Route, schemas: &mut Schemas) -> Value {
    let Operation { summary, query, headers, body, answers, refusals } = &route.operation;
    let segments: Vec<_> = route.path.split(['/', '{', '}']).filter(|segment| !segment.is_empty()).collect();
    let mut parameters: Vec<Value> =
        route.path.split('/').filter_map(|segment| path_parameter(route.path, segment)).collect();
    if let Some(query) = query {
        parameters.extend(schemas.query(*query));
    }
    parameters.extend(headers.iter().map(|(name, description)| {
        json!({ "name": name, "in": "header", "description": description, "schema": { "type": "string" } })
    }));
    let mut responses = Map::new();
    let mut content = Map::new();
    for answer in answers {
        let schema = schemas.answered(answer.schema);
        match content.get_mut(answer.media) {
            None => drop(content.insert(answer.media.to_owned(), json!({ "schema": schema }))),
            Some(before) => {
                let first = before["schema"].take();
                before["schema"] = json!({ "anyOf": [first, schema] });
            }
        }
    }
    responses.insert("200".to_owned(), json!({ "description": "It is done.", "content": content }));
    for status in REFUSALS.iter().chain(*refusals) {
        responses.insert(status.to_string(), json!({ "$ref": format!("#/components/responses/{status}") }));
    }
    let mut operation = json!({
        "operationId": format!("{}-{}", route.method.as_str().to_lowercase(), segments.join("-")),
        "summary": summary,
        "tags": [segments[0]],
        "security": [{ "token": [route.role.name()] }],
        "parameters": parameters,
        "responses": responses,
    });
    if let Some(body) = body {
        let content = json!({ body.media: { "schema": schemas.asked(body.schema) } });
        operation["requestBody"] = json!({ "required": body.is_required, "content": content });
    }
    operation
}

/// Describes a segment of a path, if it is a parameter.
fn path_parameter(path: &str, segment: &str) -> Option<Value> {
    let name = segment.strip_prefix('{')?.split('}').next()?;
    let is_of_clients = path.starts_with("/clients/");
    let (description, schema) = match name {
        "id" => (
            "The number of a session.",
            json!({ "type": "integer", "format": "uint64", "minimum": 0, "maximum": u64::MAX }),
        ),
        "file" => (
            "`N.vectors`, where N is the number of the fault.",
            json!({ "type": "string", "pattern": "^[0-9]{1,19}\\.vectors$" }),
        ),
        "verb" => ("What to do.", json!({ "enum": VERBS.map(|(name, _)| name) })),
        "kind" if path.ends_with("{kind}") => ("All clients.", json!({ "const": "all" })),
        "kind" => ("What the name means.", json!({ "enum": ["session", "user", "group"] })),
        "name" if is_of_clients => (
            "The name of a user or a group, or NODE.NUMBER of a session.",
            json!({ "type": "string", "minLength": 1 }),
        ),
        _ => ("The name of a codec.", json!({ "type": "string", "minLength": 1 })),
    };
    Some(
        json!({ "name": name, "in": "path", "required": true, "description": description, "schema": schema }),
    )
}

/// The schemas of all types. Questions and answers have different rules: an answer has each of its
/// fields, but a question may leave some out.
struct Schemas {
    asked: SchemaGenerator,
    answered: SchemaGenerator,
}

impl Schemas {
    fn new() -> Self {
        let generator = |contract| {
            let settings = SchemaSettings::draft2020_12().with(|settings| {
                settings.meta_schema = None;
                settings.definitions_path = "/components/schemas".into();
                settings.contract = contract;
            });
            SchemaGenerator::new(settings)
        };
        Self { asked: generator(Contract::Deserialize), answered: generator(Contract::Serialize) }
    }

    fn asked(&mut self, describe: operation::Describe) -> Schema {
        plain(describe(&mut self.asked))
    }

    fn answered(&mut self, describe: operation::Describe) -> Schema {
        plain(describe(&mut self.answered))
    }

    /// Returns the parameters of a query.
    fn query(&mut self, describe: operation::Describe) -> Vec<Value> {
        let schema: Value = self.asked(describe).into();
        let properties = schema["properties"].as_object().into_iter().flatten();
        let parameter = |(name, schema): (&String, &Value)| {
            let mut schema = present(schema.clone());
            let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
            json!({ "name": name, "in": "query", "description": description, "schema": schema })
        };
        properties.map(parameter).collect()
    }

    /// Returns all types that others refer to.
    fn finish(mut self) -> Map<String, Value> {
        let mut all = self.asked.take_definitions(true);
        all.extend(self.answered.take_definitions(true));
        all.values_mut().for_each(|schema| {
            if let Ok(known) = Schema::try_from(schema.take()) {
                *schema = plain(known).into();
            }
        });
        all
    }
}

/// Returns the schema of a parameter that is there: it is never `null`, and a number has a bound.
fn present(mut schema: Value) -> Value {
    let Some(known) = schema.as_object_mut() else { return schema };
    if let Some(Value::Array(types)) = known.get_mut("type") {
        let is_there = types.iter_mut().find(|kind| *kind != "null").map(Value::take);
        known.insert("type".to_owned(), is_there.unwrap_or_default());
    }
    if known.get("format").is_some_and(|format| format == "uint64") {
        known.insert("maximum".to_owned(), u64::MAX.into());
    }
    if let Some(Value::Array(choices)) = known.remove("anyOf") {
        let is_there = choices.into_iter().find(|choice| choice["type"] != "null");
        known.extend(is_there.as_ref().and_then(Value::as_object).cloned().unwrap_or_default());
    }
    schema
}

/// Turns doc comments into plain texts: in one line, without links to other parts of the code, and
/// with `null` in the place of `None`.
fn plain(mut schema: Schema) -> Schema {
    RecursiveTransform(|schema: &mut Schema| {
        if let Some(Value::String(text)) = schema.get_mut("description") {
            let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
            *text = without_links(&line).replace("`None`", "`null`");
        }
    })
    .transform(&mut schema);
    schema
}

/// Removes the links of a text in Markdown: `[name](path)` and `[name]` become `name`.
fn without_links(text: &str) -> String {
    let (mut plain, mut rest) = (String::new(), text);
    while let Some((before, link)) = rest.split_once('[') {
        let Some((name, after)) = link.split_once(']') else { break };
        plain.extend([before, name]);
        rest =
            after.strip_prefix('(').and_then(|path| path.split_once(')')).map_or(after, |(_, after)| after);
    }
    plain + rest
}
