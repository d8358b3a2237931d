//! A connection that speaks Pomelo, made for load: it copies no message and knows no request.

use std::pin::Pin;
use std::time::Duration;

use rustix::io::Errno;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use wireplug_pomelo::client::{Client, Incoming};
use wireplug_pomelo::message::{self, Kind, Parts};
use wireplug_pomelo::package;

use super::super::link::{Link, Target};
use super::tally::{Cause, Failure, shown};

/// How often a connection looks at the time at least: for heartbeats, and answers that do not come.
const TICK: Duration = Duration::from_secs(1);

pub(super) struct Wire {
    link: Link,
    /// What is to be sent.
    out: Vec<u8>,
    /// What came and was not read yet.
    received: Vec<u8>,
    /// Routes with their codes, as the server sent them.
    dictionary: Value,
    /// How often to send a heartbeat, and when next.
    heartbeat: Option<(Duration, Instant)>,
    tick: Pin<Box<Sleep>>,
}

/// A route as it goes over one connection.
pub(super) struct Route {
    text: String,
    code: Option<u16>,
}

impl Route {
    fn on_wire(&self) -> message::Route<'_> {
        self.code.map_or(message::Route::Text(self.text.as_bytes()), message::Route::Code)
    }

    /// Whether a message has this route.
    pub(super) fn is(&self, other: message::Route<'_>) -> bool {
        other == self.on_wire() || other == message::Route::Text(self.text.as_bytes())
    }
}

impl Wire {
    /// Connects and shakes hands.
    pub(super) async fn open(target: &Target, patience: Duration) -> Result<Self, Failure> {
        let late =
            |cause, what| move |_| Failure::new(cause, format!("{what} within {} ms", patience.as_millis()));
        let link = timeout(patience, Link::connect(target))
            .await
            .map_err(late(Cause::Connect, "no connection"))?
            .map_err(|error| Failure::new(Cause::Connect, explain(&error)))?;
        timeout(patience, Self::shake_hands(link))
            .await
            .map_err(late(Cause::Handshake, "no answer to the handshake"))?
    }

    async fn shake_hands(mut link: Link) -> Result<Self, Failure> {
        let failure = |what: String| Failure::new(Cause::Handshake, what);
        let (mut client, mut incoming) = (Client::new(), Vec::new());
        let (mut out, mut received) = (Vec::new(), Vec::new());
        client.connect(None, &mut out);
        // The answer alone is the client's; what comes behind it is read as under load.
        let answer = loop {
            if let Some((_, _, rest)) = package::split(&received) {
                break received.len() - rest.len();
            }
            match link.exchange(&mut out, &mut received).await {
                Ok(0) => return Err(failure("the server closed the connection".into())),
                Ok(_) => {}
                Err(error) => return Err(failure(format!("{error:#}"))),
            }
        };
        client
            .receive(&received[..answer], &mut out, &mut incoming)
            .map_err(|error| failure(error.to_string()))?;
        received.drain(..answer);
        let mut sys = match incoming.pop() {
            Some(Incoming::Ready { sys, .. }) => sys,
            Some(Incoming::Refused { code, .. }) => {
                return Err(failure(format!("refused with code {code}")));
            }
            other => return Err(failure(format!("answered with {other:?}"))),
        };
        let now = Instant::now();
        Ok(Self {
            link,
            out,
            received,
            dictionary: sys["dict"].take(),
            heartbeat: client.heartbeat_interval().map(|interval| (interval, now + interval)),
            tick: Box::pin(sleep_until(now)),
        })
    }

    /// A route as text, or as its code if the server has sent one.
    pub(super) fn route(&self, text: &str) -> Route {
        let code = self.dictionary.get(text).and_then(Value::as_u64).and_then(|code| code.try_into().ok());
        Route { text: text.to_owned(), code }
    }

    /// Adds a request to what is to be sent. The arguments were checked to fit a package.
    pub(super) fn request(&mut self, id: u32, route: &Route, body: &[u8]) {
        package::write(package::Kind::Data, &mut self.out, |out| {
            message::write_head(Kind::Request, id.into(), route.on_wire(), out);
            out.extend_from_slice(body);
        })
        .expect("routes and bodies were checked");
    }

    /// Sends what is to be sent, and waits: for something from the server, a poke if one matters,
    /// or the next tick.
    pub(super) async fn wait(&mut self, poke: Option<&Notify>) -> Result<(), Failure> {
        let poked = async {
            match poke {
                Some(poke) => poke.notified().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            count = self.link.exchange(&mut self.out, &mut self.received) => match count {
                Ok(0) => Err(Failure::new(Cause::Closed, "the server closed the connection")),
                Ok(_) => Ok(()),
                Err(error) => Err(Failure::new(Cause::Closed, format!("{error:#}"))),
            },
            () = poked => Ok(()),
            () = &mut self.tick => {
                self.beat();
                Ok(())
            }
        }
    }

    /// Sends a heartbeat when it is due, and sets the next tick.
    fn beat(&mut self) {
        let now = Instant::now();
        let mut next = now + TICK;
        if let Some((interval, due)) = &mut self.heartbeat {
            if *due <= now {
                package::write(package::Kind::Heartbeat, &mut self.out, |_| ()).expect("it is empty");
                *due = now + *interval;
            }
            next = next.min(*due);
        }
        self.tick.as_mut().reset(next);
    }

    /// Reads the messages that came, up to the first failure.
    pub(super) fn read(
        &mut self,
        mut each: impl FnMut(Parts<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut rest = &self.received[..];
        while let Some((kind, body, next)) = package::split(rest) {
            match package::Kind::of(kind) {
                Some(package::Kind::Data) => {
                    each(message::read(body).map_err(|what| Failure::new(Cause::Protocol, what))?)?;
                }
                Some(package::Kind::Heartbeat) => {}
                Some(package::Kind::Kick) => {
                    return Err(Failure::new(Cause::Kick, shown(body)));
                }
                _ => return Err(Failure::new(Cause::Protocol, format!("package of type {kind}"))),
            }
            rest = next;
        }
        let read = self.received.len() - rest.len();
        self.received.drain(..read);
        Ok(())
    }
}

/// What went wrong, and what to do where that is known.
fn explain(error: &anyhow::Error) -> String {
    let errno = error.root_cause().downcast_ref().and_then(Errno::from_io_error);
    let advice = match errno {
        Some(Errno::MFILE | Errno::NFILE) => "; `ulimit -n COUNT` allows more open files",
        Some(Errno::ADDRNOTAVAIL) => "; this machine has no port left for more connections to that address",
        _ => "",
    };
    format!("{error:#}{advice}")
}
