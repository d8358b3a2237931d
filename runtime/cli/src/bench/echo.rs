//! Requests, and answers that are compared with them.

use std::collections::VecDeque;
use std::time::Instant;

use wireplug_pomelo::message::Kind;

use super::connection::ConnectionContext;
use super::load::Load;
use super::tally::{Cause, Failure, shown};
use super::wire::Wire;

/// The bits of a number that distinguish the requests of one connection. The bits above them
/// distinguish the connections.
const NUMBER_BITS: u32 = 40;

/// The highest id. Ids begin at 1 and do not reach 2^31, at which Pomelo's own server loops for
/// ever.
const IDS: u64 = (1 << 31) - 1;

/// Keeps requests in flight until the end, and waits for the last answers.
pub(super) async fn run(load: &Load, context: &ConnectionContext, mut wire: Wire) -> Result<(), Failure> {
    let args = &load.args;
    let route = wire.route(&args.route);
    let mut bodies = args.numbered();
    let connection = u64::from(context.index) << NUMBER_BITS;
    let mut flight = Flight::default();
    let mut schedule = load.schedule(context.index);
    if let Some(schedule) = &mut schedule {
        schedule.skip_to(Instant::now());
    }
    let mut over = false;
    loop {
        // The poke that announces a due request is of use only if there is room for the request.
        let room;
        {
            let mut tally = load.tally(context.thread);
            let now = Instant::now();
            wire.read(|message| {
                match message.kind {
                    Kind::Response => {}
                    Kind::Push => return Ok(()),
                    kind => return Err(Failure::new(Cause::Protocol, format!("{kind:?} from the server"))),
                }
                let Some((number, begun)) = flight.land(message.id) else {
                    let what = format!("answer to {}, which does not wait for one", message.id);
                    return Err(Failure::new(Cause::Protocol, what));
                };
                tally.seen += 1;
                if !args.no_compare && message.body != bodies.with(connection | number) {
                    tally.count(Cause::Mismatch, 1, || shown(message.body));
                } else if load.measures(begun) {
                    tally.took(now - begun);
                }
                Ok(())
            })?;
            let now = Instant::now();
            // Runs once more after the end, for the requests that were due just before it.
            while !over && flight.waiting < args.pipeline {
                let due = schedule.as_mut().map_or(Some(now), |schedule| schedule.due(now));
                let Some(begun) = due.filter(|begun| !load.is_over(*begun)) else { break };
                let (number, id) = flight.start(begun, now);
                wire.request(id, &route, bodies.with(connection | number));
                tally.sent += u64::from(load.measures(begun));
            }
            room = flight.waiting < args.pipeline;
            over = load.is_over(now);
            if over && flight.waiting == 0 {
                return Ok(());
            }
            if flight.oldest().is_some_and(|sent| now - sent > args.timeout) {
                let what = format!("no answer within {} ms", args.timeout.as_millis());
                return Err(Failure::new(Cause::Timeout, what));
            }
        }
        wire.wait(room.then_some(&*context.poke)).await?;
    }
}

/// The requests that wait for their answers. Answers may come in any order.
#[derive(Default)]
struct Flight {
    /// The number of the first request in `list`. This request still waits for its answer.
    first: u64,
    list: VecDeque<Option<Request>>,
    waiting: u32,
}

struct Request {
    /// The time from which the latency of the request is measured.
    begun: Instant,
    sent: Instant,
}

impl Flight {
    /// Adds a request and returns its number and id.
    fn start(&mut self, begun: Instant, sent: Instant) -> (u64, u32) {
        let number = self.first + self.list.len() as u64;
        self.list.push_back(Some(Request { begun, sent }));
        self.waiting += 1;
        (number, (number % IDS + 1) as u32)
    }

    /// Removes the request with this id. Returns its number and the time from which its latency is
    /// measured.
    fn land(&mut self, id: u64) -> Option<(u64, Instant)> {
        // Ids start again at 1 after the highest one, so this is the distance from the id of the
        // first request.
        let place = (id.checked_sub(1).filter(|id| *id < IDS)? + IDS - self.first % IDS) % IDS;
        let request = self.list.get_mut(place as usize)?.take()?;
        let number = self.first + place;
        self.waiting -= 1;
        while let Some(None) = self.list.front() {
            self.list.pop_front();
            self.first += 1;
        }
        Some((number, request.begun))
    }

    /// Returns when the oldest waiting request was sent.
    fn oldest(&self) -> Option<Instant> {
        self.list.front()?.as_ref().map(|request| request.sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_find_their_requests_in_any_order() {
        let now = Instant::now();
        let mut flight = Flight { first: IDS - 2, ..Flight::default() };
        let ids: Vec<_> = (0..4).map(|_| flight.start(now, now).1).collect();
        assert_eq!(ids, [IDS as u32 - 1, IDS as u32, 1, 2]);
        assert_eq!(flight.land(1), Some((IDS, now)));
        assert_eq!(flight.land(1), None, "it is answered");
        assert_eq!(flight.land(IDS - 1), Some((IDS - 2, now)));
        assert_eq!(flight.land(IDS), Some((IDS - 1, now)));
        assert_eq!((flight.first, flight.waiting, flight.list.len()), (IDS + 1, 1, 1));
        for stranger in [0, 3, IDS + 1, u64::MAX] {
            assert_eq!(flight.land(stranger), None, "{stranger} was never sent");
        }
        assert_eq!(flight.land(2), Some((IDS + 1, now)));
        assert_eq!(flight.oldest(), None);
    }
}
