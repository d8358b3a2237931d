//! Rings of the most recent events, one for each group of kinds.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Event, EventKind};

/// The most connections that ended, other than by a fault. At a hundred a second they cover ten
/// seconds, and take less than 1 MiB.
const CLOSES: usize = 1000;

/// The most faults of codecs. Each may have a backtrace of 1 KiB.
const FAULTS: usize = 250;

/// The most changes of codecs and of the configuration, which operators make.
const CHANGES: usize = 250;

/// The most log lines. Those of wireplug take less than 2 KiB each.
const LOG: usize = 500;

/// All events that are kept.
pub(super) struct Rings {
    last: u64,
    closes: Ring,
    faults: Ring,
    changes: Ring,
    log: Ring,
}

/// The most recent events of some kinds, in the order of their numbers.
struct Ring {
    max: usize,
    events: VecDeque<Arc<Event>>,
}

impl Default for Rings {
    fn default() -> Self {
        let ring = |max| Ring { max, events: VecDeque::new() };
        Self { last: 0, closes: ring(CLOSES), faults: ring(FAULTS), changes: ring(CHANGES), log: ring(LOG) }
    }
}

impl Rings {
    /// Adds an event, which gets the next number. The oldest event of the same ring goes if the
    /// ring is full.
    pub(super) fn add(&mut self, mut event: Event) {
        self.last += 1;
        event.number = self.last;
        let Ring { max, events } = match event.kind {
            EventKind::Close => &mut self.closes,
            EventKind::Fault => &mut self.faults,
            EventKind::Swap
            | EventKind::Trial
            | EventKind::Rollback
            | EventKind::Reload
            | EventKind::Drain => &mut self.changes,
            EventKind::Log => &mut self.log,
        };
        if events.len() == *max {
            events.pop_front();
        }
        events.push_back(Arc::new(event));
    }

    /// Returns the events behind a number, in any order. With a `kind`, only events of it.
    pub(super) fn after(&self, after: u64, kind: Option<EventKind>) -> Vec<Arc<Event>> {
        let rings = [&self.closes, &self.faults, &self.changes, &self.log];
        let behind = rings.into_iter().flat_map(|ring| {
            let begin = ring.events.partition_point(|event| event.number <= after);
            ring.events.range(begin..)
        });
        behind.filter(|event| kind.is_none_or(|kind| event.kind == kind)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Events, LogEvent};
    use super::*;

    #[test]
    fn many_events_of_a_kind_leave_the_others_alone() {
        let mut rings = Rings::default();
        rings.add(Event::new(EventKind::Fault));
        rings.add(Event::new(EventKind::Rollback));
        (0..CLOSES + 5).for_each(|_| rings.add(Event::new(EventKind::Close)));
        (0..LOG + 5).for_each(|_| rings.add(Event::new(EventKind::Log)));
        let numbers = |kind| {
            let found = rings.after(0, Some(kind));
            (found.len(), found[0].number, found[found.len() - 1].number)
        };
        assert_eq!(numbers(EventKind::Fault), (1, 1, 1));
        assert_eq!(numbers(EventKind::Rollback), (1, 2, 2));
        assert_eq!(numbers(EventKind::Close), (CLOSES, 8, CLOSES as u64 + 7));
        assert_eq!(numbers(EventKind::Log), (LOG, CLOSES as u64 + 13, (CLOSES + LOG) as u64 + 12));
        let all = rings.after(0, None).len();
        assert_eq!((all, rings.after(CLOSES as u64 + LOG as u64 + 11, None).len()), (CLOSES + LOG + 2, 1));
    }

    #[test]
    fn a_reader_continues_where_it_stopped() {
        let events = Events::default();
        (0..7).for_each(|_| events.log(LogEvent::default()));
        let numbers = |after, limit| -> Vec<u64> {
            events.list(after, None, limit).iter().map(|event| event.number).collect()
        };
        assert_eq!(numbers(None, 3), [5, 6, 7]);
        assert_eq!(numbers(Some(0), 3), [1, 2, 3]);
        assert_eq!(numbers(Some(3), 9), [4, 5, 6, 7]);
        assert!(numbers(Some(7), 9).is_empty());
    }
}
