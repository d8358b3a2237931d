//! The JSON bodies of requests, responses and pushes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cell::Cell;
use crate::report::{Report, code};
use crate::startup::{Key, Startup};
use crate::types::Type;

/// The route of a query in the simple protocol.
pub(crate) const QUERY: &str = "postgres.query";
/// The route of prepared statements and their executions: the extended protocol.
pub(crate) const EXTENDED: &str = "postgres.extended";
/// The route of the notification that cancels the query of another session.
pub(crate) const CANCEL: &str = "postgres.cancel";

// === from the client ===

/// The client's introduction.
#[derive(Debug, Serialize)]
pub(crate) struct Hello<'a> {
    pub(crate) user: &'a str,
    pub(crate) database: &'a str,
    pub(crate) password: &'a str,
    pub(crate) parameters: &'a BTreeMap<String, String>,
    /// Identifies this session in a [`CANCEL`].
    pub(crate) key: Key,
}

/// The body of [`QUERY`].
#[derive(Debug, Serialize)]
pub(crate) struct Query<'a> {
    pub(crate) sql: &'a str,
}

/// One of the steps in the body of [`EXTENDED`].
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase", rename_all_fields = "camelCase")]
pub(crate) enum Call<'a> {
    /// Says which parameters and columns a statement has.
    Prepare { sql: &'a str, types: &'a [Option<Type>] },
    /// Runs a statement.
    Execute {
        sql: &'a str,
        types: &'a [Option<Type>],
        parameters: &'a [Option<String>],
        /// More rows than this are of no use.
        #[serde(skip_serializing_if = "Option::is_none")]
        max_rows: Option<u32>,
    },
    /// The codec has refused a message, so the transaction has failed. The last step.
    Fail { message: &'a str },
}

// === from the application ===

/// The body of the application's answer to a hello that it accepts. It may be empty.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Welcome {
    /// What clients can ask their library for, such as `server_version`.
    pub(crate) parameters: BTreeMap<String, String>,
}

/// The body of a response.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Answer<'a> {
    /// For each statement of a query, or each step, until the first error.
    #[serde(borrow)]
    pub(crate) results: Vec<Outcome<'a>>,
    /// Why the statement or the step behind the results failed.
    pub(crate) error: Option<Report>,
    /// The state of the transaction from now on. `None` if it stays.
    pub(crate) transaction: Option<Transaction>,
}

/// What a statement or a step has given.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Outcome<'a> {
    /// `None` if the statement never returns rows.
    pub(crate) columns: Option<Vec<Column>>,
    #[serde(borrow)]
    pub(crate) rows: Vec<Vec<Cell<'a>>>,
    /// The tag of the command, such as `LISTEN`. With columns, `SELECT` and the number of rows
    /// unless it is set. Without both, the statement was empty.
    pub(crate) command: Option<String>,
    /// The parameters of a statement that was prepared.
    pub(crate) parameters: Option<Vec<Type>>,
    /// Which prepared statements the command has removed.
    pub(crate) deallocate: Option<Deallocate>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Column {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) r#type: Type,
}

/// The effect of `DEALLOCATE`.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Deallocate {
    All,
    Name(String),
}

/// The state of a session's transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Transaction {
    /// There is no transaction.
    #[default]
    Idle,
    Open,
    /// Every command fails until the transaction ends.
    Failed,
}

impl Transaction {
    /// Returns the letter in ReadyForQuery.
    pub(crate) fn letter(self) -> u8 {
        match self {
            Self::Idle => b'I',
            Self::Open => b'T',
            Self::Failed => b'E',
        }
    }
}

impl<'a> Answer<'a> {
    /// Reads a response. What cannot be read is an error for the client, because the client waits
    /// for an answer.
    pub(crate) fn read(status: u16, body: &'a [u8]) -> Self {
        let read = match status {
            200 if body.is_empty() => Ok(Self::default()),
            200 => serde_json::from_slice(body).map_err(|error| {
                Report::of_application(format!("the application's response is not valid: {error}"))
            }),
            _ => Err(Report::read(body).unwrap_or_else(|| failed(status))),
        };
        read.unwrap_or_else(|error| Self { error: Some(error), ..Self::default() })
    }
}

impl Welcome {
    pub(crate) fn read(body: &[u8]) -> Result<Self, Report> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_slice(body).map_err(|error| {
            Report::of_application(format!("the application's answer to the hello is not valid: {error}"))
        })
    }
}

impl Report {
    /// Reads the body of a response that failed.
    fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    /// Returns why the application refuses a client.
    pub(crate) fn refusal(status: u16, body: &[u8], Startup { user, database, .. }: &Startup) -> Self {
        let default = || match status {
            401 => {
                Self::new(code::INVALID_PASSWORD, format!("password authentication failed for user {user:?}"))
            }
            404 => Self::new(code::NO_DATABASE, format!("database {database:?} does not exist")),
            500.. => Self::new(code::CANNOT_CONNECT_NOW, "the server cannot accept connections now"),
            _ => Self::new(code::INVALID_AUTHORIZATION, format!("user {user:?} may not connect")),
        };
        Self::read(body).unwrap_or_else(default)
    }
}

/// Returns the error for a response without a body.
fn failed(status: u16) -> Report {
    match status {
        404 => Report::new(code::NOT_SUPPORTED, "the application has no handler for this kind of query"),
        // The runtime also answers in the place of a response that is longer than `max-packet`.
        _ => Report::of_application(format!(
            "the application answered with status {status}, or its response is too long"
        )),
    }
}
