//! A client that behaves: it sends numbered requests and compares each answer.

use std::io;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};
use wireplug_pomelo::client::{Client, Incoming};
use wireplug_tests::app::ECHO;
use wireplug_tests::within;

use super::link::Link;
use super::server::Place;

/// The pause between an answer and the next request. It keeps the client far below every rate.
const PAUSE: Duration = Duration::from_millis(50);

/// Sends requests over one connection until the time is over. Returns the number of answered
/// requests. Over UDP, repeats requests that are lost and opens a new session if the session is
/// lost.
///
/// # Panics
/// Panics if an answer is wrong. Panics if an answer does not come, except over UDP.
pub async fn ask(place: Place, until: Instant) -> u64 {
    let mut answered = 0;
    let loses = matches!(place, Place::Udp(_));
    while Instant::now() < until {
        let asking = ask_on(&place, until, &mut answered).await;
        if let Err(error) = asking
            && !loses
        {
            panic!("after {answered} answers: {error}");
        }
    }
    answered
}

async fn ask_on(place: &Place, until: Instant, answered: &mut u64) -> io::Result<()> {
    let mut link = Link::open(place).await?;
    if let Link::SocketIo(_) = link {
        return ask_sio(&mut link, until, answered).await;
    }
    let mut speaking = Speaking { link, protocol: Client::new(), heard: Vec::new() };
    let mut say = Vec::new();
    speaking.protocol.connect(None, &mut say);
    speaking.link.send(&say).await?;
    while !speaking.hear().await?.iter().any(|heard| matches!(heard, Incoming::Ready { .. })) {}
    while Instant::now() < until {
        let wanted = body(*answered);
        let mut say = Vec::new();
        let id = speaking.protocol.request(ECHO, &wanted, &mut say).map_err(io::Error::other)?;
        speaking.link.send(&say).await?;
        within("an answer", speaking.answer(id, &wanted)).await?;
        *answered += 1;
        sleep(PAUSE).await;
    }
    Ok(())
}

/// A client of Pomelo's protocol.
struct Speaking {
    link: Link,
    protocol: Client,
    heard: Vec<Incoming>,
}

impl Speaking {
    /// Reads, answers heartbeats, and returns what came.
    async fn hear(&mut self) -> io::Result<Vec<Incoming>> {
        let bytes = self.link.receive().await?;
        let mut say = Vec::new();
        self.protocol.receive(&bytes, &mut say, &mut self.heard).map_err(io::Error::other)?;
        if !say.is_empty() {
            self.link.send(&say).await?;
        }
        Ok(std::mem::take(&mut self.heard))
    }

    async fn answer(&mut self, wanted_id: u64, wanted: &[u8]) -> io::Result<()> {
        loop {
            for heard in self.hear().await? {
                match heard {
                    Incoming::Response { id, body, .. } if id == wanted_id => {
                        assert_eq!(body, wanted, "another answer");
                        return Ok(());
                    }
                    // Over UDP, an answer to an earlier request may come late.
                    Incoming::Response { id, .. } => assert!(id < wanted_id, "an answer to request {id}"),
                    Incoming::Heartbeat => {}
                    other => return Err(io::Error::other(format!("{other:?}"))),
                }
            }
        }
    }
}

/// Sends requests in the same way, in the protocol of Pomelo clients for Socket.IO.
async fn ask_sio(link: &mut Link, until: Instant, answered: &mut u64) -> io::Result<()> {
    while Instant::now() < until {
        let (id, wanted) = (*answered % 100 + 1, body(*answered));
        let head = [0, 0, 0, id as u8, ECHO.len() as u8];
        link.send(&[&head, ECHO.as_bytes(), &wanted].concat()).await?;
        let answer = within("an answer", link.receive()).await?;
        let answer: serde_json::Value = serde_json::from_slice(&answer)?;
        assert_eq!(answer, json!({ "id": id, "body": { "n": *answered } }), "another answer");
        *answered += 1;
        sleep(PAUSE).await;
    }
    Ok(())
}

fn body(number: u64) -> Vec<u8> {
    json!({ "n": number }).to_string().into_bytes()
}
