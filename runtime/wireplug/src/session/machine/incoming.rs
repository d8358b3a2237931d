//! The input of a session: packets from the client, the application's answers to hellos, and time.

use super::{Action, Input, Machine};
use crate::codec::Instant;

impl Machine {
    /// Takes bytes from the client off the front of `input`, which is a piece of a stream or one
    /// message of a message transport, which may be text. Packets gather until [`Machine::decode`].
    /// A full batch is decoded at once, and the rest of the input stays for the next call. So at
    /// most one batch is decoded before the caller checks whether the session goes on. Returns
    /// whether further input may follow before that.
    pub(crate) fn receive(&mut self, input: &mut &[u8], is_text: bool, now: Instant) -> bool {
        if self.is_in_batch() || self.driver.tls_begins() {
            return false;
        }
        if self.closed().is_some() || !self.driver.is_working() {
            *input = &[];
            return true;
        }
        let gathers = match &mut self.input {
            Input::Packets(undecoded) => undecoded.cut(input, is_text),
            Input::Stream(stream) => stream.take(input),
        };
        if !gathers && !self.driver.is_asleep() {
            self.decode(now);
        }
        // What follows the end of a session is read and counted all the same: the client may also
        // be over its rates.
        gathers || self.closed().is_some()
    }

    /// Takes note that the client wants an acknowledgement of the message that is received next,
    /// and decoded by itself. A request is acknowledged by its response, any other message as soon
    /// as it is decoded.
    pub(crate) fn want_ack(&mut self, ack: u64) {
        self.effects.acks.want(ack);
    }

    /// Decodes the packets that have gathered. If the codec is called for each packet, this decodes
    /// only the next one, and the packets behind it wait for the next call. Packets behind a hello
    /// wait until it is answered.
    pub(crate) fn decode(&mut self, now: Instant) {
        if self.driver.hello_is_open() || self.driver.tls_begins() {
            return;
        }
        if self.driver.is_working() {
            match &self.input {
                Input::Packets(_) => self.decode_packets(now),
                Input::Stream(_) => self.decode_stream(now),
            }
        }
        if self.is_in_batch() {
            return;
        }
        if let Some(ack) = self.effects.acks.take_current() {
            self.effects.acknowledge(ack);
        }
        let broken = match &mut self.input {
            Input::Packets(undecoded) => undecoded.take_broken(),
            Input::Stream(stream) => stream.take_broken(),
        };
        if let Some(error) = broken {
            self.effects.close(error.into());
        }
    }

    fn decode_packets(&mut self, now: Instant) {
        let Input::Packets(undecoded) = &mut self.input else { return };
        let Some(packets) = undecoded.next_batch(self.batch) else { return };
        let count = packets.len();
        let decoded = self.driver.decode(packets, now, |_, event| self.effects.take(event));
        // After a fault nothing is decoded any more.
        let done = decoded.as_ref().map_or(count, |&decoded| decoded);
        self.effects.tally.packets_in += done as u64;
        undecoded.forget(done);
        self.settle(decoded);
    }

    fn decode_stream(&mut self, now: Instant) {
        let Input::Stream(stream) = &mut self.input else { return };
        let Some((bytes, passed_before)) = stream.next_call() else { return };
        let rules = stream.rules;
        let cut = self.driver.decode_stream(bytes, rules, now, |_, event| self.effects.take(event));
        self.effects.tally.bytes_again += passed_before as u64;
        match &cut {
            Ok(cut) => {
                self.effects.tally.packets_in += cut.packets as u64;
                stream.advance(cut);
            }
            Err(_) => stream.discard(),
        }
        if self.driver.tls_begins() {
            self.effects.actions.push_back(Action::StartTls);
        }
        self.settle(cut);
    }

    /// Takes out the bytes that came behind the codec's wish for TLS. They are TLS.
    pub(crate) fn take_tls(&mut self) -> Vec<u8> {
        match &mut self.input {
            Input::Packets(_) => Vec::new(),
            Input::Stream(stream) => stream.take_rest(),
        }
    }

    /// Whether TLS begins, so that the codec is called for nothing before [`Machine::secured`].
    pub(crate) fn tls_begins(&self) -> bool {
        self.driver.tls_begins() && self.driver.is_working()
    }

    /// Tells the codec that TLS has begun, with the attributes that TLS added.
    pub(crate) fn secured(&mut self, attributes: &[(String, String)], now: Instant) {
        if let Input::Stream(stream) = &mut self.input {
            stream.rules.may_start_tls = false;
        }
        let secured = self.driver.secured(attributes, now, |_, event| self.effects.take(event));
        self.settle(secured);
    }

    /// Tells the codec on which requests to the client the application has given up. Stops when
    /// `goes_on` returns false after a call of the codec.
    pub(crate) fn pass_abandoned(&mut self, now: Instant, goes_on: impl Fn() -> bool) {
        while let Some(id) = self.effects.outbox.take_abandoned() {
            let abandoned = self.driver.abandoned(id, now, |_, event| self.effects.take(event));
            // A codec that does not export `requests` does not have to know.
            self.settle(abandoned);
            if !goes_on() {
                return;
            }
        }
    }

    /// Whether the codec has still to learn of requests to the client on which the application has
    /// given up.
    pub(crate) fn has_abandoned(&self) -> bool {
        self.effects.outbox.has_abandoned()
    }

    /// Whether a hello waits for [`Machine::answer`]. Nothing is decoded until then.
    pub(crate) fn hello_is_open(&self) -> bool {
        self.driver.hello_is_open() && self.driver.is_working()
    }

    /// Whether packets of a batch wait for the next call of [`Machine::decode`]. Nothing is
    /// received until all of them are decoded.
    pub(crate) fn is_in_batch(&self) -> bool {
        self.driver.is_working()
            && match &self.input {
                Input::Packets(undecoded) => undecoded.is_in_the_middle(),
                Input::Stream(stream) => stream.is_in_the_middle(),
            }
    }

    /// Hands the application's answer to the hello to the codec.
    pub(crate) fn answer(&mut self, status: u16, body: &[u8], now: Instant) {
        let answered = self.driver.answer(status, body, now, |_, event| self.effects.take(event));
        self.settle(answered);
    }

    /// Calls the codec if its timer is due at this time. Returns false if it was not due.
    pub(crate) fn on_time(&mut self, now: Instant) -> bool {
        let due = self.deadline().is_some_and(|at| at <= now.session_ms);
        if due {
            let ticked = self.driver.on_timer(now, |_, event| self.effects.take(event));
            self.settle(ticked);
        }
        due
    }

    /// Returns when [`Machine::on_time`] is due, in milliseconds of session time.
    pub(crate) fn deadline(&self) -> Option<u64> {
        self.driver.timer().filter(|_| self.closed().is_none())
    }
}
