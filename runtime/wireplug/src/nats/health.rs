//! The state of a node's connection to NATS: whether the node is connected, and which of its
//! subscriptions are in effect.
//!
//! This module does no I/O. It takes the events of the client library and the time, and uses no
//! socket and no timer. A subscription that the server removed or refused is made again until the
//! server accepts it. The server reports when it refuses a subscription, but not when it accepts
//! one. So a subscription counts as accepted if it was made again and [`QUIET`] has passed without
//! a refusal.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

/// How long after a refusal a subscription is made again. The server logs each refusal, so a
/// shorter time would fill its log.
const AGAIN: Duration = Duration::from_secs(2);

/// How long after a subscription was made again the server may still refuse it. It is far more than
/// a round trip.
const QUIET: Duration = Duration::from_secs(1);

/// How many events the client library keeps until they are handled. It drops further events. If
/// this many come within a second, a refusal may have been among the dropped ones.
const EVENTS: u32 = 128;

/// The shortest interval at which subscriptions are made again because events may have been
/// dropped.
const DOUBT: Duration = Duration::from_secs(30);

/// A subscription of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subscription {
    /// Replies of services to requests of clients.
    Replies,
    /// Commands of services and other nodes.
    Commands,
    /// Messages between nodes.
    Peers,
}

impl Subscription {
    const ALL: [Self; 3] = [Self::Replies, Self::Commands, Self::Peers];
}

/// What a node can do over NATS at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reach {
    /// The number of the connection, or `None` while there is no connection.
    pub(super) connection: Option<u64>,
    /// Whether replies to requests would be received.
    hears_replies: bool,
    /// When each subscription must be made again, if it must.
    again: [Option<Instant>; 3],
}

impl Reach {
    /// Returns the connection on which a request can be answered, if there is one.
    pub(super) fn for_requests(&self) -> Option<u64> {
        self.connection.filter(|_| self.hears_replies)
    }

    /// Returns when a subscription must be made again, or `None` if that is not necessary as far as
    /// is known.
    pub(super) fn again(&self, subscription: Subscription) -> Option<Instant> {
        self.again[subscription as usize]
    }
}

/// The state of a subscription.
enum Standing {
    Held,
    /// A refusal may have been missed.
    Doubted {
        again: Instant,
    },
    Refused {
        why: String,
        again: Instant,
    },
    /// Made again, and not refused so far.
    Settling {
        why: String,
        until: Instant,
    },
}

/// An error about a permission or a limit that the server sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ServerSaid<'a> {
    /// The server removed or refused the subscription to this subject.
    SubscriptionRefused(&'a str),
    /// The server refused a subscription, and did not say which.
    TooManySubscriptions,
    /// The server dropped a message that was published.
    PublishRefused,
    Other,
}

impl<'a> ServerSaid<'a> {
    /// Parses the text of an error of nats-server.
    pub(super) fn read(error: &'a str) -> Self {
        let lower = error.to_ascii_lowercase();
        if lower.starts_with("permissions violation for publish") {
            return Self::PublishRefused;
        }
        if lower.starts_with("maximum subscriptions exceeded") {
            return Self::TooManySubscriptions;
        }
        if lower.starts_with("permissions violation for subscription to ")
            && let Some(subject) = error.split('"').nth(1)
        {
            return Self::SubscriptionRefused(subject);
        }
        Self::Other
    }
}

/// The state of a node's connection to NATS.
pub(super) struct Health {
    connection: Option<u64>,
    /// Why there is no connection.
    failure: Option<String>,
    /// The subjects, in the order of [`Subscription::ALL`].
    subjects: [String; 3],
    standings: [Standing; 3],
    /// When the current second began, and how many events there were in it.
    events: (Instant, u32),
    doubted: Option<Instant>,
}

impl Health {
    /// Creates the state of a node that has no connection yet. `subjects` are those of replies,
    /// commands and peers.
    pub(super) fn new(subjects: [String; 3], now: Instant) -> Self {
        Self {
            connection: None,
            failure: None,
            subjects,
            standings: [const { Standing::Held }; 3],
            events: (now, 0),
            doubted: None,
        }
    }

    pub(super) fn subject(&self, subscription: Subscription) -> &str {
        &self.subjects[subscription as usize]
    }

    /// Notes the current connection, if there is one.
    pub(super) fn connection(&mut self, connection: Option<u64>) {
        if connection.is_some() {
            self.failure = None;
        }
        self.connection = connection;
    }

    /// Notes why the last try to connect failed.
    pub(super) fn failed(&mut self, why: String) {
        self.failure = Some(why);
    }

    /// Notes that the client library has connected, and has made all subscriptions again.
    pub(super) fn connected(&mut self, now: Instant) {
        for subscription in Subscription::ALL {
            self.made_again(subscription, now);
        }
    }

    /// Notes that a subscription is about to be made again.
    pub(super) fn made_again(&mut self, subscription: Subscription, now: Instant) {
        let standing = &mut self.standings[subscription as usize];
        *standing = match std::mem::replace(standing, Standing::Held) {
            Standing::Held | Standing::Doubted { .. } => Standing::Held,
            Standing::Refused { why, .. } | Standing::Settling { why, .. } => {
                Standing::Settling { why, until: now + QUIET }
            }
        };
    }

    /// Notes that a subscription is not in effect.
    pub(super) fn refused(&mut self, subscription: Subscription, why: &str, now: Instant) {
        let why = why.to_owned();
        self.standings[subscription as usize] = Standing::Refused { why, again: now + AGAIN };
    }

    /// Notes an error that the server sent.
    pub(super) fn server_said(&mut self, error: &str, now: Instant) {
        for subscription in Subscription::ALL {
            let concerns = match ServerSaid::read(error) {
                ServerSaid::SubscriptionRefused(subject) => subject == self.subject(subscription),
                ServerSaid::TooManySubscriptions => true,
                ServerSaid::PublishRefused | ServerSaid::Other => false,
            };
            if concerns {
                self.refused(subscription, error, now);
            }
        }
    }

    /// Notes that there was an event, of whatever kind.
    pub(super) fn event(&mut self, now: Instant) {
        let (second, count) = &mut self.events;
        if now - *second >= Duration::from_secs(1) {
            (*second, *count) = (now, 0);
        }
        *count += 1;
        if *count == EVENTS && self.doubted.is_none_or(|at| now - at >= DOUBT) {
            self.doubted = Some(now);
            for standing in &mut self.standings {
                if let Standing::Held = standing {
                    *standing = Standing::Doubted { again: now + AGAIN };
                }
            }
        }
    }

    /// Notes that time has passed.
    pub(super) fn tick(&mut self, now: Instant) {
        for standing in &mut self.standings {
            if let Standing::Settling { until, .. } = standing
                && *until <= now
                && self.connection.is_some()
            {
                *standing = Standing::Held;
            }
        }
    }

    pub(super) fn reach(&self) -> Reach {
        let again = |which: Subscription| match self.standings[which as usize] {
            Standing::Doubted { again } | Standing::Refused { again, .. } => Some(again),
            Standing::Held | Standing::Settling { .. } => None,
        };
        Reach {
            connection: self.connection,
            hears_replies: self.unheard(Subscription::Replies).is_none(),
            again: Subscription::ALL.map(again),
        }
    }

    /// Returns why a subscription is not in effect, or `None` if it is.
    fn unheard(&self, subscription: Subscription) -> Option<&str> {
        match &self.standings[subscription as usize] {
            Standing::Held | Standing::Doubted { .. } => None,
            Standing::Refused { why, .. } | Standing::Settling { why, .. } => Some(why),
        }
    }

    /// Returns why the node does not receive all messages that it should while it is connected, or
    /// `None` if it does.
    pub(super) fn deafness(&self) -> Option<String> {
        let mut whys: Vec<_> =
            Subscription::ALL.into_iter().filter_map(|which| self.unheard(which)).collect();
        whys.dedup();
        (!whys.is_empty()).then(|| format!("a subscription does not hold: {}", whys.join("; ")))
    }

    /// Returns why the node is not ready, or `None` if it is connected and receives all messages
    /// that it should.
    pub(super) fn problem(&self) -> Option<String> {
        match (self.connection, &self.failure) {
            (Some(_), _) => self.deafness(),
            (None, Some(failure)) => Some(failure.clone()),
            (None, None) => Some("not connected".to_owned()),
        }
    }
}

impl fmt::Display for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Replies => "replies of services",
            Self::Commands => "commands of services and nodes",
            Self::Peers => "messages between nodes",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REMOVED: &str = r#"Permissions Violation for Subscription to "_INBOX.x.*" (sid "1")"#;

    fn health(now: Instant) -> Health {
        let subjects = ["_INBOX.x.*", "p.clients.>", "p.nodes.*"].map(str::to_owned);
        let mut health = Health::new(subjects, now);
        health.connection(Some(1));
        health
    }

    #[test]
    fn errors_are_read_as_servers_write_them() {
        let refused = ServerSaid::SubscriptionRefused("_INBOX.x.*");
        assert_eq!(ServerSaid::read(REMOVED), refused);
        assert_eq!(ServerSaid::read(r#"Permissions Violation for Subscription to "_INBOX.x.*""#), refused);
        assert_eq!(
            ServerSaid::read(r#"permissions violation for subscription to "a" using queue "q""#),
            ServerSaid::SubscriptionRefused("a")
        );
        assert_eq!(
            ServerSaid::read(r#"Permissions Violation for Publish to "a.b""#),
            ServerSaid::PublishRefused
        );
        assert_eq!(ServerSaid::read("maximum subscriptions exceeded"), ServerSaid::TooManySubscriptions);
        for other in ["", "\"", "Permissions Violation for Subscription to ", "Stale Connection"] {
            assert_eq!(ServerSaid::read(other), ServerSaid::Other, "{other}");
        }
    }

    #[test]
    fn a_subscription_that_was_refused_is_made_again_until_it_holds() {
        let start = Instant::now();
        let mut health = health(start);
        assert_eq!((health.problem(), health.reach().for_requests()), (None, Some(1)));
        health.server_said(REMOVED, start);
        assert!(health.problem().is_some_and(|problem| problem.contains(REMOVED)));
        let reach = health.reach();
        assert_eq!((reach.connection, reach.for_requests()), (Some(1), None));
        assert_eq!(reach.again(Subscription::Commands), None);

        // The subscription is refused once more, and then accepted.
        for refused in [true, false] {
            let again = health.reach().again(Subscription::Replies).expect("it is to be made again");
            health.made_again(Subscription::Replies, again);
            assert_eq!(health.reach().again(Subscription::Replies), None);
            if refused {
                health.server_said(REMOVED, again);
            }
            health.tick(again + QUIET / 2);
            assert!(health.problem().is_some());
            health.tick(again + QUIET);
            assert_eq!(health.problem().is_some(), refused);
        }
        assert_eq!(health.reach().for_requests(), Some(1));
    }

    #[test]
    fn a_new_connection_is_no_proof_that_a_subscription_holds() {
        let start = Instant::now();
        let mut health = health(start);
        health.server_said(REMOVED, start);
        health.connection(None);
        assert_eq!(health.problem().as_deref(), Some("not connected"));
        health.failed("authorization violation".to_owned());
        assert_eq!(health.problem().as_deref(), Some("authorization violation"));
        health.connected(start);
        health.connection(Some(2));
        assert!(health.problem().is_some() && health.reach().for_requests().is_none());
        health.tick(start + QUIET);
        assert_eq!((health.problem(), health.reach().for_requests()), (None, Some(2)));
    }

    #[test]
    fn what_the_server_does_not_name_concerns_all() {
        let start = Instant::now();
        let mut health = health(start);
        health.server_said("maximum subscriptions exceeded", start);
        assert!(health.reach().again.iter().all(Option::is_some));
        // An error about publishing to a subject concerns no subscription.
        let mut health = self::health(start);
        health.server_said(r#"Permissions Violation for Publish to "p.clients.>""#, start);
        assert_eq!((health.problem(), health.reach().again), (None, [None; 3]));
    }

    /// If events may have been dropped, subscriptions are made again, but not more often than every
    /// [`DOUBT`].
    #[test]
    fn a_flood_of_events_puts_subscriptions_in_doubt() {
        let start = Instant::now();
        let mut health = health(start);
        (1..EVENTS).for_each(|_| health.event(start));
        assert_eq!(health.reach().again, [None; 3]);
        health.event(start);
        assert_eq!(health.reach().again, [Some(start + AGAIN); 3]);
        assert_eq!((health.problem(), health.reach().for_requests()), (None, Some(1)), "it may well be fine");
        Subscription::ALL.iter().for_each(|which| health.made_again(*which, start + AGAIN));
        assert_eq!(health.reach().again, [None; 3]);
        (0..EVENTS).for_each(|_| health.event(start + AGAIN));
        assert_eq!(health.reach().again, [None; 3]);
        (0..EVENTS).for_each(|_| health.event(start + DOUBT));
        assert_ne!(health.reach().again, [None; 3]);
    }
}
