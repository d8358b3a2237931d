//! Records a session as vectors, which replay exactly.

use std::fmt::Write as _;

use super::answer::{ANY, Answer};
use super::syntax::Bytes;
use super::{Call, TRANSPORT};
use crate::codec::driver::{CallEnd, ObservedCall, Observer};
use crate::codec::{Carrier, CodecError, Event, Instant, MessageRef, Next, Peer, Secrets};

/// What a recording begins with.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a> {
    /// The session opens.
    Opening,
    /// A state of the session, which its codec has saved. Says whether the handshake is over, and
    /// when the codec's timer is due, in milliseconds of session time.
    State(&'a [u8], bool, Option<u64>),
}

/// Writes the calls of a session as vectors, with the random seed, the times and the client.
///
/// A call that fails is a step with the answer `any`: a codec that has been mended must answer, and
/// how is for its author to say.
pub struct Recorder {
    /// The lines of the steps that are finished.
    text: String,
    /// The steps of the call in progress: the line of each, and its answers.
    steps: Vec<(String, Vec<String>)>,
    /// Why the answers of the call in progress are not written.
    unsure: Option<&'static str>,
    /// The index of the packet behind which the client's packets were not decoded.
    last_packet: Option<usize>,
    now: Instant,
    /// The number of steps.
    count: usize,
    /// The bytes at the front of the stream that earlier steps have, and that are not cut yet.
    rest: usize,
    /// The stream of the call in progress.
    stream: Vec<u8>,
    events: Vec<(usize, String)>,
    secrets: Secrets,
    is_over: bool,
}

impl Recorder {
    /// Begins a recording at `now`. `options` are those of the codec, as JSON without secrets.
    pub fn new(options: &str, peer: &Peer, start: Start<'_>, now: Instant, secrets: Secrets) -> Self {
        let mut text = String::new();
        let mut line = |line: std::fmt::Arguments<'_>| {
            let _ = writeln!(text, "{line}");
        };
        if options != "{}" {
            line(format_args!("options {options}"));
        }
        if peer.random_seed != [0; 32] {
            line(format_args!("seed {}", hex(&peer.random_seed)));
        }
        line(format_args!("clock {}", now.unix_ms));
        line(format_args!("max-packet {}", peer.max_packet));
        if let Start::State(state, established, timer) = start {
            let phase = if established { "established" } else { "opening" };
            let timer = timer.map_or_else(|| "-".to_owned(), |timer| timer.to_string());
            line(format_args!("state {} {phase} {timer} {}", now.session_ms, Bytes(state)));
        }
        line(format_args!("{}", Call::Session(Box::new(client(peer)))));
        Self {
            text,
            steps: Vec::new(),
            unsure: None,
            last_packet: None,
            now,
            count: 0,
            rest: 0,
            stream: Vec::new(),
            events: Vec::new(),
            secrets,
            is_over: false,
        }
    }

    /// Returns the lines of the steps that were finished since the last call.
    pub fn take(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    /// Returns the lines of the steps that are finished and not taken.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the number of steps.
    pub fn steps(&self) -> usize {
        self.count
    }

    /// Returns whether nothing can follow, because the codec has failed or the client has broken
    /// the framing.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Adds a comment.
    pub fn comment(&mut self, text: &str) {
        let _ = writeln!(self.text, "# {}", text.replace(['\n', '\r'], " "));
    }

    /// Records that the codec did not open the session.
    pub fn not_opened(&mut self, error: &CodecError) {
        match error {
            CodecError::Refused(reason) => {
                let _ = writeln!(self.text, "  {}", Answer::Refused(reason.as_str().as_bytes()));
            }
            error => {
                let _ = writeln!(self.text, "  {ANY}");
                self.comment(&format!("codec fault: {error}"));
            }
        }
        self.count += 1;
        self.is_over = true;
    }

    fn step(&mut self, call: Call) {
        self.steps.push((call.to_string(), Vec::new()));
    }

    fn answer(&mut self, index: usize, answer: &Answer<'_>) {
        if let Some((_, answers)) = self.steps.get_mut(index) {
            answers.push(answer.to_string());
        }
    }

    /// Puts the answers of a stream in order: each packet that was cut before its events.
    fn cut(&mut self, ends: &[u32], consumed: usize, next: Next) {
        let passed = match next {
            Next::Need(_) => &self.stream[..],
            Next::Full | Next::StartTls => &self.stream[..consumed],
        };
        let own = passed.get(self.rest..).unwrap_or_default();
        let mut answers = Vec::new();
        let mut events = std::mem::take(&mut self.events).into_iter().peekable();
        let mut start = 0;
        for index in 0..=ends.len() {
            if let Some(&end) = ends.get(index) {
                answers.push(Answer::Cut(&passed[start..end as usize]).to_string());
                start = end as usize;
            }
            while let Some((_, event)) = events.next_if(|(packet, _)| *packet == index) {
                answers.push(event);
            }
        }
        if next == Next::StartTls {
            answers.push(Answer::StartTls.to_string());
        }
        if !own.is_empty() || !answers.is_empty() {
            self.steps = vec![(Call::Stream(own.to_vec()).to_string(), answers)];
        }
        self.rest = match next {
            Next::Need(_) => self.stream.len() - consumed,
            // The rest of a full call counts with the next step, and behind a wish for TLS it is
            // TLS.
            Next::Full | Next::StartTls => self.rest.saturating_sub(consumed),
        };
    }

    fn failed(&mut self, error: &CodecError) {
        if !self.stream.is_empty() {
            let own = self.stream[self.rest.min(self.stream.len())..].to_vec();
            self.step(Call::Stream(own));
        }
        let fatal = match (error, &*self.steps) {
            // A codec ends a session in which it cannot encode.
            (CodecError::Refused(reason), [(line, _)]) if line.starts_with("out ") => {
                Some(Answer::Event(Event::Fatal(reason.as_str().as_bytes())).to_string())
            }
            _ => None,
        };
        for (_, answers) in &mut self.steps {
            *answers = vec![fatal.clone().unwrap_or_else(|| ANY.to_owned())];
        }
        self.write();
        self.comment(&format!("codec fault: {error}"));
        self.is_over = true;
    }

    /// Writes the steps of a call that has ended.
    fn write(&mut self) {
        if let Some(last) = self.last_packet {
            self.steps.truncate(last + 1);
        }
        if let Some(why) = self.unsure {
            self.comment(why);
        }
        for (line, answers) in std::mem::take(&mut self.steps) {
            self.count += 1;
            self.line("", &line);
            if self.unsure.is_some() {
                self.line("  ", ANY);
            } else {
                answers.iter().for_each(|answer| self.line("  ", answer));
            }
        }
        self.stream.clear();
        self.events.clear();
        (self.unsure, self.last_packet) = (None, None);
    }

    fn line(&mut self, indent: &str, line: &str) {
        let line = self.secrets.redact(line.as_bytes());
        let _ = writeln!(self.text, "{indent}{}", String::from_utf8_lossy(&line));
    }
}

impl Observer for Recorder {
    fn begin(&mut self, call: ObservedCall<'_>, now: Option<Instant>) {
        if self.is_over {
            return;
        }
        if let Some(now) = now.filter(|now| *now != self.now) {
            let _ = writeln!(self.text, "at {} {}", now.session_ms, now.unix_ms);
            self.now = now;
        }
        match call {
            // The events are answers to the step that opens the session.
            ObservedCall::Open => self.steps.push((String::new(), Vec::new())),
            ObservedCall::Decode(packets) => {
                packets.iter().for_each(|packet| self.step(Call::In(packet.to_vec())));
            }
            ObservedCall::Stream(bytes) => self.stream = bytes.to_vec(),
            ObservedCall::Secured(attributes) => self.step(Call::Secured(attributes.to_vec())),
            ObservedCall::Answer(status, body) => self.step(Call::Answer { status, body: body.to_vec() }),
            ObservedCall::Abandoned(id) => self.step(Call::Abandon(id)),
            ObservedCall::Tick => self.step(Call::Tick),
            ObservedCall::Encode(messages, coalesces) => {
                for MessageRef { role, id, route, body, status } in messages.iter() {
                    let (route, body) = (route.to_owned(), body.to_vec());
                    self.step(Call::Out { role, id, route, status, body });
                }
                if coalesces && messages.len() > 1 {
                    self.unsure = Some("the codec joined the packets of these messages");
                }
            }
            ObservedCall::Farewell(cause, reason) => {
                self.step(Call::Farewell { cause, reason: reason.to_owned() });
            }
            ObservedCall::Class => self.step(Call::Class),
            ObservedCall::Restored(seed) => {
                let _ = writeln!(self.text, "seed {}", hex(seed));
                self.step(Call::Handoff { random_seed: Some(*seed) });
            }
        }
    }

    fn returned(&mut self) {}

    fn event(&mut self, packet: usize, event: &Event<'_>) {
        if matches!(event, Event::Hello(_) | Event::Close { .. } | Event::Fatal(_)) {
            // What follows in the batch is decoded later, or never.
            self.last_packet.get_or_insert(packet);
        }
        let answer = Answer::Event(event.clone());
        if self.stream.is_empty() {
            self.answer(packet, &answer);
        } else {
            self.events.push((packet, answer.to_string()));
        }
    }

    fn packet(&mut self, message: usize, packet: &[u8]) {
        self.answer(message, &Answer::Packet(packet));
    }

    fn refused(&mut self, message: usize, reason: &[u8]) {
        self.answer(message, &Answer::Event(Event::Rejected(reason)));
    }

    fn end(&mut self, end: CallEnd<'_>) {
        if self.is_over {
            return;
        }
        match end {
            CallEnd::Failed(error) => return self.failed(error),
            CallEnd::Cut(cut, ends) => {
                self.last_packet = None;
                match &cut.next {
                    Ok(next) => self.cut(ends, cut.consumed, *next),
                    Err(error) => {
                        self.comment(&format!("the client broke the framing: {error}"));
                        self.is_over = true;
                        self.steps.clear();
                    }
                }
            }
            CallEnd::Class(class) => self.answer(0, &Answer::Class(class)),
            CallEnd::Done => {}
        }
        if let [(line, answers)] = &mut *self.steps
            && line.is_empty()
        {
            let answers = std::mem::take(answers);
            self.steps.clear();
            answers.iter().for_each(|answer| self.line("  ", answer));
        }
        for (line, answers) in &mut self.steps {
            if line.starts_with("out ") && answers.is_empty() {
                answers.push(Answer::None.to_string());
            }
        }
        self.write();
    }
}

/// Returns the client with a transport from whose name its carrier follows, as a line of vectors
/// has it.
fn client(peer: &Peer) -> Peer {
    let mut peer = peer.clone();
    if Carrier::of_transport(&peer.transport) != peer.carrier {
        peer.transport = match peer.carrier {
            Carrier::Bytes => TRANSPORT,
            Carrier::Messages => "ws",
            Carrier::Datagrams => "udp",
        }
        .to_owned();
    }
    peer
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
