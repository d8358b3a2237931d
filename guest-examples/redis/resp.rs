//! Commands and values as this application reads and writes them: RESP3.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use wireplug::app::{Error, FromRequest, IntoResponse, Request, Response};
use wireplug::session::Message;

/// The arguments of a command, without its name. They may contain any bytes.
pub(crate) struct Arguments(pub(crate) Vec<Bytes>);

impl<S> FromRequest<S> for Arguments {
    fn from_request(request: &Request, _state: &S) -> Result<Self, Error> {
        read(&request.body).map(Self).ok_or(Error::status(400))
    }
}

/// This many arguments, neither more nor fewer. With another number the client gets an error.
pub(crate) struct Exactly<const N: usize>(pub(crate) [Bytes; N]);

impl<S, const N: usize> FromRequest<S> for Exactly<N> {
    fn from_request(request: &Request, _state: &S) -> Result<Self, Error> {
        read(&request.body)
            .and_then(|arguments| arguments.try_into().ok())
            .map(Self)
            .ok_or(Error::status(400))
    }
}

/// Reads `*2\r\n$3\r\nGET\r\n$1\r\nk\r\n`. The codec has checked it. No argument is copied.
fn read(body: &Bytes) -> Option<Vec<Bytes>> {
    let mut rest = body.clone();
    let count: usize = line(&mut rest)?.strip_prefix('*')?.parse().ok()?;
    let mut arguments = Vec::with_capacity(count);
    for _ in 0..count {
        let length: usize = line(&mut rest)?.strip_prefix('$')?.parse().ok()?;
        arguments.push(rest.split_to(length));
        line(&mut rest)?;
    }
    arguments.remove(0);
    Some(arguments)
}

/// Takes a line off the front, without CR LF.
fn line(rest: &mut Bytes) -> Option<String> {
    let end = rest.iter().position(|byte| *byte == b'\r')?;
    let line = rest.split_to(end + 2);
    Some(str::from_utf8(&line[..end]).ok()?.to_owned())
}

/// A value. The codec translates the types that RESP2 lacks.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Ok,
    Pong,
    Null,
    Integer(i64),
    Boolean(bool),
    Double(f64),
    /// Decimal digits, any number of them.
    BigNumber(&'static str),
    Bytes(Bytes),
    /// A text for people.
    Verbatim(&'static str),
    /// An error, which begins with a code.
    Error(Cow<'static, str>),
    Array(Vec<Value>),
    Set(Vec<Value>),
    Map(Vec<(Value, Value)>),
    /// Facts about the value, which a client may ignore.
    Attribute(Vec<(Value, Value)>, Box<Value>),
    Push(Vec<Value>),
}

impl Value {
    pub(crate) fn text(text: &'static str) -> Self {
        Self::Bytes(Bytes::from_static(text.as_bytes()))
    }

    pub(crate) fn count(count: usize) -> Self {
        Self::Integer(i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// Returns the message that pushes this value.
    pub(crate) fn into_push(self) -> Message {
        Message::push("redis.push", self.into_bytes())
    }

    fn into_bytes(self) -> Bytes {
        let mut out = BytesMut::new();
        self.write(&mut out);
        out.freeze()
    }

    fn write(&self, out: &mut BytesMut) {
        match self {
            Self::Ok => out.extend_from_slice(b"+OK\r\n"),
            Self::Pong => out.extend_from_slice(b"+PONG\r\n"),
            Self::Null => out.extend_from_slice(b"_\r\n"),
            Self::Integer(number) => line_of(out, format_args!(":{number}")),
            Self::Boolean(true) => out.extend_from_slice(b"#t\r\n"),
            Self::Boolean(false) => out.extend_from_slice(b"#f\r\n"),
            Self::Double(number) => line_of(out, format_args!(",{number}")),
            Self::BigNumber(digits) => line_of(out, format_args!("({digits}")),
            Self::Bytes(bytes) => {
                line_of(out, format_args!("${}", bytes.len()));
                out.extend_from_slice(bytes);
                out.extend_from_slice(b"\r\n");
            }
            Self::Verbatim(text) => line_of(out, format_args!("={}\r\ntxt:{text}", text.len() + 4)),
            Self::Error(text) => line_of(out, format_args!("-{text}")),
            Self::Array(values) => list(out, '*', values),
            Self::Set(values) => list(out, '~', values),
            Self::Push(values) => list(out, '>', values),
            Self::Map(pairs) => map(out, '%', pairs),
            Self::Attribute(pairs, value) => {
                map(out, '|', pairs);
                value.write(out);
            }
        }
    }
}

fn line_of(out: &mut BytesMut, text: std::fmt::Arguments<'_>) {
    out.extend_from_slice(format!("{text}\r\n").as_bytes());
}

fn list(out: &mut BytesMut, kind: char, values: &[Value]) {
    line_of(out, format_args!("{kind}{}", values.len()));
    values.iter().for_each(|value| value.write(out));
}

fn map(out: &mut BytesMut, kind: char, pairs: &[(Value, Value)]) {
    line_of(out, format_args!("{kind}{}", pairs.len()));
    for (key, value) in pairs {
        key.write(out);
        value.write(out);
    }
}

impl From<Bytes> for Value {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl IntoResponse for Value {
    fn into_response(self) -> Response {
        self.into_bytes().into_response()
    }
}

impl From<Value> for Error {
    /// A value in the place of a failure is an error that the client gets as it is.
    fn from(error: Value) -> Self {
        Error::with_body(400, error.into_bytes())
    }
}
