//! The messages that wait for a client, and the application's handle of the session.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

use crate::codec::Reason;
use crate::config::Overflow;
use crate::session::queue::{Full, MessageQueue, Waiting};
use crate::session::{ClientInfo, CloseReason, Message, SendError, Session, SessionId, Sessions};

fn push(body: &'static str) -> Message {
    Message::push("on", body)
}

/// Returns the room in an outbox for these messages, in bytes.
fn room_for(messages: &[Message]) -> usize {
    messages.iter().map(Message::size).sum()
}

fn session(max_outbox: usize) -> Session {
    Session::new(
        SessionId(1),
        ClientInfo::default(),
        super::outbox(max_outbox, Overflow::DropNewest),
        Sessions::default(),
    )
}

/// Takes out the messages that wait, and returns their bodies.
fn waiting(session: &Session) -> Vec<String> {
    let mut bodies = Vec::new();
    session.outbox().take_messages(
        &mut bodies,
        |_, _| true,
        |bodies, message| {
            bodies.push(String::from_utf8(message.body.to_vec()).unwrap());
        },
    );
    bodies
}

fn bodies(queue: &mut MessageQueue) -> Vec<String> {
    std::iter::from_fn(|| queue.pop_if(|_| true))
        .map(|waiting| String::from_utf8(waiting.into_message().body.to_vec()).unwrap())
        .collect()
}

#[test]
fn a_push_is_refused_when_the_outbox_is_full() {
    let mut queue = MessageQueue::new(room_for(&[push("ab"), push("cd")]), Overflow::DropNewest);
    assert_eq!(queue.push(push("ab")), Ok(()));
    assert_eq!(queue.push(push("cde")), Err(Full { closes: false }));
    assert_eq!(queue.push(push("cd")), Ok(()));
    assert_eq!(queue.push(push("")), Err(Full { closes: false }));
}

#[test]
fn a_response_always_fits() {
    let mut queue = MessageQueue::new(0, Overflow::DropNewest);
    assert_eq!(queue.push(push("a")), Err(Full { closes: false }));
    queue.respond(push("a"));
    queue.respond(push("b"));
    assert_eq!(queue.bytes(), room_for(&[push("a"), push("b")]));
}

#[test]
fn messages_leave_in_the_order_of_the_calls_and_make_room() {
    let mut queue = MessageQueue::new(room_for(&[push("a")]), Overflow::DropNewest);
    queue.push(push("a")).unwrap();
    queue.respond(push("b"));
    let is_second = |waiting: &Waiting| *waiting.message() == push("b");
    assert!(queue.pop_if(is_second).is_none(), "only the oldest is offered");
    assert_eq!(bodies(&mut queue), ["a", "b"]);
    assert_eq!(queue.bytes(), 0);
    assert_eq!(queue.push(push("c")), Ok(()));
}

#[test]
fn a_batch_stops_at_the_first_message_that_does_not_fit() {
    let session = session(room_for(&[push("a"), push("b")]));
    let batch = vec![push("a"), push("a body that is too long"), push("b")];
    assert!(matches!(session.send_batch(batch), Err(SendError::Full)));
    assert_eq!(waiting(&session), ["a"]);
}

#[test]
fn a_full_outbox_refuses_pushes_and_takes_responses() {
    let session = session(room_for(&[push("a")]));
    session.send(push("a")).unwrap();
    assert!(matches!(session.send(push("b")), Err(SendError::Full)));
    session.respond(push("c"));
    assert_eq!(waiting(&session), ["a", "c"]);
}

#[test]
fn nothing_is_sent_to_a_closed_session() {
    let session = session(1 << 10);
    assert!(!session.is_closed());
    session.set_closed();
    assert!(session.is_closed());
    assert!(matches!(session.send(push("a")), Err(SendError::Closed)));
    assert!(matches!(session.push("on", &1), Err(SendError::Closed)));
    assert!(waiting(&session).is_empty());
}

#[test]
fn a_push_is_sent_as_json() {
    let session = session(1 << 10);
    session.push("on", &[1, 2]).unwrap();
    assert_eq!(waiting(&session), ["[1,2]"]);
}

#[test]
fn the_first_reason_to_close_is_kept() {
    let session = session(1 << 10);
    assert_eq!(session.close_wanted(), None);
    session.kick("first");
    session.kick("second");
    session.close(CloseReason::Shutdown);
    assert_eq!(session.close_wanted(), Some(CloseReason::Kicked(Reason::new("first"))));
}

#[test]
fn the_connection_is_woken_by_a_send_and_by_a_close() {
    #[derive(Default)]
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let session = session(1 << 10);
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));

    session.register(&Context::from_waker(&waker));
    session.send(push("a")).unwrap();
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    session.register(&Context::from_waker(&waker));
    session.kick("enough");
    assert_eq!(count.0.load(Ordering::Relaxed), 2);
}

fn response(body: &'static str) -> Message {
    Message::response(1, "on".into(), 200, body.into())
}

#[test]
fn dropping_the_oldest_makes_room_of_pushes_and_never_of_responses() {
    let room = room_for(&[push("a"), push("b"), push("c")]);
    let mut queue = MessageQueue::new(room, Overflow::DropOldest);
    queue.push(push("a")).unwrap();
    queue.respond(response("r"));
    queue.push(push("b")).unwrap();
    assert_eq!(queue.push(push("c")), Ok(()));
    assert_eq!(queue.take_overflowed(), 1);
    assert_eq!(bodies(&mut queue), ["r", "b", "c"]);

    // No push is left that may be dropped, so the new push is lost and counted.
    (0..3).for_each(|_| queue.respond(response("r")));
    assert_eq!(queue.push(push("d")), Err(Full { closes: false }));
    assert_eq!(queue.take_overflowed(), 1);
    assert_eq!(bodies(&mut queue), ["r", "r", "r"]);
}

#[test]
fn the_closing_policy_ends_the_session_and_says_why() {
    let session = Session::new(
        SessionId(1),
        ClientInfo::default(),
        super::outbox(room_for(&[push("a")]), Overflow::Close),
        Sessions::default(),
    );
    session.send(push("a")).unwrap();
    assert_eq!(session.close_wanted(), None);
    assert!(matches!(session.send(push("b")), Err(SendError::Full)));
    assert_eq!(session.close_wanted(), Some(CloseReason::Overflow));
}
