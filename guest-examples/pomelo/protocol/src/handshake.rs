//! What a client's handshake says, and the answer to it.

use serde_json::Value;

use crate::dictionary::{self, Dictionary, Version};
use crate::{package, text};

/// A client's handshake, as far as the protocol reads it; the application sees all of it.
pub(crate) struct Hello {
    /// The version of the dictionary that the client has kept from an earlier connection.
    pub(crate) dictionary_version: Option<Version>,
}

impl Hello {
    /// Reads a handshake: a JSON object with a truthy `sys`, else none.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let hello: Value = serde_json::from_str(str::from_utf8(body).ok()?).ok()?;
        let sys = hello.get("sys").filter(|sys| is_truthy(sys))?;
        // A version that is no string, or of another length, is one that we did not give.
        let version = sys.get("dictVersion").and_then(Value::as_str);
        let dictionary_version = version.and_then(|version| version.as_bytes().try_into().ok());
        Some(Self { dictionary_version })
    }
}

/// Whether JavaScript takes a value for true.
fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(value) => value.as_f64() != Some(0.0),
        Value::String(value) => !value.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// The parts of a good answer that are the same for every client, written once.
#[derive(Debug)]
pub(crate) struct Answers {
    /// Without its last `}`, behind which the application's word may come.
    whole: Vec<u8>,
    /// The same for a client that has the dictionary already.
    without_dictionary: Vec<u8>,
    dictionary_version: Option<Version>,
}

impl Answers {
    /// `heartbeat`: the seconds between heartbeats, as JSON.
    pub(crate) fn new(heartbeat: Option<&str>, dictionary: Option<&Dictionary>) -> Self {
        let mut sys = Vec::new();
        sys.extend(heartbeat.map(|seconds| format!("\"heartbeat\":{seconds}")));
        let mut whole = sys.clone();
        let mut dictionary_version = None;
        if let Some(dictionary) = dictionary {
            let (codes, routes) = (dictionary.routes_to_codes(), dictionary.codes_to_routes());
            let version = dictionary::version(&codes);
            whole.push(format!("\"dict\":{codes},\"routeToCode\":{codes}"));
            whole.push(format!("\"codeToRoute\":{routes},\"dictVersion\":\"{}\"", version.escape_ascii()));
            dictionary_version = Some(version);
            for answer in [&mut sys, &mut whole] {
                answer.push("\"useDict\":true".to_owned());
            }
        }
        Self { whole: accepted(&whole), without_dictionary: accepted(&sys), dictionary_version }
    }

    /// Whether a client that named this version has our dictionary.
    pub(crate) fn knows_dictionary(&self, version: Option<Version>) -> bool {
        self.dictionary_version == version
    }

    /// A good answer. `user` is the application's word: empty or JSON, else there is no answer.
    pub(crate) fn accept(&self, knows_dictionary: bool, user: &[u8]) -> Option<Answer<'_>> {
        let constant = if knows_dictionary { &self.without_dictionary } else { &self.whole };
        let mut rest = Vec::new();
        if !user.is_empty() {
            let value: Value = serde_json::from_str(str::from_utf8(user).ok()?).ok()?;
            // As Pomelo does, which tests the value for truth before it adds it.
            if is_truthy(&value) {
                rest.extend_from_slice(b",\"user\":");
                text::escape(user, &mut rest);
            }
        }
        rest.push(b'}');
        Some(Answer { constant, rest })
    }
}

/// The body of a good answer, not put together yet: a dictionary can be long, and a sandbox keeps the memory that it
/// once wrote to.
pub(crate) struct Answer<'a> {
    constant: &'a [u8],
    rest: Vec<u8>,
}

impl Answer<'_> {
    /// In bytes.
    pub(crate) fn len(&self) -> usize {
        self.constant.len() + self.rest.len()
    }

    /// Appends the package to a buffer, which grows once.
    pub(crate) fn write(&self, packet: &mut Vec<u8>) {
        packet.reserve_exact(1 + self.len());
        packet.push(package::Kind::Handshake as u8);
        packet.extend_from_slice(self.constant);
        packet.extend_from_slice(&self.rest);
    }
}

fn accepted(sys: &[String]) -> Vec<u8> {
    let json = format!("{{\"code\":200,\"sys\":{{{}}}", sys.join(","));
    let mut body = Vec::with_capacity(json.len());
    text::escape(json.as_bytes(), &mut body);
    body
}
