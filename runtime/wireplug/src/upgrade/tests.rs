//! The order of commands and sessions, with two tables of this process for those of two processes.
//! Nothing has a task or a socket: what the client would get stays in the outbox.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use tokio::sync::mpsc;

use super::message::{ToNew, ToOld, WireDirected};
use super::outgoing::Outgoing;
use super::queue::{Queue, Queued};
use super::saved::SavedSession;
use super::taking::{Answers, connect};
use crate::config::{ClientLimits, SessionsPerUser};
use crate::session::{
    ClientInfo, Command, Group, Message, Outbox, Relay, Residence, Session, SessionId, Sessions, Target,
    User, Vitals,
};
use wireplug_connectors::running_time::RunningTime;

/// The number of sessions.
const SESSIONS: u64 = 4;

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// The application of the old process pushes to one of [`targets`].
    PushInOld(usize),
    /// That of the new process does.
    PushInNew(usize),
    /// A handle that the old application keeps joins its session to a group.
    Join(u64, u8),
    /// A session leaves the old process, if it is there.
    Leave(u64),
    /// The new process reads a frame.
    ToNew,
    /// The old process reads an answer.
    ToOld,
    /// A session that has come is served, or not.
    Settle(usize, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let target = 0..targets().len();
    let step = prop_oneof![
        4 => target.clone().prop_map(Step::PushInOld),
        4 => target.prop_map(Step::PushInNew),
        1 => (0..SESSIONS, 0..3_u8).prop_map(|(session, group)| Step::Join(session, group)),
        2 => (0..SESSIONS).prop_map(Step::Leave),
        4 => Just(Step::ToNew),
        4 => Just(Step::ToOld),
        3 => (0..4_usize, prop::bool::weighted(0.8)).prop_map(|(which, serves)| Step::Settle(which, serves)),
    ];
    prop::collection::vec(step, 0..120)
}

/// Targets of pushes, with the sessions that belong to each.
fn targets() -> Vec<(Target, Vec<u64>)> {
    let user = |name| Target::User(User::new(name).expect("a name"));
    let group = |name| Target::Group(Group::new(name).expect("a name"));
    let mut targets = vec![
        (Target::All, (0..SESSIONS).collect()),
        (user("even"), vec![0, 2]),
        (group("low"), vec![0, 1]),
        (group("high"), vec![2, 3]),
    ];
    targets.extend((0..SESSIONS).map(|id| (Target::Session(SessionId(id)), vec![id])));
    targets
}

/// Two processes, and what is on its way between them.
struct Scene {
    old: Sessions,
    new: Sessions,
    outgoing: Arc<Outgoing>,
    frames: Queued<ToNew>,
    answer: Queue<ToOld>,
    answers: Queued<ToOld>,
    /// The handles of the old application.
    handles: Vec<Session>,
    /// The sessions that the new process has, served or not.
    came: BTreeMap<u64, Session>,
    /// Those that are neither served nor refused yet.
    unsettled: Vec<u64>,
    heard: u64,
    /// The pushes of each process so far, and those that each session must get.
    pushed: [u64; 2],
    expected: [BTreeMap<u64, Vec<u64>>; 2],
    joined: BTreeMap<u64, BTreeSet<String>>,
}

impl Scene {
    fn new() -> Self {
        let table =
            || Sessions::new(SessionsPerUser::Many, Vec::new(), None, Vec::new(), RunningTime::default());
        let (old, new) = (table(), table());
        let handles: Vec<Session> = (0..SESSIONS)
            .map(|id| {
                let outbox = Outbox::new((&ClientLimits::default()).into());
                let session = Session::new(SessionId(id), ClientInfo::default(), outbox, old.clone());
                old.insert(session.clone());
                session.set_established();
                session
            })
            .collect();
        for (target, members) in targets() {
            for id in members {
                let session = &handles[id as usize];
                match &target {
                    Target::User(user) => session.bind(user).expect("it is open"),
                    Target::Group(group) => session.join(group).expect("it is open"),
                    Target::Session(_) | Target::All => {}
                }
            }
        }
        let (queue, frames) = Queue::new();
        let outgoing = Outgoing::new(queue, mpsc::unbounded_channel().0);
        old.set_relay(Some(Arc::clone(&outgoing) as Arc<dyn Relay>));
        let Answers { answer, answers } = connect(&new);
        Self {
            old,
            new,
            outgoing,
            frames,
            answer,
            answers,
            handles,
            came: BTreeMap::new(),
            unsettled: Vec::new(),
            heard: 0,
            pushed: [0; 2],
            expected: Default::default(),
            joined: BTreeMap::new(),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::PushInOld(target) => self.push(0, target),
            Step::PushInNew(target) => self.push(1, target),
            Step::Join(id, group) => {
                let name = format!("joined {group}");
                self.handles[id as usize].join(&name).expect("it is open, here or there");
                self.joined.entry(id).or_default().insert(name);
            }
            Step::Leave(id) => self.leave(id),
            Step::ToNew => drop(self.new_reads()),
            Step::ToOld => drop(self.old_reads()),
            Step::Settle(which, serves) => {
                if !self.unsettled.is_empty() {
                    let id = self.unsettled.remove(which % self.unsettled.len());
                    self.settle(id, serves);
                }
            }
        }
    }

    fn push(&mut self, process: usize, target: usize) {
        let (target, members) = targets().swap_remove(target);
        let number = self.pushed[process];
        self.pushed[process] += 1;
        for id in members {
            self.expected[process].entry(id).or_default().push(number);
        }
        let push = Command::Push(Message::push(["old", "new"][process], number.to_le_bytes().to_vec()));
        [&self.old, &self.new][process].apply(&target, &push);
    }

    fn leave(&mut self, id: u64) {
        let session = &self.handles[id as usize];
        if session.residence() == Residence::Here {
            let mut ticket = self.outgoing.ticket(session.id(), 0);
            let left = ticket.send(session, None, |leaving| {
                // All numbers are 0, all lists are empty, and nothing is there that may be missing.
                let (mut saved, _) = postcard::take_from_bytes::<SavedSession>(&[0; 512]).expect("zeros");
                (saved.id, saved.profile) = (id, leaving.profile);
                saved.messages = leaving.outbox.messages.into_iter().map(Into::into).collect();
                saved
            });
            assert!(left);
        }
    }

    /// The new process reads a frame. Returns whether there was one.
    fn new_reads(&mut self) -> bool {
        let Some(frame) = self.frames.next() else { return false };
        match frame {
            ToNew::Session(place, mut saved) => {
                let outbox = Outbox::resume((&ClientLimits::default()).into(), saved.take_outbox());
                let (client, profile) = (saved.take_client(), saved.take_profile());
                let (id, vitals) = (SessionId(saved.id), Vitals::default());
                let session = Session::resume(id, client, outbox, self.new.clone(), vitals, profile);
                session.set_established();
                self.new.arrive(place, [session.clone()]);
                self.came.insert(saved.id, session);
                self.unsettled.push(saved.id);
            }
            ToNew::Command(place, target, command) => {
                self.new.apply_from_old(place, &target.into(), &command.into());
            }
            ToNew::Directed(place, id, directed) => self.new.direct(place, SessionId(id), &directed.into()),
            ToNew::Heard(count) => self.new.heard(count),
            other => panic!("nobody sends {other:?}"),
        }
        true
    }

    /// The old process reads an answer. Returns whether there was one.
    fn old_reads(&mut self) -> bool {
        let Some(answer) = self.answers.next() else { return false };
        match answer {
            ToOld::Served(id) => {
                let session = self.outgoing.take_frozen(SessionId(id)).expect("it is on its way");
                self.old.gone(&session);
            }
            ToOld::Refused(id, _, held) => {
                let session = self.outgoing.take_frozen(SessionId(id)).expect("it is on its way");
                session.come_back();
                held.into_iter().for_each(|directed: WireDirected| session.direct(&directed.into()));
            }
            ToOld::Command(target, command, seen) => {
                self.old.apply_from_new(&target.into(), &command.into(), seen);
                self.heard += 1;
                self.outgoing.send(ToNew::Heard(self.heard));
            }
            other => panic!("nobody sends {other:?}"),
        }
        true
    }

    fn settle(&mut self, id: u64, serves: bool) {
        if serves {
            self.new.settle(&self.came[&id]);
            return self.answer.put(ToOld::Served(id), Vec::new());
        }
        self.came.remove(&id);
        let answer = &self.answer;
        self.new.turn_back(SessionId(id), |held| {
            let held = held.iter().map(Into::into).collect();
            answer.put(ToOld::Refused(id, String::new(), held), Vec::new());
        });
    }

    /// Lets everything arrive that is on its way.
    fn finish(&mut self) {
        loop {
            let is_settled = self.unsettled.pop().map(|id| self.settle(id, true)).is_none();
            if !self.new_reads() && !self.old_reads() && is_settled {
                return;
            }
        }
    }

    /// Checks that each session has got each push once and in order, wherever it is now.
    fn check(&self) -> Result<(), TestCaseError> {
        for (id, handle) in (0..).zip(&self.handles) {
            let session = self.came.get(&id).unwrap_or(handle);
            let is_there = self.came.contains_key(&id);
            prop_assert_eq!(matches!(handle.residence(), Residence::Gone(_)), is_there);
            let groups: BTreeSet<String> = session.groups().iter().map(|group| group.to_string()).collect();
            let joined = self.joined.get(&id).cloned().unwrap_or_default();
            prop_assert!(groups.is_superset(&joined), "session {} has {:?}", id, groups);
            let got = session.outbox().leave(0).expect("it is open").messages;
            for (process, name) in ["old", "new"].into_iter().enumerate() {
                let got: Vec<u64> = got
                    .iter()
                    .filter(|message| &*message.route == name)
                    .map(|message| u64::from_le_bytes((*message.body).try_into().expect("a number")))
                    .collect();
                let expected = self.expected[process].get(&id).cloned().unwrap_or_default();
                prop_assert_eq!(got, expected, "session {} of pushes of the {} process", id, name);
            }
        }
        Ok(())
    }
}

/// A service may know a session by its old name. It hears that there is none only if that is so.
#[test]
fn a_command_for_a_session_that_has_gone_is_accepted_while_the_new_process_runs() {
    let mut scene = Scene::new();
    scene.step(Step::Leave(0));
    scene.finish();
    let push = Command::Push(Message::push("old", Vec::new()));
    let accepted = |scene: &Scene, id| scene.old.apply_from_elsewhere(&Target::Session(SessionId(id)), &push);
    assert_eq!([accepted(&scene, 0), accepted(&scene, 1), accepted(&scene, 99)], [1, 1, 0]);
    scene.old.set_relay(None);
    assert_eq!([accepted(&scene, 0), accepted(&scene, 1)], [0, 1]);
    // Another upgrade does not bring it back.
    scene.old.set_relay(Some(Arc::clone(&scene.outgoing) as Arc<dyn Relay>));
    assert_eq!(accepted(&scene, 0), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn each_push_reaches_each_session_once_and_in_order(steps in steps()) {
        let mut scene = Scene::new();
        for step in steps {
            scene.step(step);
        }
        scene.finish();
        scene.check()?;
    }
}
