//! The commands of services for clients: verbs, targets, payloads and codes. They are the same over
//! NATS (`docs/nats.md`) and over HTTP (`docs/http-services.md`).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use crate::codec::Reason;
use crate::session::{
    Command, Group, Message, RequestError, ResponseWait, SessionId, Sessions, Target, User,
};

/// What a command asks a node to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Push,
    Request,
    Kick,
    Bind,
    Unbind,
    Join,
    Leave,
    Set,
}

/// The verbs with their names, in the order of [`Verb`].
pub(crate) const VERBS: [(&str, Verb); 8] = [
    ("push", Verb::Push),
    ("request", Verb::Request),
    ("kick", Verb::Kick),
    ("bind", Verb::Bind),
    ("unbind", Verb::Unbind),
    ("join", Verb::Join),
    ("leave", Verb::Leave),
    ("set", Verb::Set),
];

impl Verb {
    /// Returns the verb with this name.
    ///
    /// # Errors
    /// Returns an error if there is no such verb.
    pub(crate) fn read(name: &str) -> Result<Self, CommandError> {
        let verb = VERBS.iter().find(|(known, _)| *known == name).map(|(_, verb)| *verb);
        verb.ok_or(CommandError::invalid(
            "the verb is none of push, request, kick, bind, unbind, join, leave, set",
        ))
    }

    #[cfg(any(feature = "nats", test))]
    pub(crate) fn name(self) -> &'static str {
        VERBS[self as usize].0
    }
}

/// The sessions that a command names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Addressee {
    /// Sessions that may be on this node.
    Local(Target),
    /// A session of another node.
    Remote(RemoteSession),
}

/// A session of another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RemoteSession {
    pub(crate) node: String,
    pub(crate) id: SessionId,
}

impl Addressee {
    /// Reads a target: its kind, such as `user`, and its name, which is not encoded. `own` is the
    /// name of this node.
    ///
    /// # Errors
    /// Returns an error if there is no such target.
    pub(crate) fn read(kind: &str, name: &str, own: &str) -> Result<Self, CommandError> {
        let target = match kind {
            "session" => return Self::session(name, own),
            "user" => Target::User(User::new(name).map_err(|_| CommandError::name())?),
            "group" => Target::Group(Group::new(name).map_err(|_| CommandError::name())?),
            "all" if name.is_empty() => Target::All,
            _ => {
                return Err(CommandError::invalid(
                    "the target is none of session NODE.NUMBER, user USER, group GROUP, all",
                ));
            }
        };
        Ok(Self::Local(target))
    }

    fn session(address: &str, own: &str) -> Result<Self, CommandError> {
        let parsed = address.split_once('.').and_then(|(node, id)| Some((node, SessionId(id.parse().ok()?))));
        let (node, id) = parsed.ok_or(CommandError::invalid("a session is addressed as NODE.NUMBER"))?;
        Ok(if node == own {
            Self::Local(Target::Session(id))
        } else {
            Self::Remote(RemoteSession { node: node.to_owned(), id })
        })
    }
}

/// Why a command was not done: a code as in HTTP, and a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommandError {
    pub(crate) code: u16,
    pub(crate) why: Cow<'static, str>,
}

impl CommandError {
    pub(crate) fn new(code: u16, why: impl Into<Cow<'static, str>>) -> Self {
        Self { code, why: why.into() }
    }

    /// Returns the error of a command that is not valid.
    pub(crate) const fn invalid(why: &'static str) -> Self {
        Self { code: 400, why: Cow::Borrowed(why) }
    }

    /// Returns the error of a command for a session that is not there.
    pub(crate) const fn ended() -> Self {
        Self { code: 404, why: Cow::Borrowed("the session has ended") }
    }

    /// Returns the error of a command that its session did not accept.
    pub(crate) const fn not_taken() -> Self {
        Self { code: 404, why: Cow::Borrowed("the session has ended, or its outbox is full") }
    }

    /// Returns the error of an invalid name of a user or a group.
    pub(crate) const fn name() -> Self {
        Self::invalid(
            "a name of a user or a group has 1 to 200 bytes of UTF-8, without control characters and spaces at its ends",
        )
    }
}

impl From<RequestError> for CommandError {
    fn from(error: RequestError) -> Self {
        let code = match error {
            RequestError::Closed => 404,
            RequestError::TimedOut => 504,
            RequestError::Unsupported => 501,
            RequestError::Refused(_) | RequestError::Serialize(_) => 400,
            RequestError::TooMany { .. } | RequestError::Full => 429,
            RequestError::NoIds | RequestError::Moved => 503,
        };
        Self::new(code, error.to_string())
    }
}

/// What a command has besides its verb and its target.
#[derive(Clone, Debug)]
pub(crate) struct CommandDetails<'a> {
    pub(crate) payload: Bytes,
    pub(crate) route: Option<&'a str>,
    /// How long to wait for the response to a request, in milliseconds.
    pub(crate) timeout: Option<&'a str>,
}

impl CommandDetails<'_> {
    /// Returns the command for sessions, for any verb but [`Verb::Request`].
    ///
    /// # Errors
    /// Returns an error if something is missing or not valid.
    pub(crate) fn command(&self, verb: Verb, one_session: bool) -> Result<Command, CommandError> {
        use CommandError as Error;
        let text = || {
            str::from_utf8(&self.payload).map_err(|_| Error::invalid("the payload is not UTF-8: send text"))
        };
        let user = || User::new(text()?).map_err(|_| Error::name());
        let group = || Group::new(text()?).map_err(|_| Error::name());
        Ok(match verb {
            Verb::Push => Command::Push(Message::push(self.route()?, self.payload.clone())),
            Verb::Kick => Command::Kick(Reason::new(text()?)),
            Verb::Join => Command::Join(group()?),
            Verb::Leave => Command::Leave(group()?),
            Verb::Request => return Err(Error::invalid("a request goes to one session only")),
            Verb::Bind | Verb::Unbind | Verb::Set if !one_session => {
                return Err(Error::invalid("bind, unbind and set go to one session only"));
            }
            Verb::Bind => Command::Bind(user()?),
            Verb::Unbind => Command::Unbind,
            Verb::Set => {
                let settings: BTreeMap<String, Option<String>> = serde_json::from_slice(&self.payload)
                    .map_err(|_| Error::invalid("the payload is no JSON object of strings and nulls"))?;
                Command::Set(settings)
            }
        })
    }

    /// Sends a request to a session of this node. The request has its place among the messages to
    /// the client when this returns; only the response is still to come.
    ///
    /// # Errors
    /// Returns an error if something is missing or not valid, or the request cannot be sent.
    pub(crate) fn request(&self, id: SessionId, sessions: &Sessions) -> Result<ResponseWait, CommandError> {
        let (route, timeout) = (self.route()?, self.timeout()?);
        let session = sessions.get(id).ok_or(CommandError::ended())?;
        let request = session.request_bytes(route, self.payload.clone());
        let request = match timeout {
            Some(timeout) => request.timeout(timeout),
            None => request,
        };
        Ok(request.begin()?)
    }

    /// Returns the route of a push or a request.
    ///
    /// # Errors
    /// Returns an error if there is none.
    pub(crate) fn route(&self) -> Result<&str, CommandError> {
        self.route.ok_or(CommandError::invalid(
            "a push and a request have a route, in the header Wireplug-Route or the field `route`",
        ))
    }

    /// Returns how long the sender waits for the response to a request.
    ///
    /// # Errors
    /// Returns an error if the time is not valid.
    pub(crate) fn timeout(&self) -> Result<Option<Duration>, CommandError> {
        match self.timeout.map(str::parse) {
            None => Ok(None),
            Some(Ok(ms @ 1..)) => Ok(Some(Duration::from_millis(ms))),
            Some(_) => Err(CommandError::invalid(
                "a time-out, in the header Wireplug-Timeout or the field `timeout`, is a number of milliseconds, \
                 at least 1",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verb_has_its_name() {
        for (name, verb) in VERBS {
            assert_eq!((Verb::read(name), verb.name()), (Ok(verb), name));
        }
        assert_eq!(Verb::read("shout").map_err(|error| error.code), Err(400));
    }

    #[test]
    fn a_target_is_read_with_any_name() {
        let read = |kind: &str, name: &str| Addressee::read(kind, name, "n-1");
        let group = Target::Group(Group::new("a.b/ö 1").expect("a name"));
        assert_eq!(read("group", "a.b/ö 1"), Ok(Addressee::Local(group)));
        assert_eq!(read("session", "n-1.7"), Ok(Addressee::Local(Target::Session(SessionId(7)))));
        let other = RemoteSession { node: "n-2".to_owned(), id: SessionId(7) };
        assert_eq!(read("session", "n-2.7"), Ok(Addressee::Remote(other)));
        for (kind, name) in [
            ("session", "7"),
            ("session", "n-1.x"),
            ("user", ""),
            ("group", " a"),
            ("all", "x"),
            ("room", "1"),
        ] {
            assert_eq!(read(kind, name).map_err(|error| error.code), Err(400), "{kind} {name}");
        }
    }

    #[test]
    fn what_a_verb_needs_is_asked_for() {
        let given =
            |payload: &'static [u8]| CommandDetails { payload: payload.into(), route: None, timeout: None };
        let why = |verb, payload, one| given(payload).command(verb, one).expect_err("it is not valid").why;
        assert!(why(Verb::Push, b"{}", false).contains("Wireplug-Route"));
        assert!(why(Verb::Kick, b"\xff", false).contains("not UTF-8"));
        assert!(why(Verb::Join, b"", false).contains("1 to 200 bytes"));
        assert!(why(Verb::Bind, b"ann", false).contains("one session only"));
        assert!(why(Verb::Set, b"[]", true).contains("JSON object"));
        for (text, time) in [("1", Some(1)), ("0", None), ("", None), ("1.5", None), ("\"9\"", None)] {
            let given = CommandDetails { timeout: Some(text), ..given(b"") };
            let time = time.map(|ms| Some(Duration::from_millis(ms)));
            assert_eq!(given.timeout().ok(), time, "{text:?}");
        }
    }
}
