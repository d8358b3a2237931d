//! The session: which frames are allowed when, and what they mean.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::json;
use wireplug_guest::{
    Carrier, Cause, Clock, Cut, Events, Farewell, Fault, Framer, Handshake, Instant, Message, Packets, Peer,
    Role, Session,
};

use crate::connect::{Connect, VERSION};
use crate::delivery::Deliveries;
use crate::frame::{self, Frame, Progress, Scanned};
use crate::heart_beat::HeartBeat;
use crate::options::Options;
use crate::subscriptions::{self, MAX_NAME, Subscription, Subscriptions};
use crate::transactions::Transactions;
use crate::write::Form;

/// The longest receipt, in bytes. It is kept until the application has answered.
pub(crate) const MAX_RECEIPT: usize = 256;

/// The largest number of requests that wait for an answer of the application. The runtime stops
/// reading at 256 by default, and one more batch may have come by then.
pub(crate) const MAX_REQUESTS: usize = 512;

/// More bytes than the headers of an ERROR have: a reason, and an escaped receipt.
const MAX_ERROR_HEAD: usize = 2048;

/// How often the session looks whether the application has refused a frame, in milliseconds.
/// `encode` can write the ERROR but cannot close the connection behind it; `tick` can.
const REFUSAL_CHECK: u64 = 100;

/// The session of one client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) options: Rc<Options>,
    pub(crate) form: Form,
    pub(crate) max_packet: usize,
    progress: Cell<Progress>,
    pub(crate) state: State,
}

/// Everything that a session knows between two packets.
#[derive(Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct State {
    phase: Phase,
    heart_beat: HeartBeat,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) deliveries: Deliveries,
    transactions: Transactions,
    /// The receipts of the requests that the application has not answered, by the id of the
    /// request. `None`: a later request has the receipt.
    requests: BTreeMap<u64, Option<String>>,
    last_request: u64,
    /// The receipt of a DISCONNECT, which follows that of the last request.
    last_receipt: Option<String>,
}

/// How far a client has come.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
enum Phase {
    /// No CONNECT has come, or the application decides about it.
    #[default]
    New,
    Connected,
    /// The application has refused a frame with this status. The ERROR is the last frame.
    Refused(u16),
}

/// Whether the client learns that the application has handled a message.
enum Confirm {
    /// It does not: the message is a notification.
    No,
    /// It learns of a failure.
    Failure,
    /// It gets this receipt.
    Receipt(String),
}

impl Confirm {
    fn with(receipt: Option<&str>) -> Self {
        receipt.map_or(Self::No, |receipt| Self::Receipt(receipt.to_owned()))
    }
}

impl Client {
    pub(crate) fn with(options: Rc<Options>, peer: &Peer, state: State) -> Result<Self, String> {
        let form = match peer.carrier {
            Carrier::Bytes => Form::Stream,
            Carrier::Messages => Form::Messages,
            Carrier::Datagrams => return Err("STOMP needs a connection".to_owned()),
        };
        let max_packet = peer.max_packet as usize;
        Ok(Self { options, form, max_packet, progress: Cell::default(), state })
    }

    fn connect(&mut self, frame: &Frame<'_>, events: &mut Events) -> Result<(), String> {
        if !matches!(frame.command, "CONNECT" | "STOMP") {
            return Err("the first frame is not CONNECT".to_owned());
        }
        let client = Connect::read(frame)?;
        self.state.heart_beat = HeartBeat::agree(self.options.heart_beat, client.heart_beat);
        events.hello(json!(client).to_string().as_bytes());
        Ok(())
    }

    /// Takes a frame of a client that is connected, and its packet.
    fn frame(
        &mut self,
        frame: &Frame<'_>,
        packet: &[u8],
        now: Instant,
        events: &mut Events,
    ) -> Result<(), String> {
        let receipt = frame.optional("receipt", MAX_RECEIPT)?;
        match frame.command {
            "SEND" | "ACK" | "NACK" if frame.header("transaction").is_some() => {
                self.state.transactions.add(frame, packet)?;
            }
            "SEND" => {
                return self.send(frame, Confirm::with(receipt), now, events);
            }
            "ACK" | "NACK" => self.state.acknowledge(frame, events)?,
            "SUBSCRIBE" => {
                let new = self.state.subscriptions.add(frame)?.clone();
                let route = self.options.on_subscribe.clone();
                return self.report(route, &new, 1, receipt, now, events);
            }
            "UNSUBSCRIBE" => {
                let ended = self.state.subscriptions.remove(frame)?;
                self.state.deliveries.end(&ended, events);
                let route = self.options.on_unsubscribe.clone();
                return self.report(route, &ended, 0, receipt, now, events);
            }
            "BEGIN" => self.state.transactions.begin(frame)?,
            "COMMIT" => return self.commit(frame, receipt, now, events),
            "ABORT" => drop(self.state.transactions.end(frame)?),
            "DISCONNECT" => {
                if self.state.requests.is_empty() {
                    self.confirm(receipt, events);
                } else {
                    self.state.last_receipt = receipt.map(str::to_owned);
                }
                events.close_with(1000, "the client disconnected");
                return Ok(());
            }
            "CONNECT" | "STOMP" => return Err("the client is connected already".to_owned()),
            command => {
                return Err(format!("a client cannot send {:?}", frame::shown(command)));
            }
        }
        self.confirm(receipt, events);
        Ok(())
    }

    /// Passes a SEND to the application.
    fn send(
        &mut self,
        frame: &Frame<'_>,
        confirm: Confirm,
        now: Instant,
        events: &mut Events,
    ) -> Result<(), String> {
        let route = subscriptions::route(frame.required("destination", MAX_NAME)?)?;
        if [&self.options.on_subscribe, &self.options.on_unsubscribe].contains(&&Some(route.clone())) {
            // The application can trust what it learns on these routes.
            return Err("clients cannot send to this destination".to_owned());
        }
        self.pass(&route, frame.body, confirm, now, events)
    }

    fn pass(
        &mut self,
        route: &str,
        body: &[u8],
        confirm: Confirm,
        now: Instant,
        events: &mut Events,
    ) -> Result<(), String> {
        let receipt = match confirm {
            Confirm::No => {
                events.notice(route, body);
                return Ok(());
            }
            Confirm::Failure => None,
            Confirm::Receipt(receipt) => Some(receipt),
        };
        if self.state.requests.len() == MAX_REQUESTS {
            return Err(format!("more than {MAX_REQUESTS} frames with receipts wait for an answer"));
        }
        self.state.last_request += 1;
        self.state.requests.insert(self.state.last_request, receipt);
        events.request(self.state.last_request, route, body);
        self.schedule(now, events);
        Ok(())
    }

    /// Tells the application about a subscription, if it wants to know, and if the client has this
    /// number of subscriptions to the route now. The application may refuse a subscription for
    /// which the client wants a receipt.
    fn report(
        &mut self,
        to: Option<String>,
        subscription: &Subscription,
        number: usize,
        receipt: Option<&str>,
        now: Instant,
        events: &mut Events,
    ) -> Result<(), String> {
        let Subscription { id, destination, route, ack, .. } = subscription;
        let Some(to) = to.filter(|_| self.state.subscriptions.to(route).count() == number) else {
            self.confirm(receipt, events);
            return Ok(());
        };
        let body = json!({ "id": id, "destination": destination, "route": route, "ack": ack });
        self.pass(&to, body.to_string().as_bytes(), Confirm::with(receipt), now, events)
    }

    /// Takes the frames of a transaction. The receipt of the COMMIT is that of the last SEND, so
    /// the client gets it when the application has handled all of them.
    fn commit(
        &mut self,
        frame: &Frame<'_>,
        receipt: Option<&str>,
        now: Instant,
        events: &mut Events,
    ) -> Result<(), String> {
        let packets = self.state.transactions.end(frame)?;
        let mut frames = Vec::new();
        for packet in &packets {
            frames.extend(Frame::read(packet, self.max_packet)?);
        }
        let last_send = frames.iter().rposition(|frame| frame.command == "SEND");
        for (index, frame) in frames.iter().enumerate() {
            match (frame.command, receipt) {
                ("SEND", None) => self.send(frame, Confirm::No, now, events)?,
                ("SEND", Some(receipt)) if Some(index) == last_send => {
                    self.send(frame, Confirm::Receipt(receipt.to_owned()), now, events)?;
                }
                ("SEND", Some(_)) => self.send(frame, Confirm::Failure, now, events)?,
                _ => self.state.acknowledge(frame, events)?,
            }
        }
        if last_send.is_none() {
            self.confirm(receipt, events);
        }
        Ok(())
    }

    fn confirm(&self, receipt: Option<&str>, events: &mut Events) {
        if let Some(receipt) = receipt {
            self.reply("RECEIPT", &[("receipt-id", receipt)], b"", events);
        }
    }

    fn reply(&self, command: &str, headers: &[(&str, &str)], body: &[u8], events: &mut Events) {
        events.reply_with(|packet| self.form.frame(packet, command, headers, body));
    }

    /// Ends the connection with an ERROR, which names the receipt of the frame.
    fn fail(&self, reason: &str, receipt: Option<&str>, body: &[u8], events: &mut Events) {
        let mut headers = vec![("message", reason)];
        if self.state.phase == Phase::New {
            headers.push(("version", VERSION));
        }
        headers.extend(receipt.map(|receipt| ("receipt-id", receipt)));
        self.reply("ERROR", &headers, self.explanation(body), events);
        events.close(reason);
    }

    /// Returns the body of an ERROR, which is left out if it is very long.
    fn explanation<'a>(&self, body: &'a [u8]) -> &'a [u8] {
        if body.len() + MAX_ERROR_HEAD <= self.max_packet { body } else { b"" }
    }

    /// Writes the RECEIPT for a request that the application has answered, or the ERROR.
    fn answer_request(&mut self, answer: &Message<'_>, packets: &mut Packets<'_>) -> Result<(), Fault> {
        let Some(receipt) = self.state.requests.remove(&answer.id) else {
            return Err(Fault::rejected("no request has this id"));
        };
        if answer.status != 200 {
            self.state.phase = Phase::Refused(answer.status);
            let message = refusal(answer.status);
            let mut headers = vec![("message", &*message)];
            headers.extend(receipt.as_deref().map(|receipt| ("receipt-id", receipt)));
            self.form.frame(&mut packets.begin(), "ERROR", &headers, self.explanation(answer.body));
            return Ok(());
        }
        let is_last = self.state.requests.is_empty();
        let last_receipt = self.state.last_receipt.take_if(|_| is_last);
        for receipt in [receipt, last_receipt].into_iter().flatten() {
            self.form.frame(&mut packets.begin(), "RECEIPT", &[("receipt-id", &receipt)], b"");
        }
        Ok(())
    }

    /// Sets the timer to the next time at which there may be something to do.
    fn schedule(&self, now: Instant, events: &mut Events) {
        let refusal = (!self.state.requests.is_empty()).then_some(REFUSAL_CHECK);
        if let Some(wait) = self.state.heart_beat.wait(now).into_iter().chain(refusal).min() {
            events.timer(u32::try_from(wait).unwrap_or(u32::MAX));
        }
    }
}

fn refusal(status: u16) -> String {
    format!("the application answered with status {status}")
}

impl Framer for Client {
    /// A mistake in the framing is the end of a packet, so that `decode` can answer it.
    fn cut(&self, bytes: &[u8]) -> Result<Cut, Fault> {
        let mut progress = self.progress.take();
        Ok(match frame::scan(bytes, self.max_packet, &mut progress) {
            Scanned::Need(total) => {
                self.progress.set(progress);
                Cut::Need(total)
            }
            Scanned::Whole(length) | Scanned::Wrong(length, _) => Cut::Packet(length),
        })
    }
}

impl Session for Client {
    fn decode(&mut self, packet: &[u8], now: Instant, events: &mut Events) -> Result<(), Fault> {
        if let Phase::Refused(status) = self.state.phase {
            events.close(&refusal(status));
            return Ok(());
        }
        self.state.heart_beat.seen(now);
        let (packet, read) = match (self.form, packet) {
            (Form::Messages, [_, message @ ..]) => (message, Frame::read_message(message, self.max_packet)),
            _ => (packet, Frame::read(packet, self.max_packet)),
        };
        let frame = match read {
            Ok(Some(frame)) => frame,
            Ok(None) => return Ok(()),
            Err(reason) => {
                self.fail(&reason, None, b"", events);
                return Ok(());
            }
        };
        let taken = match self.state.phase {
            Phase::New => self.connect(&frame, events),
            _ => self.frame(&frame, packet, now, events),
        };
        if let Err(reason) = taken {
            let receipt = frame.header("receipt").filter(|receipt| receipt.len() <= MAX_RECEIPT);
            self.fail(&reason, receipt, b"", events);
        }
        Ok(())
    }

    fn encode(&mut self, message: &Message, _now: Instant, packets: &mut Packets) -> Result<(), Fault> {
        if matches!(self.state.phase, Phase::Refused(_)) {
            return Err(Fault::rejected("the client has got its last frame, an ERROR"));
        }
        match message.role {
            Role::Notice => self.push(message, packets),
            Role::Request => self.deliver(message, packets),
            Role::Response => self.answer_request(message, packets),
        }
    }
}

impl Handshake for Client {
    fn answer(&mut self, status: u16, body: &[u8], now: Instant, events: &mut Events) {
        let reason = match status {
            200 => {
                self.state.phase = Phase::Connected;
                let interval = self.options.heart_beat;
                let heart_beat = format!("{interval},{interval}");
                let headers = [("version", VERSION), ("heart-beat", &heart_beat), ("server", "wireplug")];
                self.reply("CONNECTED", &headers, b"", events);
                events.established();
                self.state.heart_beat.start(now);
                self.schedule(now, events);
                return;
            }
            500.. => "the server is unavailable",
            _ => "the login is refused",
        };
        self.fail(reason, None, body, events);
    }
}

impl Clock for Client {
    fn tick(&mut self, now: Instant, events: &mut Events) {
        match self.state.phase {
            Phase::New => return,
            Phase::Refused(status) => return events.close(&refusal(status)),
            Phase::Connected => {}
        }
        if self.state.heart_beat.is_silent(now) {
            self.fail("the client sent no heart-beat in time", None, b"", events);
            return;
        }
        if self.state.heart_beat.take_due(now) {
            events.reply_with(|packet| self.form.heart_beat(packet));
        }
        self.schedule(now, events);
    }
}

impl Farewell for Client {
    fn farewell(&mut self, cause: Cause, reason: &str, _now: Instant, events: &mut Events) {
        if matches!(self.state.phase, Phase::Refused(_)) {
            return;
        }
        let message = match cause {
            Cause::Kicked => "the application ended the connection",
            Cause::Displaced => "the user has a newer connection",
            Cause::Replaced => "the server's codec was replaced",
            Cause::Shutdown => "the server stops",
        };
        self.reply("ERROR", &[("message", message)], self.explanation(reason.as_bytes()), events);
    }
}
