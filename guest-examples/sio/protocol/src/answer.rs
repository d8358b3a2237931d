//! Texts for a client: `{"id":ID,"body":BODY}` for a response, `{"route":ROUTE,"body":BODY}` for a
//! push, and a JSON array for several messages.

use std::io::Write as _;

use serde_core::de::IgnoredAny;

/// A message from the application. Its body is JSON, or empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A push.
    Notice {
        /// The route of the push.
        route: &'a str,
        /// The payload.
        body: &'a [u8],
    },
    /// The answer to a request.
    Response {
        /// The id of the request.
        id: u64,
        /// The outcome of the request, as in HTTP.
        status: u16,
        /// The payload.
        body: &'a [u8],
    },
}

/// Appends the text for a message. An empty body becomes `{"code":STATUS}` in a response with
/// another status than 200, and `null` in any other message.
///
/// # Errors
/// Returns an error if the body is not JSON. Nothing is appended then.
pub fn encode(message: &Message<'_>, out: &mut Vec<u8>) -> Result<(), String> {
    match *message {
        Message::Notice { route, body } => {
            let (route, body) = (quoted(route), json_or_null(body)?);
            write(out, format_args!("{{\"route\":{route},\"body\":{body}}}"));
        }
        Message::Response { id, status, body: [] } if status != 200 => {
            write(out, format_args!("{{\"id\":{id},\"body\":{{\"code\":{status}}}}}"));
        }
        Message::Response { id, body, .. } => {
            let body = json_or_null(body)?;
            write(out, format_args!("{{\"id\":{id},\"body\":{body}}}"));
        }
    }
    Ok(())
}

/// Appends the text for a client that is thrown out. A Pomelo server writes the reason beside the
/// route, and a Pomelo client passes only the body on, so the reason is in both places.
pub fn farewell(reason: &str, out: &mut Vec<u8>) {
    let reason = quoted(reason);
    write(out, format_args!("{{\"route\":\"onKick\",\"reason\":{reason},\"body\":{{\"reason\":{reason}}}}}"));
}

/// Joins several messages into as few texts as possible.
#[derive(Debug)]
pub struct Batch {
    /// The finished texts, and behind them the text that is being written.
    texts: Texts,
    max: usize,
    /// Where the current text begins.
    begin: usize,
    /// The number of messages in the current text.
    count: usize,
    /// The index of the last message in the current text.
    last: u32,
}

/// The texts of a batch, one after the other.
#[derive(Debug, Default)]
pub struct Texts {
    /// The bytes of all texts.
    pub bytes: Vec<u8>,
    /// Where each text ends in `bytes`.
    pub ends: Vec<u32>,
    /// For each text, the index of the last message in it.
    pub sources: Vec<u32>,
}

impl Batch {
    /// Returns an empty batch that writes into an empty buffer. Texts of several messages have at
    /// most `max` bytes.
    pub fn new(max: usize, buffer: Vec<u8>) -> Self {
        let texts = Texts { bytes: buffer, ..Texts::default() };
        Self { texts, max, begin: 0, count: 0, last: 0 }
    }

    /// Adds the message with this index. Indexes go up.
    ///
    /// # Errors
    /// Returns an error if the body is not JSON. The batch stays as it was then.
    pub fn push(&mut self, index: u32, message: &Message<'_>) -> Result<(), String> {
        // Each message follows a byte that begins or continues an array. A text of one message
        // drops the byte in the end.
        let bytes = &mut self.texts.bytes;
        let comma = bytes.len();
        bytes.push(if self.count == 0 { b'[' } else { b',' });
        if let Err(reason) = encode(message, bytes) {
            bytes.truncate(comma);
            return Err(reason);
        }
        // The array needs one more byte for its closing bracket.
        if self.count > 0 && bytes.len() - self.begin + 1 > self.max {
            let message = bytes.split_off(comma);
            self.finish_text();
            self.texts.bytes.push(b'[');
            self.texts.bytes.extend_from_slice(&message[1..]);
        }
        self.count += 1;
        self.last = index;
        Ok(())
    }

    /// Finishes the last text and returns all texts.
    pub fn finish(mut self) -> Texts {
        self.finish_text();
        self.texts
    }

    fn finish_text(&mut self) {
        let Texts { bytes, ends, sources } = &mut self.texts;
        match self.count {
            0 => return,
            1 => drop(bytes.remove(self.begin)),
            _ => bytes.push(b']'),
        }
        self.begin = bytes.len();
        self.count = 0;
        ends.push(self.begin as u32);
        sources.push(self.last);
    }
}

/// Returns a body that is JSON, or `null` if the body is empty.
fn json_or_null(body: &[u8]) -> Result<&str, String> {
    if body.is_empty() {
        return Ok("null");
    }
    let text = str::from_utf8(body).map_err(|_| "the body is not UTF-8")?;
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| format!("the body is not JSON: {error}"))?;
    Ok(text)
}

/// Returns a text as a JSON string.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("every text is a JSON string")
}

fn write(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing into a Vec never fails");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(body: &str) -> Message<'_> {
        Message::Notice { route: "on", body: body.as_bytes() }
    }

    fn encoded(message: &Message<'_>) -> Result<String, String> {
        let mut out = Vec::new();
        encode(message, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_response_has_an_id_and_a_body() {
        let response =
            |status, body: &'static str| encoded(&Message::Response { id: 7, status, body: body.as_bytes() });
        assert_eq!(response(200, "{\"n\":1}").unwrap(), r#"{"id":7,"body":{"n":1}}"#);
        assert_eq!(response(200, "").unwrap(), r#"{"id":7,"body":null}"#);
        assert_eq!(response(404, "").unwrap(), r#"{"id":7,"body":{"code":404}}"#);
        assert_eq!(response(500, "[1]").unwrap(), r#"{"id":7,"body":[1]}"#);
    }

    #[test]
    fn a_push_has_a_route_and_a_body() {
        assert_eq!(encoded(&push("\"😀\"")).unwrap(), r#"{"route":"on","body":"😀"}"#);
        let quotes = Message::Notice { route: "o\"n\n", body: b"" };
        assert_eq!(encoded(&quotes).unwrap(), r#"{"route":"o\"n\n","body":null}"#);
    }

    #[test]
    fn a_body_that_is_not_json_is_an_error() {
        for body in [&b"{"[..], b"1 2", b"\"\xff\"", b"}"] {
            assert!(encoded(&Message::Notice { route: "on", body }).is_err(), "{body:?}");
            assert!(encoded(&Message::Response { id: 7, status: 404, body }).is_err(), "{body:?}");
        }
    }

    /// Returns the texts of a batch of pushes, each with its source. The body `bad` is not JSON.
    fn batch(max: usize, bodies: &[&str]) -> Vec<(u32, String)> {
        let mut batch = Batch::new(max, Vec::new());
        for (index, body) in (0..).zip(bodies) {
            assert_eq!(batch.push(index, &push(body)).is_ok(), *body != "bad");
        }
        let Texts { bytes, ends, sources } = batch.finish();
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let texts = starts.zip(&ends).map(|(start, &end)| &bytes[start as usize..end as usize]);
        sources.into_iter().zip(texts.map(|text| String::from_utf8(text.to_vec()).unwrap())).collect()
    }

    #[test]
    fn a_batch_becomes_as_few_texts_as_possible() {
        let [a, b, c] = ["1", "2", "3"].map(|body| format!("{{\"route\":\"on\",\"body\":{body}}}"));
        assert_eq!(batch(100, &[]), []);
        // A single message is not an array.
        assert_eq!(batch(100, &["1"]), [(0, a.clone())]);
        assert_eq!(batch(100, &["1", "2", "3"]), [(2, format!("[{a},{b},{c}]"))]);
        assert_eq!(batch(100, &["bad", "1", "bad", "2", "bad"]), [(3, format!("[{a},{b}]"))]);
        let two = format!("[{a},{b}]");
        assert_eq!(batch(two.len(), &["1", "2", "3"]), [(1, two.clone()), (2, c.clone())]);
        assert_eq!(batch(two.len() - 1, &["1", "2", "3"]), [(0, a.clone()), (1, b.clone()), (2, c.clone())]);
        // A message that is longer than a text may be is alone in its text.
        let long = "9".repeat(200);
        let alone = format!("{{\"route\":\"on\",\"body\":{long}}}");
        assert_eq!(batch(100, &["1", "2", &long, "3"]), [(1, two), (2, alone), (3, c)]);
    }

    #[test]
    fn a_kick_has_its_reason_in_both_places() {
        let mut out = Vec::new();
        farewell("a \"word\"", &mut out);
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&value["route"], &value["body"]["reason"]), (&"onKick".into(), &"a \"word\"".into()));
        assert_eq!(value["reason"], value["body"]["reason"]);
    }
}
