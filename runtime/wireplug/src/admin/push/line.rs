//! The lines of a stream: a command in JSON, and an answer in JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::command::{CommandDone, CommandOutcome};
use super::{MAX_PAYLOAD, too_large};
use crate::server::client_commands::{Addressee, CommandDetails, CommandError, Verb};
use crate::session::ClientResponse;

/// The longest id of a command, in bytes of JSON. It waits together with the command.
const MAX_ID: usize = 200;

/// A line with a command.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ClientCommand")]
pub(in crate::admin) struct CommandLine<'a> {
    /// The answer has the same id.
    #[serde(borrow, default, deserialize_with = "given")]
    #[schemars(with = "Option<Value>")]
    id: Option<&'a RawValue>,
    /// What to do: `push`, `request`, `kick`, `bind`, `unbind`, `join`, `leave` or `set`.
    verb: String,
    /// The sessions: `session.NODE.NUMBER`, `user.USER`, `group.GROUP` or `all`.
    target: String,
    /// The route of a push or a request.
    route: Option<String>,
    /// How long to wait for the response of a client, in milliseconds.
    #[serde(borrow)]
    #[schemars(with = "Option<u64>")]
    timeout: Option<&'a RawValue>,
    /// The payload, as JSON.
    #[serde(borrow, default, deserialize_with = "given")]
    #[schemars(with = "Option<Value>")]
    body: Option<&'a RawValue>,
    /// The payload, as text.
    text: Option<String>,
    /// The payload, as bytes.
    base64: Option<String>,
}

/// Reads a value that may be `null`.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// The id of a line, of which nothing else has to be right.
#[derive(Default, Deserialize)]
struct OnlyId<'a> {
    #[serde(borrow, default, deserialize_with = "given")]
    id: Option<&'a RawValue>,
}

/// A command that a line asks for.
#[derive(Debug)]
pub(super) struct AskedCommand {
    pub(super) id: Option<Box<RawValue>>,
    pub(super) verb: Verb,
    pub(super) addressee: Addressee,
    pub(super) details: OwnedDetails,
}

/// The details of a command, which its line leaves behind.
#[derive(Debug)]
pub(super) struct OwnedDetails {
    payload: Bytes,
    route: Option<String>,
    timeout: Option<String>,
}

/// A line that asks for no command.
#[derive(Debug)]
pub(super) struct InvalidLine {
    pub(super) id: Option<Box<RawValue>>,
    pub(super) error: CommandError,
}

impl AskedCommand {
    /// Reads a line. `own` is the name of this node.
    ///
    /// # Errors
    /// Returns an error if the line is not valid, with the id if that can be read.
    pub(super) fn read(line: &[u8], own: &str) -> Result<Self, InvalidLine> {
        Self::valid(line, own).map_err(|error| {
            let OnlyId { id } = serde_json::from_slice(line).unwrap_or_default();
            let id = id.filter(|id| id.get().len() <= MAX_ID).map(ToOwned::to_owned);
            InvalidLine { id, error }
        })
    }

    fn valid(line: &[u8], own: &str) -> Result<Self, CommandError> {
        let line: CommandLine<'_> = serde_json::from_slice(line)
            .map_err(|error| CommandError::new(400, format!("the line is no command in JSON: {error}")))?;
        if line.id.is_some_and(|id| id.get().len() > MAX_ID) {
            return Err(CommandError::new(400, format!("an `id` has at most {MAX_ID} bytes")));
        }
        let verb = Verb::read(&line.verb)?;
        let (kind, name) = line.target.split_once('.').unwrap_or((&line.target, ""));
        let addressee = Addressee::read(kind, name, own)?;
        let payload: Bytes = match (line.body, line.text, line.base64) {
            (None, None, None) => Bytes::new(),
            (Some(body), None, None) => body.get().to_owned().into(),
            (None, Some(text), None) => text.into(),
            (None, None, Some(base64)) => STANDARD
                .decode(base64)
                .map_err(|error| CommandError::new(400, format!("`base64` is not valid: {error}")))?
                .into(),
            _ => {
                return Err(CommandError::invalid(
                    "a payload is `body`, `text` or `base64`, and one of them",
                ));
            }
        };
        if payload.len() > MAX_PAYLOAD {
            return Err(too_large());
        }
        let timeout = line.timeout.map(|timeout| timeout.get().to_owned());
        let details = OwnedDetails { payload, route: line.route, timeout };
        Ok(Self { id: line.id.map(ToOwned::to_owned), verb, addressee, details })
    }
}

impl OwnedDetails {
    pub(super) fn borrowed(&self) -> CommandDetails<'_> {
        let (route, timeout) = (self.route.as_deref(), self.timeout.as_deref());
        CommandDetails { payload: self.payload.clone(), route, timeout }
    }
}

/// A line with the answer to a command.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(rename = "ClientCommandAnswer")]
pub(in crate::admin) struct AnswerLine<'a> {
    /// The id of the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Value>")]
    id: Option<&'a RawValue>,
    /// How many sessions of this node took the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions: Option<usize>,
    /// The status of the client's response.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// The body of the client's response, if it is JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Value>")]
    body: Option<&'a RawValue>,
    /// The body of the client's response, if it is other text.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    /// The body of the client's response, if it is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    /// Why the command was not done, as an HTTP status.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    /// Why the command was not done, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// Writes the answer to a command behind other answers.
pub(super) fn write(id: Option<&RawValue>, outcome: &CommandOutcome, answers: &mut Vec<u8>) {
    let answer = AnswerLine { id, ..AnswerLine::default() };
    let body: String;
    let answer = match outcome {
        Ok(CommandDone::Sessions(sessions)) => AnswerLine { sessions: Some(*sessions), ..answer },
        Ok(CommandDone::Response(ClientResponse { status, body: bytes })) => {
            let answer = AnswerLine { status: Some(*status), ..answer };
            match str::from_utf8(bytes) {
                Ok("") => answer,
                Ok(text) => {
                    // In JSON, a line break is white space between two values.
                    body = text.replace(['\n', '\r'], " ");
                    match serde_json::from_str(&body) {
                        Ok(json) => AnswerLine { body: Some(json), ..answer },
                        Err(_) => AnswerLine { text: Some(text), ..answer },
                    }
                }
                Err(_) => AnswerLine { base64: Some(STANDARD.encode(bytes)), ..answer },
            }
        }
        Err(CommandError { code, why }) => AnswerLine { code: Some(*code), error: Some(why), ..answer },
    };
    serde_json::to_writer(&mut *answers, &answer).expect("numbers and text are JSON");
    answers.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(line: &str) -> Result<Bytes, CommandError> {
        let line = format!(r#"{{"verb":"push","target":"all",{line}}}"#);
        let asked = AskedCommand::read(line.as_bytes(), "n-1").map_err(|invalid| invalid.error)?;
        Ok(asked.details.payload)
    }

    #[test]
    fn a_payload_is_json_text_or_bytes() {
        assert_eq!(payload(r#""body":{"b":1.50,"a":[null]}"#).unwrap(), r#"{"b":1.50,"a":[null]}"#);
        assert_eq!(payload(r#""body":null"#).unwrap(), "null");
        assert_eq!(payload(r#""text":"w\u00f6rld""#).unwrap(), "wörld");
        assert_eq!(payload(r#""base64":"AP8=""#).unwrap(), &b"\x00\xff"[..]);
        assert_eq!(payload(r#""route":"r""#).unwrap(), "");
        for wrong in [r#""body":1,"text":"x""#, r#""base64":"?""#, r#""payload":1"#, r#""text":7"#] {
            assert_eq!(payload(wrong).map_err(|error| error.code), Err(400), "{wrong}");
        }
        let long = format!(r#""text":"{}""#, "x".repeat(MAX_PAYLOAD + 1));
        assert_eq!(payload(&long).map_err(|error| error.code), Err(413));
    }

    #[test]
    fn an_answer_is_one_line_with_the_id() {
        let line = |id: &str, outcome: CommandOutcome| {
            let invalid = AskedCommand::read(format!(r#"{{"id":{id},"x":1}}"#).as_bytes(), "n-1");
            let mut line = Vec::new();
            write(invalid.expect_err("it has no verb").id.as_deref(), &outcome, &mut line);
            String::from_utf8(line).unwrap()
        };
        let response = |body: &'static [u8]| {
            Ok(CommandDone::Response(ClientResponse { status: 200, body: body.into() }))
        };
        assert_eq!(line("7", Ok(CommandDone::Sessions(2))), "{\"id\":7,\"sessions\":2}\n");
        assert_eq!(line("null", response(b"")), "{\"id\":null,\"status\":200}\n");
        assert_eq!(
            line("\"a\"", response(b"{\n\"x\": 1.0}")),
            "{\"id\":\"a\",\"status\":200,\"body\":{ \"x\": 1.0}}\n"
        );
        assert_eq!(
            line("1", response(b"two\nlines")),
            "{\"id\":1,\"status\":200,\"text\":\"two\\nlines\"}\n"
        );
        assert_eq!(line("1", response(b"\xff")), "{\"id\":1,\"status\":200,\"base64\":\"/w==\"}\n");
        let long = format!("\"{}\"", "x".repeat(MAX_ID));
        assert_eq!(
            line(&long, Err(CommandError::ended())),
            "{\"code\":404,\"error\":\"the session has ended\"}\n"
        );
    }
}
