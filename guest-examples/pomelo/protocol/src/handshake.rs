//! What a client's handshake says, and the answer to it.

use serde_json::Value;

use crate::dictionary::Dictionary;
use crate::protobuf::Protos;
use crate::text;
use crate::version::{Version, version};

/// What a client says that it has kept from an earlier connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) dictionary: Option<Version>,
    pub(crate) protos: Option<Version>,
}

/// A client's handshake, as far as the protocol reads it; the application sees all of it.
pub(crate) struct Hello {
    pub(crate) sys: Value,
}

impl Hello {
    /// Reads a handshake: a JSON object with a truthy `sys`, else none.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let mut hello: Value = serde_json::from_str(str::from_utf8(body).ok()?).ok()?;
        let sys = hello.get_mut("sys").map(Value::take).filter(is_truthy)?;
        Some(Self { sys })
    }

    pub(crate) fn kept(&self) -> Kept {
        // A version that is no string, or of another length, is one that we did not give.
        let version = |key| self.sys.get(key).and_then(Value::as_str)?.as_bytes().try_into().ok();
        Kept { dictionary: version("dictVersion"), protos: version("protoVersion") }
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
    /// What comes first; without a comma at its end.
    heartbeat: Vec<u8>,
    dictionary: Told,
    protos: Told,
}

/// What is told to those who have not kept it, and what to all. Empty where there is nothing to tell.
#[derive(Debug, Default)]
struct Told {
    version: Option<Version>,
    news: Vec<u8>,
    always: &'static str,
}

impl Answers {
    /// `heartbeat`: the seconds between heartbeats, as JSON.
    pub(crate) fn new(
        heartbeat: Option<&str>,
        dictionary: Option<&Dictionary>,
        protos: Option<&Protos>,
    ) -> Self {
        let heartbeat = heartbeat.map(|seconds| format!("\"heartbeat\":{seconds},")).unwrap_or_default();
        let dictionary = dictionary.map(|dictionary| {
            let (codes, routes) = (dictionary.routes_to_codes(), dictionary.codes_to_routes());
            let version = version(&codes);
            let told = version.escape_ascii();
            let news = format!(
                "\"dict\":{codes},\"routeToCode\":{codes},\"codeToRoute\":{routes},\"dictVersion\":\"{told}\","
            );
            Told::new(version, &news, "\"useDict\":true,")
        });
        let protos = protos.map(|protos| {
            let news = format!("\"protos\":{},", protos.told());
            Told::new(protos.version, &news, "\"useProto\":true,")
        });
        Self {
            heartbeat: heartbeat.into_bytes(),
            dictionary: dictionary.unwrap_or_default(),
            protos: protos.unwrap_or_default(),
        }
    }

    /// A good answer to a client that has kept so much. `user` is the application's word: empty or JSON, else
    /// there is no answer.
    pub(crate) fn accept(&self, kept: Kept, user: &[u8]) -> Option<Answer<'_>> {
        let mut answer = self.without_word(kept);
        if !user.is_empty() {
            let value: Value = serde_json::from_str(str::from_utf8(user).ok()?).ok()?;
            // As Pomelo does, which tests the value for truth before it adds it.
            if is_truthy(&value) {
                answer.user.extend_from_slice(b",\"user\":");
                text::escape(user, &mut answer.user);
            }
        }
        Some(answer)
    }

    /// A good answer without a word of the application.
    pub(crate) fn without_word(&self, kept: Kept) -> Answer<'_> {
        let mut sys = [
            &self.heartbeat,
            self.dictionary.news_for(kept.dictionary),
            self.dictionary.always.as_bytes(),
            self.protos.news_for(kept.protos),
            self.protos.always.as_bytes(),
        ];
        // Each part ends with a comma, which is one too many behind the last of them.
        if let Some(last) = sys.iter_mut().rfind(|part| !part.is_empty()) {
            *last = &last[..last.len() - 1];
        }
        Answer { sys, user: Vec::new() }
    }
}

impl Told {
    fn new(version: Version, json: &str, always: &'static str) -> Self {
        let mut news = Vec::with_capacity(json.len());
        text::escape(json.as_bytes(), &mut news);
        Self { version: Some(version), news, always }
    }

    fn news_for(&self, kept: Option<Version>) -> &[u8] {
        if kept == self.version { b"" } else { &self.news }
    }
}

/// A good answer to a client's handshake, not put together yet: a dictionary can be long, and a sandbox keeps the
/// memory that it once wrote to.
pub struct Answer<'a> {
    sys: [&'a [u8]; 5],
    /// The application's word, with what stands before it.
    user: Vec<u8>,
}

impl Answer<'_> {
    /// The package's type, and how every body begins.
    const START: &'static [u8] = b"\x01{\"code\":200,\"sys\":{";

    /// The length of the body, in bytes.
    pub(crate) fn body_len(&self) -> usize {
        self.parts().map(<[u8]>::len).sum::<usize>() - 1
    }

    /// Appends the package to a buffer, which grows once.
    pub fn write(&self, packet: &mut Vec<u8>) {
        packet.reserve_exact(1 + self.body_len());
        self.parts().for_each(|part| packet.extend_from_slice(part));
    }

    /// Makes a buffer that holds an answer hold this one, and does not write again what is there already.
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
    fn a_rewritten_answer_is_the_one_written_anew() {
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
