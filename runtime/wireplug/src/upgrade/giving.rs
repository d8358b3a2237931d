//! The old process of an upgrade, once the new one is ready: gives it the sessions.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::{interval, sleep, timeout};
use tracing::{error, info, warn};

use super::link::Link;
use super::message::{ToNew, ToOld};
use super::outgoing::{MoveOrder, Outcome, Outgoing};
use super::queue::Queue;
use super::report::{Upgrade, UpgradeError, UpgradeReport};
use super::starting::start;
use crate::server::{HandedListener, Running};
use crate::session::{CloseReason, Relay, Residence, Session, SessionId};

/// How many sessions leave at a time.
const WAVE: usize = 256;

/// How often the sessions that leave are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// How often sessions that have opened meanwhile are looked for.
const PASSES: usize = 5;

/// The longest time in which the new process leaves a session unserved, or does not confirm that it
/// has all. It needs milliseconds, unless it hangs.
const SILENCE: Duration = Duration::from_secs(10);

/// Upgrades the server.
pub(crate) async fn give(running: &Arc<Running>, upgrade: Upgrade) -> Result<UpgradeReport, UpgradeError> {
    if std::process::id() == 1 {
        return Err(UpgradeError::FirstProcess);
    }
    let _turn = running.begin_upgrade()?;
    let listeners = running.handed_listeners();
    let move_timeout = upgrade.move_timeout;
    let mut ready = tokio::select! {
        ready = start(&listeners, upgrade) => ready?,
        () = running.drains() => return Err(UpgradeError::Draining),
    };
    let begun = Instant::now();
    for listener in &listeners {
        listener.hold().await;
    }
    for listener in &ready.without_sockets {
        // The new process binds the address itself.
        listener.leave().await;
    }
    let app = running.save_app().await;
    let (frames, queued) = Queue::new();
    let (outcomes, reports) = mpsc::unbounded_channel();
    let outgoing = Outgoing::new(frames, outcomes);
    outgoing.send(ToNew::Begin { next_id: running.next_id(), app: app.clone() });
    running.sessions().set_relay(Some(Arc::clone(&outgoing) as Arc<dyn Relay>));
    let pid = ready.process.id();
    info!(pid, "the new process is ready: the sessions begin to move");
    queued.send_to(Arc::clone(&ready.link));
    let answers = answers(ready.link);
    let mut giving = Giving {
        running: Arc::clone(running),
        outgoing,
        answers,
        reports,
        listeners,
        asked: HashMap::new(),
        done: HashSet::new(),
        moved: 0,
        stayed: BTreeMap::new(),
        move_timeout,
        heard: 0,
        is_taken: false,
    };
    let given = tokio::select! {
        given = giving.all() => given,
        () = running.drains() => Err(BrokenOff::Drains),
    };
    if let Err(why) = given {
        ready.process.end().await;
        let lost = giving.take_back().await;
        running.restore_app(app).await;
        return Err(match why {
            BrokenOff::Gone => UpgradeError::Died { lost },
            BrokenOff::Silent => UpgradeError::Silent { lost },
            BrokenOff::Drains => UpgradeError::Draining,
        });
    }
    ready.process.set_taken_over();
    running.set_moved_away();
    let report = UpgradeReport {
        pid,
        version: ready.version,
        moved: giving.moved,
        stayed: std::mem::take(&mut giving.stayed),
        took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    // Pushes still go from one process to the other until the last session has ended here.
    tokio::spawn(giving.relay());
    Ok(report)
}

/// Receives what comes, in a task, until the new process is gone.
fn answers(link: Arc<Link>) -> mpsc::UnboundedReceiver<ToOld> {
    let (answer, answers) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            match link.receive().await {
                Ok(Some((message, _))) => {
                    if answer.send(message).is_err() {
                        return;
                    }
                }
                Ok(None) => return,
                Err(error) => return warn!(%error, "the new process does not speak the hand-over protocol"),
            }
        }
    });
    answers
}

/// Why the sessions do not go on in the new process.
enum BrokenOff {
    /// It is gone.
    Gone,
    /// It does not answer.
    Silent,
    /// This server drains or stops.
    Drains,
}

/// An upgrade under way.
struct Giving {
    running: Arc<Running>,
    outgoing: Arc<Outgoing>,
    answers: mpsc::UnboundedReceiver<ToOld>,
    reports: mpsc::UnboundedReceiver<(SessionId, Outcome)>,
    listeners: Vec<HandedListener>,
    /// The sessions that were asked to leave and have neither moved nor stayed.
    asked: HashMap<SessionId, Asked>,
    /// The sessions that were asked to leave so far.
    done: HashSet<SessionId>,
    moved: u64,
    stayed: BTreeMap<String, u64>,
    move_timeout: Duration,
    /// The commands and bindings of the new process so far.
    heard: u64,
    /// Whether the new process has confirmed that it has all.
    is_taken: bool,
}

struct Asked {
    session: Session,
    since: Instant,
    /// Whether the session was asked to stay, because it took too long.
    is_late: bool,
}

impl Giving {
    /// Gives all sessions.
    async fn all(&mut self) -> Result<(), BrokenOff> {
        for _ in 0..PASSES {
            let sessions = self.sessions(|listener| !listener.shares_socket());
            self.wave(sessions).await?;
            if self.running.opening() == 0 {
                break;
            }
            sleep(LOOK).await;
        }
        if self.running.opening() > 0 {
            *self.stayed.entry("it was not open yet".to_owned()).or_default() += self.running.opening();
        }
        for index in 0..self.listeners.len() {
            if self.listeners[index].shares_socket() {
                self.shared(index).await?;
            }
        }
        self.outgoing.send(ToNew::End);
        while !self.is_taken {
            let answer = timeout(SILENCE, self.answers.recv()).await.map_err(|_| BrokenOff::Silent)?;
            self.answered(answer.ok_or(BrokenOff::Gone)?);
        }
        for listener in &self.listeners {
            listener.leave().await;
        }
        self.running.set_draining();
        Ok(())
    }

    /// Gives the sessions that share the socket of a listener, all at one moment: nobody reads the
    /// socket meanwhile.
    async fn shared(&mut self, index: usize) -> Result<(), BrokenOff> {
        let Some(state) = self.listeners[index].pause().await else { return Ok(()) };
        let sessions = self.sessions(|listener| listener.is(&self.listeners[index]));
        let timeout = std::mem::replace(&mut self.move_timeout, Duration::from_secs(1));
        let all: Vec<Session> = sessions.iter().map(|(session, _)| session.clone()).collect();
        let waved = self.wave(sessions).await;
        self.move_timeout = timeout;
        waved?;
        // Those that stay would get nothing any more.
        let stay = all.iter().filter(|session| session.residence() == Residence::Here);
        stay.for_each(|session| session.close(CloseReason::Shutdown));
        self.outgoing.send(ToNew::Resume { listener: index as u32, state });
        Ok(())
    }

    /// Returns the sessions of some listeners that were not asked yet.
    fn sessions(&self, of: impl Fn(&HandedListener) -> bool) -> Vec<(Session, u32)> {
        let mut found = Vec::new();
        self.running.sessions().each_open(|session| {
            let listener = self.listeners.iter().position(|listener| listener.has(session));
            if let Some(listener) = listener.filter(|&index| of(&self.listeners[index]))
                && !self.done.contains(&session.id())
            {
                found.push((session.clone(), listener as u32));
            }
        });
        found
    }

    /// Asks sessions to leave, some at a time, and waits until each has moved or stays.
    async fn wave(&mut self, sessions: Vec<(Session, u32)>) -> Result<(), BrokenOff> {
        let mut sessions = sessions.into_iter();
        let mut look = interval(LOOK);
        loop {
            while self.asked.len() < WAVE
                && let Some((session, listener)) = sessions.next()
            {
                let id = session.id();
                self.done.insert(id);
                session.order_move(MoveOrder::Leave(self.outgoing.ticket(id, listener)));
                self.asked.insert(id, Asked { session, since: Instant::now(), is_late: false });
            }
            if self.asked.is_empty() {
                return Ok(());
            }
            tokio::select! {
                answer = self.answers.recv() => self.answered(answer.ok_or(BrokenOff::Gone)?),
                Some((id, outcome)) = self.reports.recv() => {
                    if self.asked.remove(&id).is_some() && let Outcome::Stays(why) = outcome {
                        self.stays(why);
                    }
                }
                _ = look.tick() => self.hurry()?,
            }
        }
    }

    /// Lets sessions stay that are not quiet in time. Gives up if the new process leaves one
    /// unserved.
    fn hurry(&mut self) -> Result<(), BrokenOff> {
        for asked in self.asked.values_mut() {
            if !asked.is_late && asked.since.elapsed() > self.move_timeout {
                asked.is_late = true;
                asked.session.order_move(MoveOrder::Stay);
            }
        }
        if self.outgoing.longest_frozen() > SILENCE {
            return Err(BrokenOff::Silent);
        }
        // A connection that has ended before it read its order reports nothing.
        self.asked.retain(|_, asked| !asked.session.is_closed());
        Ok(())
    }

    fn stays(&mut self, why: String) {
        *self.stayed.entry(why).or_default() += 1;
    }

    /// Handles a message of the new process.
    fn answered(&mut self, answer: ToOld) {
        let sessions = self.running.sessions();
        match answer {
            ToOld::Served(id) => {
                let id = SessionId(id);
                if let Some(session) = self.outgoing.take_frozen(id) {
                    sessions.gone(&session);
                    self.moved += 1;
                }
                self.asked.remove(&id);
            }
            ToOld::Refused(id, why, held) => {
                let id = SessionId(id);
                if let Some(session) = self.outgoing.take_frozen(id) {
                    session.come_back();
                    held.into_iter().for_each(|directed| session.direct(&directed.into()));
                    self.stays(why);
                }
                self.asked.remove(&id);
            }
            ToOld::Command(target, command, seen) => {
                sessions.apply_from_new(&target.into(), &command.into(), seen);
                self.hear();
            }
            ToOld::Bound(user, at, seen) => {
                sessions.bound_in_new(&user, at, seen);
                self.hear();
            }
            ToOld::Took => self.is_taken = true,
            ToOld::Hello { .. } | ToOld::Ready | ToOld::Failed(_) => {
                warn!("the new process speaks out of turn");
            }
        }
    }

    /// Confirms a command or a binding of the new process. What was sent after sessions because of
    /// it comes before.
    fn hear(&mut self) {
        self.heard += 1;
        self.outgoing.send(ToNew::Heard(self.heard));
    }

    /// Goes on without the new process, which has ended. Returns how many sessions it served.
    async fn take_back(&mut self) -> u64 {
        while let Ok(answer) = self.answers.try_recv() {
            self.answered(answer);
        }
        self.running.sessions().set_relay(None);
        let frozen = self.outgoing.close();
        for (id, asked) in &self.asked {
            // One order must not take the place of the other.
            if !frozen.contains_key(id) {
                asked.session.order_move(MoveOrder::Stay);
            }
        }
        frozen.values().for_each(Session::come_back);
        for listener in &self.listeners {
            listener.go_on(None).await;
        }
        if self.moved > 0 {
            error!(lost = self.moved, "the sessions that the new process served are lost");
        }
        self.moved
    }

    /// Carries commands between the processes after the last session has moved.
    async fn relay(mut self) {
        while let Some(answer) = self.answers.recv().await {
            self.answered(answer);
        }
        self.running.sessions().set_relay(None);
        if !self.running.has_ended() {
            info!("the new process has ended");
        }
    }
}
