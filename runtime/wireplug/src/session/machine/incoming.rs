//! The input of a session: packets from the client, the application's answers to hellos, and time.

use super::Machine;

impl Machine {
    /// Takes bytes from the client off the front of `input`, which is a piece of a stream or one
    /// message of a message transport. Packets gather until [`Machine::decode`]. A full batch is
    /// decoded at once, and the rest of the input stays for the next call. So at most one batch is
    /// decoded before the caller checks whether the session goes on.
    pub(crate) fn receive(&mut self, input: &mut &[u8], now_ms: u64) {
        if self.is_in_batch() {
            return;
        }
        if self.closed().is_some() || !self.driver.is_working() {
            *input = &[];
        } else if !self.undecoded.cut(input) {
            self.decode(now_ms);
        }
    }

    /// Takes note that the client wants an acknowledgement of the message that is received next,
    /// and decoded by itself. A request is acknowledged by its response, any other message as soon
    /// as it is decoded.
    pub(crate) fn want_ack(&mut self, ack: u64) {
        self.effects.acks.want(ack);
    }

    /// Decodes the packets that have gathered. If the codec is called for each packet, this decodes
    /// only the next one, and the packets behind it wait for the next call.
    pub(crate) fn decode(&mut self, now_ms: u64) {
        if self.driver.is_working()
            && let Some(packets) = self.undecoded.next_batch(self.batch)
        {
            let count = packets.len();
            self.effects.tally.packets_in += count as u64;
            let decoded = self.driver.decode(packets, now_ms, |_, event| self.effects.take(event));
            self.undecoded.forget(count);
            self.settle(decoded);
        }
        if self.is_in_batch() {
            return;
        }
        if let Some(ack) = self.effects.acks.take_current() {
            self.effects.acknowledge(ack);
        }
        if let Some(error) = self.undecoded.take_broken() {
            self.effects.close(error.into());
        }
    }

    /// Whether packets of a batch wait for the next call of [`Machine::decode`]. Nothing is
    /// received until all of them are decoded.
    pub(crate) fn is_in_batch(&self) -> bool {
        self.undecoded.is_in_the_middle() && self.driver.is_working()
    }

    /// Hands the application's answer to a hello to the codec.
    pub(crate) fn answer(&mut self, status: u16, body: &[u8], now_ms: u64) {
        let answered = self.driver.answer(status, body, now_ms, |_, event| self.effects.take(event));
        self.settle(answered);
    }

    /// Calls the codec if its timer is due at this time. Returns false if it was not due.
    pub(crate) fn on_time(&mut self, now_ms: u64) -> bool {
        let due = self.deadline().is_some_and(|at| at <= now_ms);
        if due {
            let ticked = self.driver.on_timer(now_ms, |_, event| self.effects.take(event));
            self.settle(ticked);
        }
        due
    }

    /// Returns when [`Machine::on_time`] is due, in milliseconds of session time.
    pub(crate) fn deadline(&self) -> Option<u64> {
        self.driver.timer().filter(|_| self.closed().is_none())
    }
}
