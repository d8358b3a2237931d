//! The client's handshake and the server's answer to it.

use serde_json::Value;

use crate::dialect::Dialect;
use crate::dictionary::Dictionary;
use crate::protobuf::Protos;
use crate::text;
use crate::version::{Version, version};

/// The versions of what a client has kept from an earlier connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) dictionary: Option<Version>,
    pub(crate) protos: Option<Version>,
}

/// The part of a client's handshake that the protocol uses. The application receives all of it.
pub(crate) struct Hello {
    pub(crate) sys: Value,
}

impl Hello {
    /// The handshake that an empty body stands for. A client of nano sends no body.
    pub(crate) const EMPTY: &[u8] = b"{\"sys\":{}}";

    /// Reads a handshake. Returns `None` unless it is a JSON object with a truthy `sys`.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let mut hello: Value = serde_json::from_str(str::from_utf8(body).ok()?).ok()?;
        let sys = hello.get_mut("sys").map(Value::take).filter(is_truthy)?;
        Some(Self { sys })
    }

    pub(crate) fn kept(&self) -> Kept {
        // A version that is not a string of this length is none of this codec.
        let version = |key| self.sys.get(key).and_then(Value::as_str)?.as_bytes().try_into().ok();
        Kept { dictionary: version("dictVersion"), protos: version("protoVersion") }
    }
}

/// Returns whether JavaScript treats a value as true.
fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(value) => value.as_f64() != Some(0.0),
        Value::String(value) => !value.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// The parts of an accepting answer that are the same for every client. They are written once, with
/// the options.
///
/// Each part is empty or ends with a comma.
#[derive(Debug)]
pub(crate) struct Answers {
    heartbeat: Vec<u8>,
    dictionary: Section,
    protos: Section,
}

/// The dictionary or the schemas in an answer. Empty if there are none.
#[derive(Debug, Default)]
struct Section {
    version: Option<Version>,
    /// The part for clients that have another version or none.
    content: Vec<u8>,
    /// The part for every client: says that the dictionary or the schemas are in use.
    flag: &'static str,
}

impl Answers {
    /// Writes the parts. `heartbeat` is the number of seconds between heartbeats, as JSON.
    pub(crate) fn new(
        heartbeat: Option<&str>,
        dictionary: Option<&Dictionary>,
        protos: Option<&Protos>,
        dialect: Dialect,
    ) -> Self {
        let heartbeat = heartbeat.map(|seconds| format!("\"heartbeat\":{seconds},")).unwrap_or_default();
        if dialect == Dialect::Pitaya {
            return Self::for_pitaya(heartbeat, dictionary);
        }
        let dictionary = dictionary.map(|dictionary| {
            let (codes, routes) = (dictionary.routes_to_codes(), dictionary.codes_to_routes());
            let version = version(&codes);
            let text = version.escape_ascii();
            let content = format!(
                "\"dict\":{codes},\"routeToCode\":{codes},\"codeToRoute\":{routes},\"dictVersion\":\"{text}\","
            );
            Section::new(Some(version), &content, "\"useDict\":true,")
        });
        let protos = protos.map(|protos| {
            let content = format!("\"protos\":{},", protos.handshake_json());
            Section::new(Some(protos.version), &content, "\"useProto\":true,")
        });
        Self {
            heartbeat: heartbeat.into_bytes(),
            dictionary: dictionary.unwrap_or_default(),
            protos: protos.unwrap_or_default(),
        }
    }

    /// Pitaya has no version of its dictionary, and does not say that the dictionary is in use: an
    /// assertion of its C client fails at that. `serializer` says that bodies are JSON.
    fn for_pitaya(heartbeat: String, dictionary: Option<&Dictionary>) -> Self {
        let dictionary = dictionary.map(|dictionary| {
            let content = format!("\"dict\":{},", dictionary.routes_to_codes());
            Section::new(None, &content, "")
        });
        Self {
            heartbeat: heartbeat.into_bytes(),
            dictionary: dictionary.unwrap_or_default(),
            protos: Section::new(None, "", "\"serializer\":\"json\","),
        }
    }

    /// Returns the answer to a client that has kept these versions. `user` is the body from the
    /// application. Returns `None` if `user` is neither empty nor JSON.
    pub(crate) fn with_user(&self, kept: Kept, user: &[u8]) -> Option<Answer<'_>> {
        let mut answer = self.without_user(kept);
        if !user.is_empty() {
            let value: Value = serde_json::from_str(str::from_utf8(user).ok()?).ok()?;
            // Pomelo adds the value only if JavaScript treats it as true.
            if is_truthy(&value) {
                answer.user.extend_from_slice(b",\"user\":");
                text::escape(user, &mut answer.user);
            }
        }
        Some(answer)
    }

    /// Returns the answer without a body from the application.
    pub(crate) fn without_user(&self, kept: Kept) -> Answer<'_> {
        let mut sys = [
            &self.heartbeat,
            self.dictionary.content_for(kept.dictionary),
            self.dictionary.flag.as_bytes(),
            self.protos.content_for(kept.protos),
            self.protos.flag.as_bytes(),
        ];
        // JSON allows no comma behind the last part.
        if let Some(last) = sys.iter_mut().rfind(|part| !part.is_empty()) {
            *last = &last[..last.len() - 1];
        }
        Answer { sys, user: Vec::new() }
    }
}

impl Section {
    fn new(version: Option<Version>, json: &str, flag: &'static str) -> Self {
        let mut content = Vec::with_capacity(json.len());
        text::escape(json.as_bytes(), &mut content);
        Self { version, content, flag }
    }

    fn content_for(&self, kept: Option<Version>) -> &[u8] {
        if kept.is_some() && kept == self.version { b"" } else { &self.content }
    }
}

/// An accepting answer to a client's handshake, in parts.
///
/// The parts are not joined before they are written: a dictionary can be long, and a sandbox keeps
/// all memory that it has written to.
pub struct Answer<'a> {
    sys: [&'a [u8]; 5],
    /// The member `user` with the comma before it, or empty.
    user: Vec<u8>,
}

impl Answer<'_> {
    /// The type of the package, and the beginning of every body.
    const START: &'static [u8] = b"\x01{\"code\":200,\"sys\":{";

    /// Returns the length of the body in bytes.
    pub(crate) fn body_len(&self) -> usize {
        self.parts().map(<[u8]>::len).sum::<usize>() - 1
    }

    /// Appends the packet to a buffer, which grows once.
    pub fn write(&self, packet: &mut Vec<u8>) {
        packet.reserve_exact(1 + self.body_len());
        self.parts().for_each(|part| packet.extend_from_slice(part));
    }

    /// Replaces the content of a buffer by the packet. Writes only the bytes behind the parts with
    /// which the buffer already begins.
    pub fn rewrite(&self, packet: &mut Vec<u8>) {
        let mut end = 0;
        for part in self.parts() {
            if !packet[end..].starts_with(part) {
                packet.truncate(end);
                packet.extend_from_slice(part);
            }
            end += part.len();
        }
        packet.truncate(end);
    }

    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        [Self::START].into_iter().chain(self.sys).chain([&b"}"[..], &self.user, b"}"])
    }
}

#[cfg(test)]
mod tests {
    use super::Answer;

    fn answer<'a>(dictionary: &'a [u8], user: &[u8]) -> Answer<'a> {
        Answer { sys: [b"", dictionary, b"\"useDict\":true", b"", b""], user: user.to_vec() }
    }

    #[test]
    fn a_rewritten_answer_equals_a_new_one() {
        let answers = [
            answer(b"\"dict\":{\"a\":1},", b""),
            answer(b"\"dict\":{\"a\":1},", b",\"user\":{\"name\":\"x\"}"),
            answer(b"", b",\"user\":1"),
            answer(b"", b""),
        ];
        for before in &answers {
            for now in &answers {
                let (mut packet, mut anew) = (Vec::new(), Vec::new());
                before.write(&mut packet);
                now.rewrite(&mut packet);
                now.write(&mut anew);
                assert_eq!(packet, anew);
                assert_eq!(packet.len(), 1 + now.body_len());
            }
        }
    }
}
