//! Parses test vectors from their text.

use serde_json::{Map, Value};

use super::opening::Opening;
use super::step::{Call, Expected, Step};
use super::syntax::{Word, Words};
use super::{ADDRESS, BadLine, BadVectors, MAX_PACKET, TRANSPORT, Vectors, answer};
use crate::codec::{Carrier, Cause, Instant, MessageRef, Peer, Role, SecretReference};

/// The largest number of wrong lines that are reported. A file with more of them is probably no
/// file of vectors.
const MAX_PROBLEMS: usize = 100;

const STEPS: &str = "options, seed, clock, max-packet, state, session, at, in, stream, secured, answer, abandon, tick, out, farewell, handoff, class and share";
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
        Call::Session(_) => (EVENTS, &["refused", "any"]),
        Call::Resume(_) => (&[], &["refused", "any"]),
        Call::In(_) => (EVENTS, &["rejected", "fatal", "any"]),
        // After the answer to a hello, the codec gets the bytes behind the hello.
        Call::Stream(_) | Call::Answer { .. } => (EVENTS, &["cut", "start-tls", "rejected", "fatal", "any"]),
        Call::Secured(_) | Call::Abandon(_) | Call::Tick => (EVENTS, &["any"]),
        Call::Out { .. } => (&[], &["packet", "none", "rejected", "fatal", "any"]),
        Call::Farewell { .. } => (&["reply", "log", "close"], &["any"]),
        Call::Handoff { .. } => (EVENTS, &["refused", "any"]),
        Call::Class => (&[], &["class", "any"]),
        Call::Share { .. } => (&[], &["packet", "none", "refused", "any"]),
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
    /// The time in the current session; `None` before the first session.
    now: Option<Instant>,
    /// The values for the next step, which opens a session or hands one over.
    next: Opening,
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
                let ms = words.number("the time in milliseconds")?;
                let unix_ms = match words.rest().trim_ascii_start() {
                    "" => None,
                    rest if rest.starts_with('#') => None,
                    _ => Some(words.number("the wall clock in milliseconds since 1970")?),
                };
                self.set_time(ms, unix_ms)?;
                words.end()?;
                self.above = Above::Nothing;
            }
            _ => {
                if self.next.set(word, &mut words)? {
                    words.end()?;
                    self.above = Above::Nothing;
                    return Ok(());
                }
                let call = self.call(word, &mut words)?;
                words.end()?;
                self.next.is_used_up(word)?;
                let now = self.now.ok_or("no session is open: write `session` before it")?;
                let (now_ms, unix_ms) = (now.session_ms, now.unix_ms);
                self.steps.push(Step {
                    line,
                    start: self.start,
                    now_ms,
                    unix_ms,
                    call,
                    expected: Vec::new(),
                });
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
        let is_any = |text: &str| text == answer::ANY;
        if !step.expected.is_empty() && (is_any(&text) || is_any(&step.expected[0].text)) {
            return Err("`any` stands alone: it allows every answer".into());
        }
        step.expected.push(Expected { line, text });
        Ok(())
    }

    fn set_options(&mut self, rest: &str) -> Result<(), String> {
        if self.options.is_some() || self.now.is_some() {
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

    /// Sets the time, and the wall clock. Without a wall clock, that goes on as the time does.
    fn set_time(&mut self, ms: u64, unix_ms: Option<u64>) -> Result<(), String> {
        match self.now {
            None => Err("no session is open: write `session` before it".into()),
            Some(Instant { session_ms: now, .. }) if ms < now => {
                Err(format!("time never goes back, and it is {now} already"))
            }
            Some(Instant { session_ms, unix_ms: before }) => {
                let unix_ms = unix_ms.unwrap_or_else(|| before.saturating_add(ms - session_ms));
                self.now = Some(Instant { session_ms: ms, unix_ms });
                Ok(())
            }
        }
    }

    fn call(&mut self, word: &str, words: &mut Words<'_>) -> Result<Call, String> {
        Ok(match word {
            "session" => {
                let (peer, now) = (peer(words)?, Instant::for_test(0));
                let (call, now) = self.next.open(peer, now);
                self.now = Some(now);
                call
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
            "handoff" => Call::Handoff { random_seed: self.next.seed.take() },
            "class" => Call::Class,
            "share" => Call::Share {
                class: words.number("the class")?,
                route: words.text("the route")?,
                body: words.bytes()?,
            },
            _ if EVENTS.contains(&word)
                || matches!(
                    word,
                    "any" | "cut" | "start-tls" | "packet" | "none" | "rejected" | "fatal" | "refused"
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
