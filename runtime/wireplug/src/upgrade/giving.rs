//! The old process of an upgrade: starts the new one, and gives it the sockets and the sessions.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::{interval, sleep, timeout};
use tracing::{error, info, warn};

use super::link::Link;
use super::message::{PROTOCOL, PassedSocket, Sockets, ToNew, ToOld};
use super::outgoing::{Frame, MoveOrder, Outcome, Outgoing};
use super::report::{Upgrade, UpgradeError, UpgradeReport};
use crate::server::{HandedListener, InheritedSocket, Running};
use crate::session::{CloseReason, Relay, Residence, Session, SessionId};

/// How many sessions leave at a time.
const WAVE: usize = 256;

/// How often the sessions that leave are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// How often sessions that have opened meanwhile are looked for.
const PASSES: usize = 5;

/// A new process that is ready to take over.
struct Ready {
    child: Child,
    link: Arc<Link>,
    version: String,
    /// The listeners whose sockets cannot be passed on.
    without_sockets: Vec<HandedListener>,
}

/// Upgrades the server.
pub(crate) async fn give(running: &Arc<Running>, upgrade: Upgrade) -> Result<UpgradeReport, UpgradeError> {
    if std::process::id() == 1 {
        return Err(UpgradeError::FirstProcess);
    }
    if running.sessions().has_relay() {
        return Err(UpgradeError::Unfinished);
    }
    // No reload changes the listeners meanwhile.
    let _turn = running.begin_upgrade().ok_or(UpgradeError::Busy)?;
    let listeners = running.handed_listeners();
    let move_timeout = upgrade.move_timeout;
    let mut ready = start(&listeners, upgrade).await.inspect_err(|_| running.end_upgrade())?;
    let begun = Instant::now();
    for listener in &listeners {
        listener.hold().await;
    }
    for listener in &ready.without_sockets {
        // The new process binds the address itself.
        listener.leave().await;
    }
    let app = running.save_app().await;
    let (frames, queued) = mpsc::unbounded_channel();
    let (outcomes, reports) = mpsc::unbounded_channel();
    let outgoing = Outgoing::new(frames, outcomes);
    outgoing.send(ToNew::Begin { next_id: running.next_id(), app: app.clone() });
    running.sessions().set_relay(Some(Arc::clone(&outgoing) as Arc<dyn Relay>));
    let pid = ready.child.id().unwrap_or_default();
    info!(pid, "the new process is ready: the sessions begin to move");
    let answers = exchange(Arc::clone(&ready.link), queued);
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
    };
    if giving.all().await.is_err() {
        // It may have closed its end and live on. Two processes must not serve the same sessions.
        let _ = ready.child.start_kill();
        let _ = ready.child.wait().await;
        while let Ok(answer) = giving.answers.try_recv() {
            giving.answered(answer);
        }
        running.restore_app(app).await;
        let lost = giving.take_back().await;
        running.end_upgrade();
        return Err(UpgradeError::Died { lost });
    }
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

/// Starts the new process and waits until it is ready.
async fn start(listeners: &[HandedListener], upgrade: Upgrade) -> Result<Ready, UpgradeError> {
    let (mut sockets, mut descriptors, mut without_sockets) = (Sockets::default(), Vec::new(), Vec::new());
    for listener in listeners {
        let passed = listener
            .sockets()
            .await
            .map_err(|source| UpgradeError::Sockets { url: listener.url(), source })?;
        if passed.is_empty() {
            without_sockets.push(listener.clone());
        }
        let (key, count) = (listener.asked(), passed.len() as u8);
        sockets.listeners.push(PassedSocket { key, descriptors: count, stays: listener.stays() });
        descriptors.extend(passed);
    }
    for InheritedSocket { key, descriptors: passed, stays } in upgrade.others {
        let (key, count) = (key.unwrap_or_default(), passed.len() as u8);
        sockets.others.push(PassedSocket { key, descriptors: count, stays });
        descriptors.extend(passed);
    }
    let cannot_start = |source| UpgradeError::Start { program: upgrade.program.clone(), source };
    let (ours, theirs) = UnixStream::pair().map_err(cannot_start)?;
    let link = Arc::new(Link::new(ours.into()).map_err(cannot_start)?);
    let mut command = Command::new(&upgrade.program);
    command.args(&upgrade.arguments).stdin(Stdio::from(OwnedFd::from(theirs)));
    // What a service manager gives this process is not for another one.
    for variable in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID"] {
        command.env_remove(variable);
    }
    let mut child = command.spawn().map_err(cannot_start)?;
    // The other end of the pair is only in the new process from here on.
    drop(command);
    let prepared = async {
        let mut version = String::new();
        loop {
            match link.receive::<ToOld>().await {
                Ok(Some((ToOld::Hello { protocol, version: theirs }, _))) => {
                    if protocol != PROTOCOL {
                        let (version, ours) = (theirs, PROTOCOL);
                        return Err(UpgradeError::Protocol { version, theirs: protocol, ours });
                    }
                    version = theirs;
                    let sent = link.send(&ToNew::Sockets(sockets.clone()), &descriptors).await;
                    sent.map_err(|error| UpgradeError::Refused(error.to_string()))?;
                }
                Ok(Some((ToOld::Ready, _))) => return Ok(version),
                Ok(Some((ToOld::Failed(why), _))) => return Err(UpgradeError::Refused(why)),
                Ok(Some(_)) => return Err(UpgradeError::Refused("it speaks out of turn".to_owned())),
                Ok(None) => return Err(UpgradeError::Ended("it closed the hand-over socket".to_owned())),
                Err(error) => return Err(UpgradeError::Refused(error.to_string())),
            }
        }
    };
    let prepared = match timeout(upgrade.start_timeout, prepared).await {
        Ok(prepared) => prepared,
        Err(_) => Err(UpgradeError::TimedOut(upgrade.start_timeout)),
    };
    match prepared {
        Ok(version) => Ok(Ready { child, link, version, without_sockets }),
        Err(error) => {
            // Its exit status says more than that it has gone.
            let status = match timeout(Duration::from_secs(1), child.wait()).await {
                Ok(Ok(status)) => Some(status.to_string()),
                _ => {
                    let _ = child.start_kill();
                    let _ = child.wait().await;
                    None
                }
            };
            Err(match (error, status) {
                (UpgradeError::Ended(_), Some(status)) => UpgradeError::Ended(status),
                (error, _) => error,
            })
        }
    }
}

/// Sends what is queued and receives what comes, until the new process is gone. Returns what comes.
fn exchange(link: Arc<Link>, mut queued: mpsc::UnboundedReceiver<Frame>) -> mpsc::UnboundedReceiver<ToOld> {
    let (answer, answers) = mpsc::unbounded_channel();
    let receiving = Arc::clone(&link);
    tokio::spawn(async move {
        loop {
            match receiving.receive().await {
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
    tokio::spawn(async move {
        while let Some((message, descriptors)) = queued.recv().await {
            if link.send(&message, &descriptors).await.is_err() {
                return;
            }
        }
    });
    answers
}

/// The new process is gone.
struct Gone;

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
}

struct Asked {
    session: Session,
    since: Instant,
    /// Whether the session was asked to stay, because it took too long.
    is_late: bool,
}

impl Giving {
    /// Gives all sessions.
    async fn all(&mut self) -> Result<(), Gone> {
        for _ in 0..PASSES {
            let sessions = self.sessions(|listener| !listener.shares_socket());
            self.wave(sessions).await?;
            if !self.running.has_opening() {
                break;
            }
            sleep(LOOK).await;
        }
        for index in 0..self.listeners.len() {
            if self.listeners[index].shares_socket() {
                self.shared(index).await?;
            }
        }
        self.outgoing.send(ToNew::End);
        for listener in &self.listeners {
            listener.leave().await;
        }
        self.running.set_draining();
        Ok(())
    }

    /// Gives the sessions that share the socket of a listener, all at one moment: nobody reads the
    /// socket meanwhile.
    async fn shared(&mut self, index: usize) -> Result<(), Gone> {
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
    async fn wave(&mut self, sessions: Vec<(Session, u32)>) -> Result<(), Gone> {
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
                answer = self.answers.recv() => self.answered(answer.ok_or(Gone)?),
                Some((id, outcome)) = self.reports.recv() => {
                    if self.asked.remove(&id).is_some() && let Outcome::Stays(why) = outcome {
                        self.stays(why);
                    }
                }
                _ = look.tick() => self.hurry(),
            }
        }
    }

    /// Lets sessions stay that are not quiet in time.
    fn hurry(&mut self) {
        for asked in self.asked.values_mut() {
            if !asked.is_late && asked.since.elapsed() > self.move_timeout {
                asked.is_late = true;
                asked.session.order_move(MoveOrder::Stay);
            }
        }
        // A connection that has ended before it read its order reports nothing.
        self.asked.retain(|_, asked| !asked.session.is_closed());
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
                    session.outbox().stay();
                    held.into_iter().for_each(|directed| session.direct(&directed.into()));
                    session.order_move(MoveOrder::ComeBack);
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

    /// Goes on without the new process. Returns how many sessions it served.
    async fn take_back(&mut self) -> u64 {
        self.running.sessions().set_relay(None);
        let frozen = self.outgoing.close();
        for (id, asked) in &self.asked {
            // One order must not take the place of the other.
            if !frozen.contains_key(id) {
                asked.session.order_move(MoveOrder::Stay);
            }
        }
        frozen.values().for_each(|session| session.order_move(MoveOrder::ComeBack));
        for listener in &self.listeners {
            listener.go_on().await;
        }
        error!(
            lost = self.moved,
            "the new process ended while sessions moved: the sessions that it served are lost"
        );
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
