//! What a request is, what it takes, and what it answers.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::admin::push::{AnswerLine, CommandLine};

/// Returns a schema, or a reference to a schema that the generator keeps.
pub(super) type Describe = fn(&mut SchemaGenerator) -> Schema;

/// The description of a request.
#[derive(Default)]
pub(in crate::admin) struct Operation {
    pub(super) summary: &'static str,
    /// The schema of the query: an object with a property for each parameter.
    pub(super) query: Option<Describe>,
    /// The headers that are read, each with what it is.
    pub(super) headers: &'static [(&'static str, &'static str)],
    pub(super) body: Option<Body>,
    pub(super) answers: Vec<Body>,
    /// The statuses of refusals, besides those that every request may have.
    pub(super) refusals: &'static [u16],
}

impl Operation {
    /// Sets what the request does: a sentence without its full stop.
    pub(in crate::admin) fn says(self, summary: &'static str) -> Self {
        Self { summary, ..self }
    }

    pub(in crate::admin) fn query<T: JsonSchema>(self) -> Self {
        Self { query: Some(T::json_schema), ..self }
    }

    pub(in crate::admin) fn headers(self, headers: &'static [(&'static str, &'static str)]) -> Self {
        Self { headers, ..self }
    }

    pub(in crate::admin) fn takes(self, body: Body) -> Self {
        Self { body: Some(body), ..self }
    }

    /// Adds an answer in JSON. A request with several answers gives one of them.
    pub(in crate::admin) fn answers<T: JsonSchema>(self) -> Self {
        self.answers_with(Body::json::<T>())
    }

    /// Adds an answer in another form.
    pub(in crate::admin) fn answers_with(mut self, body: Body) -> Self {
        self.answers.push(body);
        self
    }

    pub(in crate::admin) fn refuses(self, refusals: &'static [u16]) -> Self {
        Self { refusals, ..self }
    }
}

/// The body of a request, or of an answer.
#[derive(Clone, Copy)]
pub(in crate::admin) struct Body {
    pub(super) media: &'static str,
    pub(super) schema: Describe,
    /// Whether a request must have it.
    pub(super) is_required: bool,
}

impl Body {
    /// A component.
    pub(in crate::admin) const COMPONENT: Self = Self::required("application/wasm", anything);
    /// Any bytes.
    pub(in crate::admin) const BYTES: Self = Self::optional("application/octet-stream", anything);
    /// A configuration in TOML.
    pub(in crate::admin) const CONFIGURATION: Self = Self::optional("application/toml", text);
    /// An object in JSON.
    pub(in crate::admin) const OBJECT: Self =
        Self::required("application/json", |_| json_schema!({ "type": "object" }));
    /// Metrics in the text format of Prometheus.
    pub(in crate::admin) const PROMETHEUS: Self = Self::required("text/plain", text);
    /// Metrics in the format of OpenMetrics.
    pub(in crate::admin) const OPENMETRICS: Self = Self::required("application/openmetrics-text", text);
    /// Test vectors.
    pub(in crate::admin) const VECTORS: Self = Self::required("text/plain", text);
    /// Lines of JSON.
    pub(in crate::admin) const LINES: Self = Self::required(NDJSON, text);
    /// Commands for clients, each a line of JSON.
    pub(in crate::admin) const COMMANDS: Self = Self::required(NDJSON, lines::<CommandLine<'static>>);
    /// The answers to commands for clients, each a line of JSON.
    pub(in crate::admin) const ANSWERS: Self = Self::required(NDJSON, lines::<AnswerLine<'static>>);

    /// Returns a body in JSON.
    pub(in crate::admin) fn json<T: JsonSchema>() -> Self {
        Self::required("application/json", SchemaGenerator::subschema_for::<T>)
    }

    const fn required(media: &'static str, schema: Describe) -> Self {
        Self { media, schema, is_required: true }
    }

    const fn optional(media: &'static str, schema: Describe) -> Self {
        Self { media, schema, is_required: false }
    }
}

const NDJSON: &str = "application/x-ndjson";

fn anything(_: &mut SchemaGenerator) -> Schema {
    Schema::default()
}

fn text(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string" })
}

/// Returns the schema of a text of lines. JSON Schema cannot describe each line, so it describes
/// one.
fn lines<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let line = generator.subschema_for::<T>();
    json_schema!({ "type": "string", "contentMediaType": NDJSON, "contentSchema": line })
}
