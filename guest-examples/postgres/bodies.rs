//! The bodies that the codec and the application exchange. The README describes them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A client that introduces itself.
#[derive(Deserialize)]
pub struct Hello {
    pub user: String,
    pub password: String,
    pub key: Key,
}

/// Identifies a session. Only the session's own client knows the secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
pub struct Key {
    pub process: u32,
    pub secret: u32,
}

#[derive(Serialize)]
pub struct Welcome {
    pub parameters: BTreeMap<&'static str, &'static str>,
}

#[derive(Deserialize)]
pub struct Query {
    pub sql: String,
}

#[derive(Deserialize)]
pub struct Extended {
    pub steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    Prepare { sql: String },
    Execute { sql: String, parameters: Vec<Option<String>> },
    Fail { message: String },
}

#[derive(Default, Serialize)]
pub struct Answer {
    pub results: Vec<Outcome>,
    pub error: Option<Problem>,
    pub transaction: Transaction,
}

/// The result of a statement or a step. What does not apply is left out, because a response has
/// room for many results.
#[derive(Default, Serialize)]
pub struct Outcome {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<Column>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<Vec<Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deallocate: Option<Deallocate>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Column {
    pub name: &'static str,
    pub r#type: &'static str,
}

/// Which prepared statements the codec forgets.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Deallocate {
    All,
    Name(String),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transaction {
    #[default]
    Idle,
    Open,
    Failed,
}

/// An error with its SQLSTATE.
#[derive(Debug, Serialize)]
pub struct Problem {
    pub code: &'static str,
    pub message: String,
    /// Where in the query it is, in characters from 1.
    pub position: Option<usize>,
}

impl Problem {
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), position: None }
    }

    pub fn at(self, position: usize) -> Self {
        Self { position: Some(position), ..self }
    }
}

/// The body of the push `postgres.notice`.
#[derive(Serialize)]
pub struct Notice<'a> {
    pub message: &'a str,
}

/// The body of the push `postgres.notification`.
#[derive(Serialize)]
pub struct Notification<'a> {
    pub channel: &'a str,
    pub payload: &'a str,
    pub process: u32,
}
