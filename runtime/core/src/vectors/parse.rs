//! Parses test vectors from their text.

use serde_json::{Map, Value};

use super::step::{Call, Expected, Step};
use super::syntax::{Word, Words};
use super::{ADDRESS, BadLine, BadVectors, MAX_PACKET, TRANSPORT, Vectors, answer};
use crate::codec::{Carrier, Cause, MessageRef, Peer, Role, SecretReference};

/// The largest number of wrong lines that are reported. A file with more of them is probably no
/// file of vectors.
const MAX_PROBLEMS: usize = 100;

const STEPS: &str = "options, session, at, in, stream, secured, answer, abandon, tick, out, farewell, handoff, class and share";
const EVENTS: &[&str] = &[
    "hello",
    "established",
    "notice",
    "request",
    "response",
    "reply",
    "timer",
    "address-verified",
    "log",
    "close",
];

/// Returns the answers that a step may have: the events, then the other answers.
fn allowed(call: &Call) -> (&'static [&'static str], &'static [&'static str]) {
    match call {
        Call::Session(_) => (EVENTS, &["refused"]),
        Call::In(_) => (EVENTS, &["rejected", "fatal"]),
        // After the answer to a hello, the codec gets the bytes behind the hello.
        Call::Stream(_) | Call::Answer { .. } => (EVENTS, &["cut", "start-tls", "rejected", "fatal"]),
        Call::Secured(_) | Call::Abandon(_) | Call::Tick => (EVENTS, &[]),
        Call::Out { .. } => (&[], &["packet", "none", "rejected", "fatal"]),
        Call::Farewell { .. } => (&["reply", "log", "close"], &[]),
        Call::Handoff => (&[], &["refused"]),
        Call::Class => (&[], &["class"]),
        Call::Share { .. } => (&[], &["packet", "none", "refused"]),
    }
}

pub(super) fn vectors(text: String) -> Result<Vectors, BadVectors> {
    let mut parser = Parser::default();
    let mut bad = Vec::new();
    if text.len() > Vectors::MAX {
        let problem = format!("the file has {} bytes, and at most {} are allowed", text.len(), Vectors::MAX);
        return Err(BadVectors { lines: vec![BadLine { line: 1, problem }] });
    }
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if let Err(problem) = parser.line(index, line) {
            bad.push(BadLine { line: index + 1, problem });
            if bad.len() == MAX_PROBLEMS {
                break;
            }
        }
        parser.start += line.len();
    }
    if !bad.is_empty() {
        return Err(BadVectors { lines: bad });
    }
    let options = parser.options.unwrap_or_else(|| "{}".into());
    Ok(Vectors { text, options, steps: parser.steps })
}

#[derive(Default)]
struct Parser {
    options: Option<String>,
    steps: Vec<Step>,
    /// Where the current line begins in the text, in bytes.
    start: usize,
    above: Above,
    /// The time in the current session, in milliseconds; `None` before the first session.
    now_ms: Option<u64>,
}

/// The kind of line above the current one. An answer belongs to the step above it.
#[derive(Default, PartialEq, Eq)]
enum Above {
    #[default]
    Nothing,
    Step,
    /// A wrong line. The answers below it are not checked.
    Wrong,
}

impl Parser {
    fn line(&mut self, line: usize, text: &str) -> Result<(), String> {
        let mut words = Words::of(text);
        let word = match words.next()? {
            None => return Ok(()),
            Some(Word::Bare(word)) => word,
            Some(Word::Quoted(_)) => return Err("a line begins with a bare word".into()),
        };
        if text.starts_with([' ', '\t']) {
            return self.answer(line, word, &mut words);
        }
        self.above = Above::Wrong;
        match word {
            "options" => {
                self.set_options(words.rest())?;
                self.above = Above::Nothing;
            }
            "at" => {
                self.set_time(words.number("the time in milliseconds")?)?;
                words.end()?;
                self.above = Above::Nothing;
            }
            _ => {
                let call = self.call(word, &mut words)?;
                words.end()?;
                let now_ms = self.now_ms.ok_or("no session is open: write `session` before it")?;
                self.steps.push(Step { line, start: self.start, now_ms, call, expected: Vec::new() });
                self.above = Above::Step;
            }
        }
        Ok(())
    }

    fn answer(&mut self, line: usize, word: &str, words: &mut Words<'_>) -> Result<(), String> {
        let step = match self.above {
            Above::Wrong => return Ok(()),
            Above::Nothing => None,
            Above::Step => self.steps.last_mut(),
        };
        let step = step.ok_or("what is indented is an answer, and there is no step above that has one")?;
        let (events, others) = allowed(&step.call);
        if ![events, others].iter().any(|allowed| allowed.contains(&word)) {
            let allowed = [events, others].concat().join(", ");
            return Err(format!("{word:?} is no answer to the step above: allowed are {allowed}"));
        }
        let text = answer::read(word, words)?;
        words.end()?;
        step.expected.push(Expected { line, text });
        Ok(())
    }

    fn set_options(&mut self, rest: &str) -> Result<(), String> {
        if self.options.is_some() || self.now_ms.is_some() {
            return Err("options are for the whole file: once, before the first session".into());
        }
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Map<String, Value>>();
        let options = match values.next() {
            Some(Ok(options)) => {
                if let Some(place) = SecretReference::first_place(&options) {
                    return Err(format!(
                        "{place} is a secret, which vectors would show: write a value for tests in its place"
                    ));
                }
                Value::Object(options)
            }
            Some(Err(error)) => return Err(format!("options are a JSON object in one line: {error}")),
            None => return Err("options are a JSON object in one line".into()),
        };
        let behind = values.byte_offset();
        Words::of(&rest[behind..]).end()?;
        self.options = Some(options.to_string());
        Ok(())
    }

    fn set_time(&mut self, ms: u64) -> Result<(), String> {
        match self.now_ms {
            None => Err("no session is open: write `session` before it".into()),
            Some(now) if ms < now => Err(format!("time never goes back, and it is {now} already")),
            Some(_) => {
                self.now_ms = Some(ms);
                Ok(())
            }
        }
    }

    fn call(&mut self, word: &str, words: &mut Words<'_>) -> Result<Call, String> {
        Ok(match word {
            "session" => {
                self.now_ms = Some(0);
                Call::Session(Box::new(peer(words)?))
            }
            "in" => Call::In(words.bytes()?),
            "stream" => Call::Stream(words.bytes()?),
            "secured" => Call::Secured(attributes(&mut texts(words)?.into_iter())?),
            "abandon" => Call::Abandon(words.number("the id")?),
            "answer" => Call::Answer { status: words.number("the status")?, body: words.bytes()? },
            "tick" => Call::Tick,
            "out" => out(words)?,
            "farewell" => {
                let name = words.text("the cause")?;
                let cause = Cause::from_name(&name).ok_or_else(|| {
                    format!("the cause is kicked, displaced, replaced or shutdown, and not {name:?}")
                })?;
                let reason = String::from_utf8(words.bytes()?).map_err(|_| "a reason must be UTF-8")?;
                Call::Farewell { cause, reason }
            }
            "handoff" => Call::Handoff,
            "class" => Call::Class,
            "share" => Call::Share {
                class: words.number("the class")?,
                route: words.text("the route")?,
                body: words.bytes()?,
            },
            _ if EVENTS.contains(&word)
                || matches!(
                    word,
                    "cut" | "start-tls" | "packet" | "none" | "rejected" | "fatal" | "refused"
                ) =>
            {
                return Err(format!("{word:?} is an answer: indent it under its step"));
            }
            _ => return Err(format!("{word:?} is no step: there are {STEPS}")),
        })
    }
}

/// Reads the message of an `out`.
fn out(words: &mut Words<'_>) -> Result<Call, String> {
    let name = words.text("the role")?;
    let role = match &*name {
        "notice" => Role::Notice,
        "request" => Role::Request,
        "response" => Role::Response,
        _ => return Err(format!("the role is notice, request or response, and not {name:?}")),
    };
    let id = if role == Role::Notice { 0 } else { words.number("the id")? };
    let route = words.text("the route")?;
    let status = if role == Role::Response { words.status()? } else { MessageRef::OK };
    Ok(Call::Out { role, id, route, status, body: words.bytes()? })
}

fn peer(words: &mut Words<'_>) -> Result<Peer, String> {
    let mut given = texts(words)?.into_iter();
    let transport = given.next().unwrap_or_else(|| TRANSPORT.into());
    let address = given.next().unwrap_or_else(|| ADDRESS.into());
    let attributes = attributes(&mut given)?;
    Ok(Peer {
        carrier: Carrier::of_transport(&transport),
        transport,
        address,
        dialed: false,
        max_packet: MAX_PACKET,
        random_seed: [0; 32],
        attributes,
    })
}

/// Reads the rest of a line as words and texts.
fn texts(words: &mut Words<'_>) -> Result<Vec<String>, String> {
    let mut given = Vec::new();
    while let Some(word) = words.next()? {
        given.push(match word {
            Word::Bare(word) => word.to_owned(),
            Word::Quoted(bytes) => String::from_utf8(bytes).map_err(|_| "a peer's words must be UTF-8")?,
        });
    }
    Ok(given)
}

/// Reads names and values of attributes.
fn attributes(given: &mut impl Iterator<Item = String>) -> Result<Vec<(String, String)>, String> {
    let mut attributes = Vec::new();
    while let Some(name) = given.next() {
        let value = given.next().ok_or_else(|| format!("the value of the attribute {name:?} is missing"))?;
        attributes.push((name, value));
    }
    Ok(attributes)
}
