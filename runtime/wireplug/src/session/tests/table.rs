//! The table of sessions: users, groups, and what happens to members that end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;

use crate::config::{Overflow, SessionsPerUser};
use crate::session::command::{Command, RemoteSessions, Target};
use crate::session::{
    ClientInfo, CloseReason, Message, Session, SessionError, SessionEvent, SessionId, SessionObserver,
    Sessions, User,
};
use wireplug_connectors::running_time::RunningTime;

/// The other nodes, as a list of what they received.
#[derive(Default)]
struct Received(Mutex<Vec<String>>);

impl Received {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("no panic"))
    }
}

impl RemoteSessions for Received {
    fn node(&self) -> &str {
        "m"
    }

    fn apply(&self, target: &Target, command: &Command) {
        self.0.lock().expect("no panic").push(format!("{target:?} {command:?}"));
    }
}

impl SessionObserver for Received {
    fn event(&self, session: &Session, event: &SessionEvent, bound_at: Option<u64>) {
        let at = if bound_at.is_some() { " at" } else { "" };
        self.0.lock().expect("no panic").push(format!("{} {event:?}{at}", session.id()));
    }
}

fn sessions(per_user: SessionsPerUser) -> (Sessions, Arc<Received>) {
    let received = Arc::new(Received::default());
    let remote = Arc::clone(&received) as Arc<dyn RemoteSessions>;
    let observers = vec![Arc::clone(&received) as Arc<dyn SessionObserver>];
    (Sessions::new(per_user, Vec::new(), Some(remote), observers, RunningTime::default()), received)
}

/// A session that is established.
fn session(sessions: &Sessions, id: u64) -> Session {
    let outbox = super::outbox(1 << 20, Overflow::default());
    let session = Session::new(SessionId(id), ClientInfo::default(), outbox, sessions.clone());
    sessions.insert(session.clone());
    session.set_established();
    session
}

fn end(sessions: &Sessions, session: &Session) {
    session.set_closed();
    sessions.remove(session);
}

fn ids(sessions: &[Session]) -> Vec<u64> {
    let mut ids: Vec<u64> = sessions.iter().map(|session| session.id().0).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn who_ends_is_out_of_everything_and_comes_back_to_nothing() {
    let (all, _) = sessions(SessionsPerUser::Many);
    let (ann, bob) = (session(&all, 1), session(&all, 2));
    for one in [&ann, &bob] {
        one.bind("someone").expect("a name");
        one.join("room").expect("a name");
    }
    end(&all, &ann);
    assert_eq!(ids(&all.user("someone").sessions()), [2]);
    assert_eq!(ids(&all.group("room").sessions()), [2]);
    assert_eq!(ids(&all.all().sessions()), [2]);
    // The handle still has the last user and groups.
    assert_eq!((ann.user().as_deref(), ann.groups().len()), (Some("someone"), 1));
    assert_eq!(ann.bind("another"), Err(SessionError::Closed));
    assert_eq!(ann.unbind(), Err(SessionError::Closed));
    assert_eq!(ann.join("hall"), Err(SessionError::Closed));
    assert!(all.group("hall").is_empty() && all.user("another").is_empty());
    end(&all, &bob);
    assert_eq!(all.users(), 0);
}

#[test]
fn who_only_owes_answers_takes_no_place_of_a_session_that_came_back() {
    let (all, _) = sessions(SessionsPerUser::One);
    let (gone, back) = (session(&all, 1), session(&all, 2));
    gone.set_leaving();
    back.bind("ann").expect("a name");
    // The service answers too late.
    assert_eq!(gone.bind("ann"), Err(SessionError::Closed));
    assert_eq!(gone.join("room"), Err(SessionError::Closed));
    assert_eq!(back.close_wanted(), None);
    assert_eq!(ids(&all.user("ann").sessions()), [2]);
}

#[test]
fn names_are_checked_and_nobody_has_one_that_cannot_be() {
    let (all, received) = sessions(SessionsPerUser::Many);
    let ann = session(&all, 1);
    let long = "x".repeat(201);
    for name in ["", "a\nb", " a", "a\u{2003}", long.as_str()] {
        assert!(matches!(ann.bind(name), Err(SessionError::Name(_))), "{name:?}");
        assert!(matches!(ann.join(name), Err(SessionError::Name(_))), "{name:?}");
        assert_eq!(all.user(name).kick("no"), 0);
        assert_eq!(all.group(name).send(&Message::push("on", "")), 0);
    }
    assert_eq!(ann.bind(&"x".repeat(200)), Ok(()));
    assert!(serde_json::from_str::<User>(r#""a b\u0007""#).is_err());
    assert_eq!(received.take().len(), 1);
}

#[test]
fn one_session_a_user_is_the_last() {
    let (all, received) = sessions(SessionsPerUser::One);
    let (first, second) = (session(&all, 1), session(&all, 2));
    first.bind("ann").expect("a name");
    second.bind("ann").expect("a name");
    assert_eq!(first.close_wanted(), Some(CloseReason::Displaced));
    assert_eq!(second.close_wanted(), None);
    // It gets no more messages for the user, although it has not ended yet.
    assert_eq!(ids(&all.user("ann").sessions()), [2]);
    end(&all, &first);
    assert_eq!(ids(&all.user("ann").sessions()), [2]);
    // To bind it again changes nothing, and is not reported.
    second.bind("ann").expect("a name");
    assert_eq!(received.take(), [r#"1 Bound(User("ann")) at"#, r#"2 Bound(User("ann")) at"#]);
}

#[test]
fn a_binding_elsewhere_ends_those_that_were_earlier() {
    let (all, _) = sessions(SessionsPerUser::One);
    let ann = session(&all, 1);
    ann.bind("ann").expect("a name");
    let (user, at) = all.bindings().pop().expect("one");
    all.bound_elsewhere(&user, at - 1, "z");
    // This node is `m`. At the same time, the node with the larger name counts as the later one.
    all.bound_elsewhere(&user, at, "a");
    assert_eq!(ann.close_wanted(), None);
    all.bound_elsewhere(&user, at, "z");
    assert_eq!(ann.close_wanted(), Some(CloseReason::Displaced));
    assert!(all.user("ann").is_empty());

    // If the clock of the other node runs ahead, sessions that are bound here afterwards stay.
    let ahead = at + 3_600_000_000;
    all.bound_elsewhere(&user, ahead, "z");
    let again = session(&all, 2);
    again.bind("ann").expect("a name");
    assert!(all.bindings()[0].1 > ahead);
    all.bound_elsewhere(&user, ahead, "z");
    assert_eq!(again.close_wanted(), None);
}

#[test]
fn of_bindings_on_two_nodes_that_have_not_heard_of_each_other_the_later_stays() {
    let ((first, _), (second, _)) = (sessions(SessionsPerUser::One), sessions(SessionsPerUser::One));
    for id in 1..=100 {
        let (before, after) = (session(&first, id), session(&second, id));
        before.bind("ann").expect("a name");
        std::thread::sleep(Duration::from_micros(50));
        after.bind("ann").expect("a name");
        let (user, before_at) = first.bindings().pop().expect("one");
        let (_, after_at) = second.bindings().pop().expect("one");
        // The order of the nodes' names is the opposite of the order of the times.
        second.bound_elsewhere(&user, before_at, "z");
        first.bound_elsewhere(&user, after_at, "a");
        assert_eq!((before.close_wanted(), after.close_wanted()), (Some(CloseReason::Displaced), None));
        end(&first, &before);
        end(&second, &after);
    }
}

#[test]
fn many_sessions_a_user_stay_whatever_happens_elsewhere() {
    let (all, _) = sessions(SessionsPerUser::Many);
    let (first, second) = (session(&all, 1), session(&all, 2));
    first.bind("ann").expect("a name");
    second.bind("ann").expect("a name");
    all.bound_elsewhere(&User::new("ann").expect("a name"), u64::MAX - 1, "z");
    assert_eq!((first.close_wanted(), second.close_wanted()), (None, None));
    assert_eq!(ids(&all.user("ann").sessions()), [1, 2]);
}

#[test]
fn other_nodes_receive_what_may_concern_them() {
    let (all, received) = sessions(SessionsPerUser::Many);
    let ann = session(&all, 1);
    ann.push("on", "to one").expect("room");
    all.matching(|_| true).push("on", "by a condition").expect("JSON");
    assert_eq!(received.take(), [""; 0]);
    assert_eq!(all.all().push("on", "to all").expect("JSON"), 1);
    assert_eq!(all.group("nobody").kick("out"), 0);
    let [push, kick] = received.take().try_into().expect("two");
    assert!(push.starts_with("All Push"), "{push}");
    assert!(kick.starts_with(r#"Group(Group("nobody")) Kick"#), "{kick}");
    assert_eq!(ann.close_wanted(), None);
}

#[test]
fn settings_stay_with_their_session() {
    let (all, _) = sessions(SessionsPerUser::Many);
    let ann = session(&all, 1);
    ann.set("battle", Some("b7"));
    ann.set("battle", Some("b8"));
    assert_eq!(ann.setting("battle").as_deref(), Some("b8"));
    ann.set("battle", None);
    assert_eq!(ann.setting("battle"), None);
}

/// An operation on one of a few sessions.
#[derive(Clone, Debug)]
enum Step {
    Bind(u8),
    Unbind,
    Join(u8),
    Leave(u8),
    End,
}

fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
    let step = prop_oneof![
        4 => (0..3_u8).prop_map(Step::Bind),
        1 => Just(Step::Unbind),
        4 => (0..3_u8).prop_map(Step::Join),
        2 => (0..3_u8).prop_map(Step::Leave),
        1 => Just(Step::End),
    ];
    prop::collection::vec((0..5_u64, step), 0..60)
}

/// A simple model of the table: the user and the groups of each session that has not ended.
type Model = BTreeMap<u64, (Option<u8>, BTreeSet<u8>)>;

proptest! {
    #[test]
    fn the_table_agrees_with_a_plain_model(steps in steps()) {
        let (all, _) = sessions(SessionsPerUser::Many);
        let handles: Vec<Session> = (0..5).map(|id| session(&all, id)).collect();
        let mut model: Model = (0..5).map(|id| (id, Default::default())).collect();
        for (id, step) in steps {
            let handle = &handles[id as usize];
            let ended = !model.contains_key(&id);
            match step {
                Step::Bind(user) => prop_assert_eq!(handle.bind(&user.to_string()).is_err(), ended),
                Step::Unbind => prop_assert_eq!(handle.unbind().is_err(), ended),
                Step::Join(group) => prop_assert_eq!(handle.join(&group.to_string()).is_err(), ended),
                Step::Leave(group) => handle.leave(&group.to_string()),
                Step::End => end(&all, handle),
            }
            if let Some((user, groups)) = model.get_mut(&id) {
                match step {
                    Step::Bind(bound) => *user = Some(bound),
                    Step::Unbind => *user = None,
                    Step::Join(group) => drop(groups.insert(group)),
                    Step::Leave(group) => drop(groups.remove(&group)),
                    Step::End => drop(model.remove(&id)),
                }
            }
            for name in 0..3_u8 {
                let of_user = model.iter().filter(|(_, (user, _))| *user == Some(name)).map(|(id, _)| *id);
                let of_group = model.iter().filter(|(_, (_, groups))| groups.contains(&name)).map(|(id, _)| *id);
                let text = name.to_string();
                prop_assert_eq!(ids(&all.user(&text).sessions()), of_user.collect::<Vec<_>>());
                prop_assert_eq!(ids(&all.group(&text).sessions()), of_group.collect::<Vec<_>>());
            }
            let users: BTreeSet<u8> = model.values().filter_map(|(user, _)| *user).collect();
            prop_assert_eq!(all.users(), users.len());
        }
    }
}
