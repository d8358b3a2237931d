//! What a client is told: `{"id":ID,"body":BODY}` for a response, `{"route":ROUTE,"body":BODY}` for a push; and
//! several at once as one JSON array.

use std::io::Write as _;

use serde_core::de::IgnoredAny;

/// A message of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The request that it answers; none: it is a push.
    pub id: Option<u64>,
    /// The route of a push.
    pub route: &'a str,
    /// JSON, or nothing.
    pub body: &'a [u8],
    /// A response's status, as in HTTP.
    pub status: u16,
}

/// Appends the text for a message. A response of another status than 200 without a body says `{"code":STATUS}`; any
/// other message without one, `null`.
///
/// # Errors
/// Why it has none; nothing is appended then.
pub fn encode(message: &Message<'_>, out: &mut Vec<u8>) -> Result<(), String> {
    let code;
    let body = match (message.body, message.id, message.status) {
        ([], Some(_), status) if status != 200 => {
            code = format!("{{\"code\":{status}}}");
            &code
        }
        ([], ..) => "null",
        (body, ..) => json(body)?,
    };
    match message.id {
        Some(id) => write(out, format_args!("{{\"id\":{id},\"body\":{body}}}")),
        None => write(out, format_args!("{{\"route\":{},\"body\":{body}}}", quoted(message.route))),
    }
    Ok(())
}

/// Appends what a client is told when it is thrown out. Pomelo's server puts the reason beside the route, and its
/// client hands on the body: it is in both.
pub fn farewell(reason: &str, out: &mut Vec<u8>) {
    let reason = quoted(reason);
    write(out, format_args!("{{\"route\":\"onKick\",\"reason\":{reason},\"body\":{{\"reason\":{reason}}}}}"));
}

/// Several messages as few texts.
#[derive(Debug)]
pub struct Batch {
    /// The texts one after the other, and where each that is finished ends.
    bytes: Vec<u8>,
    ends: Vec<u32>,
    max: usize,
    /// Where the text that is being written began, and how many messages it has.
    begun: usize,
    count: usize,
}

impl Batch {
    /// For texts of at most `max` bytes, where they are more than one message, in an empty buffer.
    pub fn new(max: usize, buffer: Vec<u8>) -> Self {
        Self { bytes: buffer, ends: Vec::new(), max, begun: 0, count: 0 }
    }

    /// Adds a message.
    ///
    /// # Errors
    /// As [`encode`]'s.
    pub fn push(&mut self, message: &Message<'_>) -> Result<(), String> {
        // In front of each stands what begins an array or goes on with it; a message that stays alone leaves it out.
        let comma = self.bytes.len();
        self.bytes.push(if self.count == 0 { b'[' } else { b',' });
        if let Err(why) = encode(message, &mut self.bytes) {
            self.bytes.truncate(comma);
            return Err(why);
        }
        // And the bracket that ends it.
        if self.count > 0 && self.bytes.len() - self.begun + 1 > self.max {
            let last = self.bytes.split_off(comma);
            self.finish_text();
            self.bytes.push(b'[');
            self.bytes.extend_from_slice(&last[1..]);
        }
        self.count += 1;
        Ok(())
    }

    /// Finishes the last text. Gives them one after the other, and where each ends.
    pub fn finish(mut self) -> (Vec<u8>, Vec<u32>) {
        self.finish_text();
        (self.bytes, self.ends)
    }

    fn finish_text(&mut self) {
        match self.count {
            0 => return,
            1 => drop(self.bytes.remove(self.begun)),
            _ => self.bytes.push(b']'),
        }
        self.begun = self.bytes.len();
        self.ends.push(self.begun as u32);
        self.count = 0;
    }
}

/// A body, if it can stand inside of JSON.
fn json(body: &[u8]) -> Result<&str, String> {
    let text = str::from_utf8(body).map_err(|_| "the body is not UTF-8")?;
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| format!("the body is not JSON: {error}"))?;
    Ok(text)
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text has a form in JSON")
}

fn write(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a Vec takes all");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(body: &str) -> Message<'_> {
        Message { id: None, route: "on", body: body.as_bytes(), status: 200 }
    }

    fn encoded(message: &Message<'_>) -> Result<String, String> {
        let mut out = Vec::new();
        encode(message, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn responses_and_pushes() {
        let response = |status, body: &'static str| Message {
            id: Some(7),
            route: "a.b.c",
            body: body.as_bytes(),
            status,
        };
        assert_eq!(encoded(&response(200, "{\"n\":1}")).unwrap(), r#"{"id":7,"body":{"n":1}}"#);
        assert_eq!(encoded(&response(200, "")).unwrap(), r#"{"id":7,"body":null}"#);
        assert_eq!(encoded(&response(404, "")).unwrap(), r#"{"id":7,"body":{"code":404}}"#);
        assert_eq!(encoded(&response(500, "[1]")).unwrap(), r#"{"id":7,"body":[1]}"#);
        assert_eq!(encoded(&push("\"😀\"")).unwrap(), r#"{"route":"on","body":"😀"}"#);
        let odd = Message { route: "o\"n\n", ..push("") };
        assert_eq!(encoded(&odd).unwrap(), r#"{"route":"o\"n\n","body":null}"#);
        for bad in [&b"{"[..], b"1 2", b"\"\xff\"", b"}"] {
            assert!(encoded(&Message { body: bad, ..push("") }).is_err(), "{bad:?}");
        }
    }

    fn batch(max: usize, bodies: &[&str]) -> Vec<String> {
        let mut batch = Batch::new(max, Vec::new());
        for body in bodies {
            assert_eq!(batch.push(&push(body)).is_ok(), *body != "bad");
        }
        let (bytes, ends) = batch.finish();
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let texts = starts.zip(&ends).map(|(start, &end)| &bytes[start as usize..end as usize]);
        texts.map(|text| String::from_utf8(text.to_vec()).unwrap()).collect()
    }

    #[test]
    fn a_batch_is_as_few_arrays_as_hold_it() {
        let [a, b, c] = ["1", "2", "3"].map(|body| format!("{{\"route\":\"on\",\"body\":{body}}}"));
        assert_eq!(batch(100, &[]), Vec::<String>::new());
        // One stands for itself.
        assert_eq!(batch(100, &["1"]), std::slice::from_ref(&a));
        assert_eq!(batch(100, &["1", "2", "3"]), [format!("[{a},{b},{c}]")]);
        assert_eq!(batch(100, &["bad", "1", "bad", "2", "bad"]), [format!("[{a},{b}]")]);
        let two = format!("[{a},{b}]");
        assert_eq!(batch(two.len(), &["1", "2", "3"]), [two.clone(), c.clone()]);
        assert_eq!(batch(two.len() - 1, &["1", "2", "3"]), [a.clone(), b.clone(), c.clone()]);
        // What is too long by itself stands alone.
        let long = "9".repeat(200);
        let alone = format!("{{\"route\":\"on\",\"body\":{long}}}");
        assert_eq!(batch(100, &["1", "2", &long, "3"]), [two, alone, c]);
    }

    #[test]
    fn a_kick_says_why() {
        let mut out = Vec::new();
        farewell("a \"word\"", &mut out);
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&value["route"], &value["body"]["reason"]), (&"onKick".into(), &"a \"word\"".into()));
        assert_eq!(value["reason"], value["body"]["reason"]);
    }
}
