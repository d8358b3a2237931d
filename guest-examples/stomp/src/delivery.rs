//! Messages of the application, and their acknowledgments.
//!
//! A push expects no acknowledgment. A request of the application does: it goes to one
//! subscription, and the ACK or NACK of the client is the response.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wireplug_guest::{Events, Fault, Instant, Message, Packets, Requests};

use crate::client::{Client, State};
use crate::frame::Frame;
use crate::subscriptions::{Mode, Subscription};

/// The largest number of requests that wait for an acknowledgment. The runtime allows 64 by
/// default.
pub(crate) const MAX_DELIVERIES: usize = 1024;

/// The longest value of `ack`, in bytes: two numbers and a hyphen.
const MAX_ACK: usize = 41;

// The responses to a request of the application.
const ACKNOWLEDGED: u16 = 200;
const NOT_ACKNOWLEDGED: u16 = 406;
/// The subscription has ended before the acknowledgment.
const UNSUBSCRIBED: u16 = 410;

/// A request of the application that the client has not acknowledged.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
struct Delivery {
    request: u64,
    /// The number of the subscription.
    subscription: u64,
}

/// What the client has got.
#[derive(Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Deliveries {
    /// The number of the last MESSAGE.
    last: u64,
    /// By the number of the MESSAGE.
    open: BTreeMap<u64, Delivery>,
}

impl Deliveries {
    /// Answers the requests of a subscription that has ended.
    pub(crate) fn end(&mut self, ended: &Subscription, events: &mut Events) {
        self.answer(UNSUBSCRIBED, events, |_, delivery| delivery.subscription == ended.number);
    }

    fn answer(&mut self, status: u16, events: &mut Events, is_meant: impl Fn(u64, &Delivery) -> bool) {
        for (_, delivery) in self.open.extract_if(.., |number, delivery| is_meant(*number, delivery)) {
            events.response(delivery.request, status, b"");
        }
    }
}

impl State {
    /// Takes an ACK or a NACK.
    ///
    /// # Errors
    /// Returns an error if it names no message that the client has got.
    pub(crate) fn acknowledge(&mut self, frame: &Frame<'_>, events: &mut Events) -> Result<(), String> {
        let id = frame.required("id", MAX_ACK)?;
        let numbers = id.split_once('-').and_then(|(subscription, number)| {
            Some((subscription.parse::<u64>().ok()?, number.parse::<u64>().ok()?))
        });
        let (subscription, number) = numbers
            .filter(|(_, number)| (1..=self.deliveries.last).contains(number))
            .ok_or("`id` is not the `ack` of a message")?;
        // A subscription may have ended while the acknowledgment was under way.
        let Some(Subscription { ack, .. }) = self.subscriptions.with_number(subscription) else {
            return Ok(());
        };
        let is_cumulative = *ack == Mode::Client;
        let status = if frame.command == "ACK" { ACKNOWLEDGED } else { NOT_ACKNOWLEDGED };
        self.deliveries.answer(status, events, |known, delivery| {
            delivery.subscription == subscription && (known == number || is_cumulative && known < number)
        });
        Ok(())
    }
}

impl Client {
    /// Writes a push: a MESSAGE for each subscription to its destination.
    pub(crate) fn push(&mut self, push: &Message<'_>, packets: &mut Packets<'_>) -> Result<(), Fault> {
        let mut number = self.state.deliveries.last;
        for subscription in self.state.subscriptions.to(push.route) {
            number += 1;
            self.message(subscription, number, push.body, packets)?;
        }
        self.state.deliveries.last = number;
        Ok(())
    }

    /// Writes a request of the application: a MESSAGE for the first subscription that acknowledges.
    pub(crate) fn deliver(&mut self, request: &Message<'_>, packets: &mut Packets<'_>) -> Result<(), Fault> {
        let mut subscriptions = self.state.subscriptions.to(request.route);
        let Some(subscription) = subscriptions.find(|known| known.ack != Mode::Auto) else {
            return Err(Fault::rejected("the client has no subscription that acknowledges messages"));
        };
        if self.state.deliveries.open.len() == MAX_DELIVERIES {
            return Err(Fault::rejected(format!("{MAX_DELIVERIES} messages wait for an acknowledgment")));
        }
        let number = self.state.deliveries.last + 1;
        self.message(subscription, number, request.body, packets)?;
        let delivery = Delivery { request: request.id, subscription: subscription.number };
        self.state.deliveries.last = number;
        self.state.deliveries.open.insert(number, delivery);
        Ok(())
    }

    fn message(
        &self,
        subscription: &Subscription,
        number: u64,
        body: &[u8],
        packets: &mut Packets<'_>,
    ) -> Result<(), Fault> {
        let message_id = number.to_string();
        let ack = format!("{}-{number}", subscription.number);
        let mut headers = vec![
            ("subscription", &*subscription.id),
            ("message-id", &message_id),
            ("destination", &subscription.destination),
        ];
        if subscription.ack != Mode::Auto {
            headers.push(("ack", &ack));
        }
        headers.extend(self.options.content_type.as_deref().map(|kind| ("content-type", kind)));
        let mut packet = packets.begin();
        self.form.frame(&mut packet, "MESSAGE", &headers, body);
        if packet.len() > self.max_packet {
            return Err(Fault::rejected(format!("the frame has more than {} bytes", self.max_packet)));
        }
        Ok(())
    }
}

impl Requests for Client {
    fn abandoned(&mut self, id: u64, _now: Instant, _events: &mut Events) {
        self.state.deliveries.open.retain(|_, delivery| delivery.request != id);
    }
}
