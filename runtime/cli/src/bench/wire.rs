//! A connection that speaks Pomelo, made for load: it does not copy messages and does not track
//! requests.

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

/// The longest interval at which a connection checks the time, for heartbeats and for answers that
/// are overdue.
const TICK: Duration = Duration::from_secs(1);

pub(super) struct Wire {
    link: Link,
    /// The bytes to send.
    out: Vec<u8>,
    /// The bytes that came and were not read yet.
    received: Vec<u8>,
    /// The server's route dictionary: routes with their codes.
    dictionary: Value,
    /// The interval of heartbeats, and when the next one is due; `None` if the server wants none.
    heartbeat: Option<(Duration, Instant)>,
    tick: Pin<Box<Sleep>>,
}

/// A route as one connection sends it: as text, or as a code if the server has sent one.
pub(super) struct Route {
    text: String,
    code: Option<u16>,
}

impl Route {
    fn on_wire(&self) -> message::Route<'_> {
        self.code.map_or(message::Route::Text(self.text.as_bytes()), message::Route::Code)
    }

    /// Returns whether `other` is this route, as text or as the code.
    pub(super) fn is(&self, other: message::Route<'_>) -> bool {
        other == self.on_wire() || other == message::Route::Text(self.text.as_bytes())
    }
}

impl Wire {
    /// Connects and completes the handshake, each within `patience`.
    ///
    /// # Errors
    /// Returns an error if the connection or the handshake fails, or takes longer.
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
        // The client gets only the answer. The bytes after the answer are read as under load.
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

    /// Returns a route with its code, if the server has sent one.
    pub(super) fn route(&self, text: &str) -> Route {
        let code = self.dictionary.get(text).and_then(Value::as_u64).and_then(|code| code.try_into().ok());
        Route { text: text.to_owned(), code }
    }

    /// Adds a request to the bytes to send. The command has checked that routes and bodies fit a
    /// package.
    pub(super) fn request(&mut self, id: u32, route: &Route, body: &[u8]) {
        package::write(package::Kind::Data, &mut self.out, |out| {
            message::write_head(Kind::Request, id.into(), route.on_wire(), out);
            out.extend_from_slice(body);
        })
        .expect("routes and bodies were checked");
    }

    /// Sends the bytes that wait to be sent. Returns when bytes have come from the server, at a
    /// poke if `poke` is given, or at the next tick.
    ///
    /// # Errors
    /// Returns an error if the connection has ended.
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

    /// Passes the messages that came to `each`, up to the first failure.
    ///
    /// # Errors
    /// Returns an error if the server broke the protocol or kicked the client, or if `each` fails.
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

/// Describes an error, and adds what to do about it if that is known.
fn explain(error: &anyhow::Error) -> String {
    let errno = error.root_cause().downcast_ref().and_then(Errno::from_io_error);
    let advice = match errno {
        Some(Errno::MFILE | Errno::NFILE) => "; `ulimit -n COUNT` allows more open files",
        Some(Errno::ADDRNOTAVAIL) => "; this machine has no port left for more connections to that address",
        _ => "",
    };
    format!("{error:#}{advice}")
}
