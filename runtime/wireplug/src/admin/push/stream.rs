//! A stream of commands, and of their answers.
//!
//! The client is checked again for each command, because its token may be taken out meanwhile.
//!
//! Nothing is read while the client does not read the answers: the answers are made when the
//! connection has room for them. So a stream holds the line that is being read, one chunk of
//! answers and the commands that wait, whatever the client sends.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, EXPECT, HeaderMap};
use axum::response::{IntoResponse as _, Response};
use bytes::BytesMut;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, FuturesUnordered, StreamExt as _};
use http_body_util::BodyExt as _;
use tokio_util::sync::CancellationToken;

use super::command::{BegunCommand, begin};
use super::line::{self, AskedCommand, InvalidLine};
use super::{has_type, stay_open};
use crate::admin::Marks;
use crate::admin::access::{Access, Client};
use crate::admin::api::Api;
use crate::admin::connections::{Place, Pushing};
use crate::admin::refusal::Refusal;
use crate::config::ControlRole;
use crate::server::Running;
use crate::server::client_commands::CommandError;

const NDJSON: &str = "application/x-ndjson";

/// The longest line, in bytes: the largest payload in base64, and what else a line has.
const MAX_LINE: usize = 3 << 19;

/// The most commands of a stream that wait for a client or for another node. No line is read while
/// there are so many.
const MAX_WAITING: usize = 256;

/// The size of a chunk of answers, in bytes. A chunk that is larger ends with its last answer.
const CHUNK: usize = 16 << 10;

/// Answers `POST /clients`: executes the commands of the body, and answers each one.
pub(in crate::admin) async fn stream(
    State(api): State<Arc<Api>>,
    Extension(place): Extension<Arc<Place>>,
    Extension(access): Extension<Arc<Access>>,
    Extension(client): Extension<Client>,
    headers: HeaderMap,
    mut body: Body,
) -> Result<Response, Refusal> {
    if !has_type(&headers, NDJSON) {
        let why = format!(
            "POST /clients takes a stream with `content-type: {NDJSON}`; for one command, send POST /clients/VERB/TARGET"
        );
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
    }
    let pushing = place.begin_push()?;
    let mut lines = LineBuffer::default();
    if headers.contains_key(EXPECT) {
        // The client waits for `100 Continue`, which goes out only before the head of the response.
        if let Some(frame) = body.frame().now_or_never() {
            lines.add(frame.and_then(Result::ok).and_then(|frame| frame.into_data().ok()));
        }
        tokio::task::yield_now().await;
    }
    let stream = CommandStream {
        server: Arc::clone(&api.server),
        access,
        client,
        marks: api.marks.clone(),
        closed: api.server.closed.clone(),
        body,
        lines,
        waiting: FuturesUnordered::new(),
        _pushing: pushing,
    };
    let answers = stream::unfold(stream, async |mut stream| {
        let answers = stream.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(answers)), stream))
    });
    let mut response = ([(CONTENT_TYPE, NDJSON)], Body::from_stream(answers)).into_response();
    stay_open(response.extensions_mut());
    Ok(response)
}

/// A stream of commands.
struct CommandStream {
    server: Arc<Running>,
    access: Arc<Access>,
    client: Client,
    marks: Marks,
    /// Cancelled when the server has closed all its sessions.
    closed: CancellationToken,
    body: Body,
    lines: LineBuffer,
    /// The answers that are still to come.
    waiting: FuturesUnordered<BoxFuture<'static, Vec<u8>>>,
    _pushing: Pushing,
}

impl CommandStream {
    /// Returns the next answers, or `None` at the end of the stream.
    async fn next(&mut self) -> Option<Vec<u8>> {
        let mut answers = Vec::new();
        loop {
            while answers.len() < CHUNK && self.waiting.len() < MAX_WAITING {
                let Some(line) = self.lines.next() else { break };
                self.execute(line, &mut answers);
            }
            while answers.len() < CHUNK
                && let Some(Some(answer)) = self.waiting.next().now_or_never()
            {
                answers.extend(answer);
            }
            if !answers.is_empty() {
                return Some(answers);
            }
            let reads = !self.lines.ended && self.waiting.len() < MAX_WAITING;
            if self.lines.ended && self.waiting.is_empty() {
                return None;
            }
            tokio::select! {
                Some(answer) = self.waiting.next() => answers.extend(answer),
                frame = self.body.frame(), if reads => match frame {
                    Some(Ok(frame)) => self.lines.add(frame.into_data().ok()),
                    Some(Err(_)) => self.lines.end(false),
                    None => self.lines.end(true),
                },
                // The commands that wait are still answered.
                () = self.marks.closing(), if reads => self.lines.end(false),
                () = self.closed.cancelled(), if reads => self.lines.end(false),
            }
        }
    }

    /// Executes the command of a line. Writes the answer if it is there already.
    fn execute(&mut self, line: Result<Bytes, InvalidLine>, answers: &mut Vec<u8>) {
        let asked = line.and_then(|line| AskedCommand::read(&line, self.server.nodes.address()));
        let (id, begun) = match asked {
            Ok(AskedCommand { id, .. }) if !self.access.still_has(&self.client, ControlRole::Push) => {
                self.lines.give_up();
                let why = "the client may send no commands any more: its token was taken out, or has expired";
                (id, BegunCommand::Done(Err(CommandError::new(401, why))))
            }
            Ok(AskedCommand { id, verb, addressee, details }) => {
                (id, begin(&self.server, verb, addressee, &details.borrowed()))
            }
            Err(InvalidLine { id, error }) => (id, BegunCommand::Done(Err(error))),
        };
        match begun {
            BegunCommand::Done(outcome) => line::write(id.as_deref(), &outcome, answers),
            BegunCommand::Waits(outcome) => self.waiting.push(
                async move {
                    let (mut answer, outcome) = (Vec::new(), outcome.await);
                    line::write(id.as_deref(), &outcome, &mut answer);
                    answer
                }
                .boxed(),
            ),
        }
    }
}

/// Cuts what was read into lines.
#[derive(Default)]
struct LineBuffer {
    buffer: BytesMut,
    /// How many bytes of the buffer have no line break.
    searched: usize,
    /// Whether no more is read.
    ended: bool,
}

impl LineBuffer {
    fn add(&mut self, data: Option<Bytes>) {
        self.buffer.extend_from_slice(&data.unwrap_or_default());
    }

    /// Notes that nothing more is read. With `complete`, what is left is a line too.
    fn end(&mut self, complete: bool) {
        self.ended = true;
        if complete && !self.buffer.is_empty() {
            self.buffer.extend_from_slice(b"\n");
        }
    }

    /// Leaves out what was read and not cut yet, and reads nothing more.
    fn give_up(&mut self) {
        self.buffer.clear();
        self.searched = 0;
        self.ended = true;
    }

    /// Returns the next line that is not empty. A line that is too long is the last one.
    fn next(&mut self) -> Option<Result<Bytes, InvalidLine>> {
        loop {
            let found = memchr::memchr(b'\n', &self.buffer[self.searched..]).map(|at| self.searched + at);
            if found.unwrap_or(self.buffer.len()) > MAX_LINE {
                self.give_up();
                let why = format!("a line has at most {MAX_LINE} bytes: the stream ends here");
                return Some(Err(InvalidLine { id: None, error: CommandError::new(413, why) }));
            }
            let Some(end) = found else {
                self.searched = self.buffer.len();
                return None;
            };
            self.searched = 0;
            let line = self.buffer.split_to(end + 1).freeze();
            if !line.trim_ascii().is_empty() {
                return Some(Ok(line));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(lines: &mut LineBuffer) -> Vec<String> {
        std::iter::from_fn(|| lines.next())
            .map(|line| match line {
                Ok(line) => String::from_utf8(line.trim_ascii().to_vec()).unwrap(),
                Err(invalid) => invalid.error.code.to_string(),
            })
            .collect()
    }

    #[test]
    fn lines_are_cut_wherever_they_are_split() {
        let text = "{\"a\":1}\r\n\n  \n{\"b\":2}\n\"the last\"";
        for at in 0..=text.len() {
            let mut lines = LineBuffer::default();
            let (first, rest) = text.split_at(at);
            lines.add(Some(first.to_owned().into()));
            let mut found = all(&mut lines);
            lines.add(Some(rest.to_owned().into()));
            found.extend(all(&mut lines));
            lines.end(true);
            found.extend(all(&mut lines));
            assert_eq!(found, ["{\"a\":1}", "{\"b\":2}", "\"the last\""], "{at}");
        }
    }

    #[test]
    fn what_is_cut_off_by_the_server_is_no_line() {
        let mut lines = LineBuffer::default();
        lines.add(Some("1\n2".into()));
        lines.end(false);
        assert_eq!(all(&mut lines), ["1"]);
    }

    #[test]
    fn a_line_that_is_too_long_is_the_last() {
        let mut lines = LineBuffer::default();
        let long = "x".repeat(MAX_LINE);
        lines.add(Some(format!("1\n{long}\n{long}").into()));
        assert_eq!(all(&mut lines), ["1", &long]);
        assert!(!lines.ended);
        lines.add(Some("x\n2\n".into()));
        assert_eq!(all(&mut lines), ["413"]);
        assert!(lines.ended && lines.buffer.is_empty());
    }
}
