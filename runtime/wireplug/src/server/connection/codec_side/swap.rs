//! Changes the codec of a live session: moves the session to another generation, gives it a new
//! sandbox, or gives it a shadow.
//!
//! Each change happens between two calls of the codec, in one turn and without waiting. The bytes
//! that were read and the bytes that wait to be written stay where they are, so nothing in flight
//! can be lost, repeated or reordered.

use std::sync::Arc;
use std::time::Instant;

use super::CodecSide;
use crate::codec::{Codec, CodecError, Peer, Reason};
use crate::session::{BroadcastClass, CloseReason};
use crate::slot::{Ack, Directive, Generation};
use wireplug_base::limited;

impl CodecSide {
    /// Gives the session a new sandbox if its sandbox is nearly full. Then applies the slot's
    /// directive for this session, if there is one. While TLS begins, a directive to move or to be
    /// mirrored has to wait.
    pub(in crate::server::connection) fn apply_directive(&mut self) {
        if self.machine.wants_renewal() {
            self.renew();
        }
        let resumes = self.waits && !self.machine.tls_begins();
        if !resumes && !self.lease.is_signalled() {
            return;
        }
        let directive = if resumes {
            self.waits = false;
            self.lease.resume()
        } else {
            self.lease.directive()
        };
        match directive {
            Directive::Stay => self.lease.ack(Ack::Nothing),
            Directive::Close => {
                self.session.close(CloseReason::Replaced);
                self.lease.ack(Ack::Ends);
            }
            // The session is ending already, on the generation that it is on.
            Directive::Move(..) | Directive::Mirror(_) if !self.machine.is_movable() => {
                self.lease.ack(Ack::Ends);
            }
            // No call of the codec is allowed before TLS is up. The client decides when that is.
            Directive::Move(..) | Directive::Mirror(Some(_)) if self.machine.tls_begins() => {
                self.waits = true;
                self.lease.ack(Ack::Waits);
            }
            Directive::Move(number, to) => match self.move_to(&to) {
                Ok(()) => {
                    self.lease.moved(to);
                    self.has_moved();
                    self.publish_codec();
                }
                Err(reason) => {
                    limited!(DEBUG, to = number, reason, "the session stays on its generation");
                    to.not_moved(reason);
                    self.lease.ack(Ack::Stays(number));
                }
            },
            Directive::Mirror(candidate) => {
                let number = candidate.as_ref().map(|(number, _)| *number);
                match candidate {
                    Some((_, candidate)) => self.add_shadow(&candidate),
                    None => self.machine.set_shadow(None),
                }
                self.lease.ack(Ack::Mirrored(number));
            }
        }
    }

    /// Moves the session to another generation: saves the state of the old codec, restores it in
    /// the new one, and replaces the codec. The state of a session that sleeps is saved already, so
    /// it moves without a call of the old codec.
    ///
    /// # Errors
    /// Returns the reason, as text, if the session cannot move.
    fn move_to(&mut self, to: &Arc<Generation>) -> Result<(), String> {
        to.takes_over_from(self.lease.generation())?;
        let start = Instant::now();
        let now = self.now();
        let state = self.machine.save().map_err(|error| {
            // The fault is reported at once, so that the slot can stop the moves before a codec
            // loses all sessions to a failing `save`.
            self.report_fault_to(Generation::leave_fault);
            error.to_string()
        })?;
        let peer = self.peer_of(to);
        let seed = peer.random_seed;
        let restored = to.restore(peer, &state, now).map_err(|error| error.to_string())?;
        self.machine.restored(&seed, now);
        self.machine.replace_codec(&**to, restored, now);
        to.moved_in(start.elapsed());
        self.share_encodings_of(to);
        Ok(())
    }

    /// Moves the session to a new sandbox of the same generation before the memory of its sandbox
    /// is used up. Without this, a codec that leaks memory could not serve a connection for long;
    /// every codec that componentize-py builds leaks memory. If the move fails, the session stays
    /// where it is.
    fn renew(&mut self) {
        let now = self.now();
        let generation = Arc::clone(self.lease.generation());
        let peer = self.peer_of(&generation);
        let seed = peer.random_seed;
        let renewed = self.machine.save().and_then(|state| generation.renew(peer, &state, now));
        match renewed {
            Ok(renewed) => {
                self.machine.renew(renewed);
                self.machine.restored(&seed, now);
            }
            Err(error) => {
                limited!(DEBUG, %error, "a sandbox is nearly full, and the session cannot leave it");
            }
        }
    }

    /// Lets a candidate mirror the session from here on.
    fn add_shadow(&mut self, candidate: &Arc<Generation>) {
        let now = self.now();
        let peer = self.peer_of(candidate);
        let (machine, lease) = (&mut self.machine, &self.lease);
        let shadow = lease.shadow(candidate, |candidate| {
            candidate
                .takes_over_from(lease.generation())
                .map_err(|why| CodecError::Refused(Reason::new(why)))?;
            candidate.restore(peer, &machine.save()?, now)
        });
        self.machine.set_shadow(shadow);
    }

    /// Returns the client as a generation of the codec sees it.
    pub(super) fn peer_of(&self, generation: &Generation) -> Peer {
        self.link.peer(self.session.client(), generation.description())
    }

    /// Updates the broadcast class, which says with which sessions this session shares encodings.
    pub(in crate::server::connection) fn update_broadcast_class(&mut self) {
        let generation = Arc::clone(self.lease.generation());
        self.share_encodings_of(&generation);
    }

    fn share_encodings_of(&mut self, generation: &Arc<Generation>) {
        let class = self.machine.broadcast_class();
        let codec = Arc::clone(generation) as Arc<dyn Codec>;
        self.session.set_broadcast_class(class.map(|class| BroadcastClass { codec, class }));
    }
}
