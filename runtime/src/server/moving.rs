//! What a connection does when its codec's slot calls it: it moves to another generation, gets a shadow, or ends. And
//! when its sandbox is nearly full: it gets another.
//!
//! All of it happens between two calls of the codec, in one turn and without waiting: so nothing that is in flight
//! can be lost, doubled or overtaken. What was read and what waits to be written stays where it is.

use std::sync::Arc;
use std::time::Instant;

use super::connection::Connection;
use super::peer::peer_of;
use crate::codec::{Codec, CodecError, Reason};
use crate::session::{CloseReason, ShareClass};
use crate::slot::{Ack, Directive, Generation};
use wireplug_base::limited;

impl Connection {
    /// Carries out what the slot wants of this session, if it wants anything.
    pub(super) fn follow(&mut self) {
        if self.machine.wants_renewal() {
            self.renew();
        }
        if !self.lease.is_signalled() {
            return;
        }
        match self.lease.directive() {
            Directive::Stay => self.lease.ack(Ack::Nothing),
            Directive::Close => {
                self.session.close(CloseReason::Replaced);
                self.lease.ack(Ack::Ends);
            }
            // It ends by itself, on what it is on.
            Directive::Move(..) | Directive::Mirror(_) if !self.machine.is_movable() => {
                self.lease.ack(Ack::Ends);
            }
            Directive::Move(number, to) => match self.move_to(&to) {
                Ok(()) => self.lease.moved(to),
                Err(reason) => {
                    limited!(DEBUG, to = number, reason, "the session stays on its generation");
                    to.not_moved(reason);
                    self.lease.ack(Ack::Stays(number));
                }
            },
            Directive::Mirror(candidate) => {
                let number = candidate.as_ref().map(|(number, _)| *number);
                match candidate {
                    Some((_, candidate)) => self.join_shadow(&candidate),
                    None => self.machine.set_shadow(None),
                }
                self.lease.ack(Ack::Mirrored(number));
            }
        }
    }

    /// Goes on with another generation; else says why the session cannot.
    fn move_to(&mut self, to: &Arc<Generation>) -> Result<(), String> {
        to.takes_over_from(self.lease.generation())?;
        let start = Instant::now();
        let now_ms = self.clock.now_ms();
        let state = self.machine.save().map_err(|error| {
            // At once: a codec whose sessions do not survive this must not lose all of them.
            self.tell_fault_to(Generation::leave_fault);
            error.to_string()
        })?;
        let restored = to.restore(peer_of(self.session.client()), &state, now_ms);
        self.machine.go_on_with(&**to, restored.map_err(|error| error.to_string())?, now_ms);
        to.moved_in(start.elapsed());
        self.share(to);
        Ok(())
    }

    /// Goes on in a new sandbox, before the memory of the one it has is used up: codecs that lose memory, as all do that
    /// componentize-py builds, could not serve a connection for long otherwise. Where that fails it stays where it is.
    fn renew(&mut self) {
        let now_ms = self.clock.now_ms();
        let generation = Arc::clone(self.lease.generation());
        let renewed = self
            .machine
            .save()
            .and_then(|state| generation.renew(peer_of(self.session.client()), &state, now_ms));
        match renewed {
            Ok(renewed) => self.machine.renew(renewed),
            Err(error) => {
                limited!(DEBUG, %error, "a sandbox is nearly full, and the session cannot leave it");
            }
        }
    }

    /// Finds out with whom the session shares encodings.
    pub(super) fn update_share_class(&mut self) {
        let codec = Arc::clone(self.lease.generation());
        self.share(&codec);
    }

    fn share(&mut self, codec: &Arc<Generation>) {
        let class = self.machine.share_class();
        let codec = Arc::clone(codec) as Arc<dyn Codec>;
        self.session.set_share_class(class.map(|class| ShareClass { codec, class }));
    }

    /// Has a candidate mirror the session from here on.
    fn join_shadow(&mut self, candidate: &Arc<Generation>) {
        let now_ms = self.clock.now_ms();
        let peer = peer_of(self.session.client());
        let (machine, lease) = (&mut self.machine, &self.lease);
        let shadow = lease.shadow(candidate, |candidate| {
            candidate
                .takes_over_from(lease.generation())
                .map_err(|why| CodecError::Refused(Reason::new(why)))?;
            candidate.restore(peer, &machine.save()?, now_ms)
        });
        self.machine.set_shadow(shadow);
    }
}
