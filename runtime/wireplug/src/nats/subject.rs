//! Writes and parses subjects, without I/O. No other module turns the input of a client into a
//! subject.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

#[cfg(feature = "control")]
use crate::server::client_commands::RemoteSession;
use crate::server::client_commands::{Addressee, CommandError, Verb};
use crate::server::service_headers::address;
use crate::session::{SessionId, Target};

/// The longest route that is published, in bytes.
const MAX_ROUTE: usize = 200;

/// The characters that are percent-encoded in a subject. Dots are among them, because a name may be
/// a single dot, which is not a token. Names are parsed with encoded dots and with plain ones.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'@').remove(b':');

/// The subjects of the node `node` below one prefix.
#[derive(Clone, Debug)]
pub(super) struct Subjects {
    pub(super) prefix: String,
    pub(super) node: String,
}

impl Subjects {
    /// Returns the subject on which a request on a route is published, for any instance of its
    /// service or for the given one. Returns `None` if the route cannot be part of a subject.
    pub(super) fn request(&self, route: &str, instance: Option<&str>) -> Option<String> {
        if !is_route(route) {
            return None;
        }
        let prefix = &self.prefix;
        Some(match instance {
            Some(instance) => format!("{prefix}.instances.{instance}.{route}"),
            None => format!("{prefix}.requests.{route}"),
        })
    }

    /// Returns the subject on which the hellos of clients are published for a service. No route
    /// leads there.
    pub(super) fn hello(&self, service: &str) -> String {
        format!("{}.hello.{service}", self.prefix)
    }

    /// Returns the subject to which a node subscribes for commands.
    pub(super) fn clients(&self) -> String {
        format!("{}.clients.>", self.prefix)
    }

    /// Returns the subject on which a command is published.
    pub(super) fn command(&self, verb: Verb, target: &Target) -> String {
        let (prefix, verb) = (&self.prefix, verb.name());
        match target {
            Target::Session(id) => format!("{prefix}.clients.{verb}.session.{}", self.address(*id)),
            Target::User(user) => format!("{prefix}.clients.{verb}.user.{}", encode(user)),
            Target::Group(group) => format!("{prefix}.clients.{verb}.group.{}", encode(group)),
            Target::All => format!("{prefix}.clients.{verb}.all"),
        }
    }

    /// Returns the subject on which a command for a session of another node is published.
    #[cfg(feature = "control")]
    pub(super) fn remote_command(&self, verb: Verb, session: &RemoteSession) -> String {
        let RemoteSession { node, id } = session;
        format!("{}.clients.{}.session.{}", self.prefix, verb.name(), address(node, *id))
    }

    /// Parses the subject of a command, which a node wrote by [`Subjects::command`], or a service.
    ///
    /// # Errors
    /// Returns an error if the subject is not that of a command. The error says what is wrong.
    pub(super) fn read_command(&self, subject: &str) -> Result<(Verb, Addressee), CommandError> {
        let rest = subject.strip_prefix(&self.prefix).and_then(|rest| rest.strip_prefix(".clients."));
        let (verb, target) = rest
            .and_then(|rest| rest.split_once('.'))
            .ok_or(CommandError::invalid("a subject below `clients` is clients.VERB.TARGET"))?;
        let verb = Verb::read(verb)?;
        let (kind, name) = target.split_once('.').unwrap_or((target, ""));
        let name = decode(name).ok_or(CommandError::name())?;
        Ok((verb, Addressee::read(kind, &name, &self.node)?))
    }

    /// Returns the address by which services address a session of this node.
    pub(super) fn address(&self, id: SessionId) -> String {
        address(&self.node, id)
    }

    /// Returns the subject on which an event of a session is published.
    pub(super) fn event(&self, name: &str) -> String {
        format!("{}.events.{name}", self.prefix)
    }

    /// Returns the subject of messages between nodes. `what` is the kind of message, or `*`.
    pub(super) fn nodes(&self, what: &str) -> String {
        format!("{}.nodes.{what}", self.prefix)
    }
}

/// Returns whether a route can be the end of a subject. No other route may lead to the same
/// subject.
fn is_route(route: &str) -> bool {
    let is_segment = |token: &str| {
        let forbidden = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '*' | '>');
        !token.is_empty() && !token.contains(forbidden)
    };
    route.len() <= MAX_ROUTE && route.contains('.') && route.split('.').all(is_segment)
}

/// Returns whether the name of an instance or a service can be a token of a subject.
pub(crate) fn is_token(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !name.is_empty() && name.len() <= MAX_ROUTE && name.bytes().all(plain)
}

fn encode(name: &str) -> String {
    utf8_percent_encode(name, ENCODED).to_string()
}

fn decode(name: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(name).decode_utf8().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::server::client_commands::{RemoteSession, VERBS};
    use crate::session::{Group, User};

    fn subjects() -> Subjects {
        Subjects { prefix: "p.q".to_owned(), node: "n-1".to_owned() }
    }

    /// Returns whether a NATS server takes a text as one subject, without wildcards.
    fn is_plain_subject(subject: &str) -> bool {
        let bad = |c: char| c.is_whitespace() || c.is_control();
        !subject.contains(bad) && subject.split('.').all(|token| !matches!(token, "" | "*" | ">"))
    }

    fn target() -> impl Strategy<Value = Target> {
        let name = "[^\\p{Cc}\\s]{1,20}";
        prop_oneof![
            any::<u64>().prop_map(|id| Target::Session(SessionId(id))),
            name.prop_map(|name| Target::User(User::new(&name).expect("a name"))),
            name.prop_map(|name| Target::Group(Group::new(&name).expect("a name"))),
            Just(Target::All),
        ]
    }

    proptest! {
        #[test]
        fn a_route_reaches_its_own_subject_or_none(route in "[a-z.*> \\r\\n\u{e4}$]{0,12}|chat\\..*") {
            if let Some(subject) = subjects().request(&route, None) {
                prop_assert!(is_plain_subject(&subject), "{subject:?}");
                prop_assert_eq!(subject, format!("p.q.requests.{route}"));
            }
        }

        #[test]
        fn commands_are_read_as_they_were_written(verb in prop::sample::select(VERBS.to_vec()), target in target()) {
            let subject = subjects().command(verb.1, &target);
            prop_assert!(is_plain_subject(&subject), "{subject:?}");
            prop_assert_eq!(subjects().read_command(&subject), Ok((verb.1, Addressee::Local(target))));
        }

        #[test]
        fn no_subject_is_read_with_a_panic(rest in ".{0,30}") {
            let _ = subjects().read_command(&format!("p.q.clients.{rest}"));
        }
    }

    #[test]
    fn routes_that_could_be_another_subject_are_none() {
        let routes = [
            "",
            "chat",
            "chat.",
            ".chat",
            "chat..x",
            "chat.*",
            "chat.>",
            "chat.a>",
            "chat.a b",
            "chat.\u{85}",
        ];
        for route in routes {
            assert_eq!(subjects().request(route, None), None, "{route:?}");
        }
        assert_eq!(subjects().request(&format!("chat.{}", "x".repeat(196)), None), None);
        let subject = subjects().request("battle.fight.hit", Some("b7"));
        assert_eq!(subject.as_deref(), Some("p.q.instances.b7.battle.fight.hit"));
    }

    #[test]
    fn what_services_write_by_hand_is_read() {
        let read = |rest: &str| subjects().read_command(&format!("p.q.clients.{rest}"));
        let user =
            |name: &str| Ok((Verb::Push, Addressee::Local(Target::User(User::new(name).expect("a name")))));
        assert_eq!(read("push.user.ann@example.com"), user("ann@example.com"));
        assert_eq!(read("push.user.room%201%2A"), user("room 1*"));
        let other = RemoteSession { node: "other".to_owned(), id: SessionId(7) };
        assert_eq!(read("kick.session.other.7"), Ok((Verb::Kick, Addressee::Remote(other.clone()))));
        #[cfg(feature = "control")]
        assert_eq!(subjects().remote_command(Verb::Kick, &other), "p.q.clients.kick.session.other.7");
        for wrong in [
            "push",
            "shout.all",
            "push.session.7",
            "push.session.n-1.x",
            "push.user.",
            "push.user.%FF",
            "push.all.x",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
