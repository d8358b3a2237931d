//! Feeds, without a network and without waiting: the clock is tokio's paused one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{EventPost, FeedSettings, Feeds, NotTaken};
use crate::config::{ClientLimits, ServiceConfig, ServiceEvent, SessionsPerUser};
use crate::session::{ClientInfo, CloseReason, Outbox, Session, SessionId, SessionObserver, Sessions};
use wireplug_connectors::running_time::RunningTime;

/// A service of which a test says whether it accepts events.
#[derive(Default)]
struct Service {
    /// The answers to the next requests. After them, all events are accepted.
    answers: Mutex<VecDeque<Answer>>,
    posts: Mutex<Vec<(Instant, Vec<Value>)>>,
    posted: Notify,
}

#[derive(Clone, Copy)]
enum Answer {
    Accepts,
    Refuses,
    Hangs,
}

impl Service {
    fn new(answers: impl IntoIterator<Item = Answer>) -> Arc<Self> {
        Arc::new(Self { answers: Mutex::new(answers.into_iter().collect()), ..Self::default() })
    }

    /// Waits for this many requests, and returns their events.
    async fn posts(&self, count: usize) -> Vec<(Instant, Vec<Value>)> {
        while self.posts.lock().expect("no panic").len() < count {
            self.posted.notified().await;
        }
        self.posts.lock().expect("no panic").clone()
    }

    /// Waits for this many requests, and returns the numbers of their events.
    async fn numbers(&self, count: usize) -> Vec<Vec<u64>> {
        let numbers = |events: &Vec<Value>| {
            events.iter().map(|event| event["number"].as_u64().expect("a number")).collect()
        };
        self.posts(count).await.iter().map(|(_, events)| numbers(events)).collect()
    }
}

impl EventPost for Service {
    fn post(self: Arc<Self>, events: Bytes) -> BoxFuture<'static, Result<(), NotTaken>> {
        let answer = self.answers.lock().expect("no panic").pop_front().unwrap_or(Answer::Accepts);
        let events = serde_json::from_slice(&events).expect("an array");
        self.posts.lock().expect("no panic").push((Instant::now(), events));
        self.posted.notify_one();
        async move {
            match answer {
                Answer::Accepts => Ok(()),
                Answer::Refuses => Err(NotTaken { url: None, why: "as the test wants it".to_owned() }),
                Answer::Hangs => std::future::pending().await,
            }
        }
        .boxed()
    }
}

const ALL: [ServiceEvent; 5] = [
    ServiceEvent::Opened,
    ServiceEvent::Moved,
    ServiceEvent::Bound,
    ServiceEvent::Unbound,
    ServiceEvent::Closed,
];

/// The feed of one service, and sessions whose events it gets.
struct Scene {
    feeds: Arc<Feeds>,
    sessions: Sessions,
}

impl Scene {
    fn new(service: &Arc<Service>, config: ServiceConfig) -> Self {
        let feeds = Arc::new(Feeds::new("n-1".into()));
        let observers = vec![Arc::clone(&feeds) as Arc<dyn SessionObserver>];
        let sessions =
            Sessions::new(SessionsPerUser::Many, Vec::new(), None, observers, RunningTime::default());
        let scene = Self { feeds, sessions };
        scene.set(service, config);
        scene
    }

    fn set(&self, service: &Arc<Service>, config: ServiceConfig) {
        let post = Arc::clone(service) as Arc<dyn EventPost>;
        self.feeds.set(std::iter::once(("chat", post, FeedSettings::of(&config))));
    }

    fn session(&self, id: u64) -> Session {
        let client = ClientInfo {
            address: "192.0.2.1:7".to_owned(),
            attributes: ["path", "query"].map(|name| (name.to_owned(), format!("of {name}"))).to_vec(),
            ..ClientInfo::default()
        };
        let outbox = Outbox::new((&ClientLimits::default()).into());
        let session = Session::new(SessionId(id), client, outbox, self.sessions.clone());
        self.sessions.insert(session.clone());
        session
    }

    /// Lets a number of sessions open.
    fn open(&self, count: u64) {
        (1..=count).for_each(|id| self.sessions.opened(&self.session(id)));
    }

    /// Returns how many events wait, and how many were dropped: for want of room, and refused.
    fn counts(&self) -> (usize, u64, u64) {
        let status = self.feeds.status().swap_remove(0);
        (status.queued, status.dropped.full, status.dropped.refused)
    }
}

fn config(events: &[ServiceEvent]) -> ServiceConfig {
    ServiceConfig { events: events.to_vec(), ..ServiceConfig::at("http://a") }
}

#[tokio::test(start_paused = true)]
async fn an_event_says_what_happened_to_whom() {
    let service = Service::new([]);
    let mut config = config(&ALL);
    config.http.attributes = ["path", "tls-sni"].map(str::to_owned).to_vec();
    let scene = Scene::new(&service, config);
    let session = scene.session(7);
    scene.sessions.opened(&session);
    session.bind("ann").expect("it is open");
    session.bind("eve").expect("it is open");
    session.unbind().expect("it is open");
    scene.sessions.moved(&session);
    session.bind("bob").expect("it is open");
    scene.sessions.remove(&session);
    scene.sessions.closed(&session, &CloseReason::Shutdown);
    let [(_, events)] = &service.posts(1).await[..] else { panic!("one request") };
    let mut events = events.clone();
    for event in &mut events {
        let time = event.as_object_mut().expect("an object").remove("time").expect("a time");
        let time = time.as_str().expect("text");
        assert!(time.len() == "2026-11-30T18:00:00.000Z".len() && time.ends_with('Z'), "{time}");
    }
    let event = |number: u64, name: &str, user: Option<&str>| {
        let mut event = json!({
            "number": number, "event": name, "session": "n-1.7", "node": "n-1", "peer": "192.0.2.1:7",
            "attributes": { "path": "of path" },
        });
        if let Some(user) = user {
            event["user"] = user.into();
        }
        event
    };
    let mut closed = event(8, "closed", Some("bob"));
    closed["reason"] = "shutdown".into();
    let expected = [
        event(1, "opened", None),
        event(2, "bound", Some("ann")),
        event(3, "unbound", Some("ann")),
        event(4, "bound", Some("eve")),
        event(5, "unbound", Some("eve")),
        event(6, "moved", None),
        event(7, "bound", Some("bob")),
        closed,
    ];
    assert_eq!(events, expected);
}

#[tokio::test(start_paused = true)]
async fn a_service_gets_the_events_that_it_asks_for() {
    let service = Service::new([]);
    let scene = Scene::new(&service, config(&[ServiceEvent::Bound]));
    let session = scene.session(1);
    scene.sessions.opened(&session);
    session.bind("ann").expect("it is open");
    session.unbind().expect("it is open");
    let [(_, events)] = &service.posts(1).await[..] else { panic!("one request") };
    assert_eq!((events.len(), &events[0]["event"], &events[0]["number"]), (1, &json!("bound"), &json!(1)));
}

#[tokio::test(start_paused = true)]
async fn events_come_in_order_and_in_batches() {
    let service = Service::new([]);
    let scene = Scene::new(&service, config(&ALL));
    scene.open(120);
    let expected: Vec<Vec<u64>> = vec![(1..=50).collect(), (51..=100).collect(), (101..=120).collect()];
    assert_eq!(service.numbers(3).await, expected);
    assert_eq!(scene.counts(), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_accepted_is_sent_again_with_growing_waits() {
    let service = Service::new([Answer::Refuses; 9]);
    let scene = Scene::new(&service, config(&ALL));
    scene.open(1);
    // The events that come meanwhile wait behind it.
    service.posts(1).await;
    scene.open(2);
    assert_eq!(scene.counts(), (3, 0, 0));
    let posts = service.posts(11).await;
    let numbers: Vec<_> = service.numbers(11).await;
    assert!(numbers[..10].iter().all(|numbers| *numbers == [1]), "{numbers:?}");
    assert_eq!(numbers[10], [2, 3]);
    let waits: Vec<_> = posts.windows(2).map(|posts| (posts[1].0 - posts[0].0).as_millis()).collect();
    assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000, 0]);
}

#[tokio::test(start_paused = true)]
async fn what_is_never_accepted_is_dropped_and_the_rest_goes_on() {
    let service = Service::new([Answer::Refuses; 4]);
    let mut config = config(&ALL);
    config.http.events_retry = Duration::from_millis(500);
    let scene = Scene::new(&service, config);
    scene.open(1);
    service.posts(1).await;
    scene.open(2);
    assert_eq!(service.numbers(5).await, [vec![1], vec![1], vec![1], vec![1], vec![2, 3]]);
    let posts = service.posts(5).await;
    assert_eq!((posts[3].0 - posts[0].0).as_millis(), 500, "the last try is at the end of the time");
    assert_eq!(scene.counts(), (0, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_takes_no_more_and_the_service_sees_the_gap() {
    let service = Service::new([Answer::Refuses]);
    let mut config = config(&ALL);
    config.http.max_events = 3;
    let scene = Scene::new(&service, config);
    scene.open(1);
    service.posts(1).await;
    // One is being sent, and two find room.
    scene.open(4);
    assert_eq!(scene.counts(), (3, 2, 0));
    assert_eq!(service.numbers(3).await, [vec![1], vec![1], vec![2, 3]]);
    scene.open(1);
    assert_eq!(service.numbers(4).await[3], [6]);
}

#[tokio::test(start_paused = true)]
async fn a_reload_loses_nothing() {
    let (first, second) = (Service::new([Answer::Refuses; 2]), Service::new([]));
    let scene = Scene::new(&first, config(&ALL));
    scene.open(1);
    first.posts(1).await;
    scene.open(1);
    // What waits goes to the new address.
    scene.set(&second, config(&ALL));
    assert_eq!(second.numbers(2).await, [[1], [2]]);
    // A service that no longer asks for events gets those that wait.
    scene.open(2);
    scene.feeds.set(std::iter::empty());
    scene.open(3);
    assert_eq!(second.numbers(3).await[2], [3, 4]);
    assert_eq!(scene.counts(), (0, 0, 0));
    // If it asks again, its events count on.
    scene.set(&second, config(&ALL));
    scene.open(1);
    assert_eq!(second.numbers(4).await[3], [5]);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_server_waits_for_what_is_left() {
    let service = Service::new([Answer::Refuses; 9]);
    let scene = Scene::new(&service, config(&ALL));
    scene.open(60);
    // It would be sent again after 3.2 seconds. At the end the waits begin again.
    let posts = service.posts(6).await;
    let ends = Instant::now();
    scene.feeds.finish().await;
    assert_eq!(scene.counts(), (0, 0, 0));
    let after: Vec<_> = service.posts(11).await[posts.len()..].iter().map(|post| post.0 - ends).collect();
    let after: Vec<_> = after.iter().map(Duration::as_millis).collect();
    assert_eq!(after, [0, 100, 300, 700, 700]);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_server_does_not_wait_for_ever() {
    let service = Service::new([Answer::Hangs]);
    let scene = Scene::new(&service, config(&ALL));
    scene.open(1);
    service.posts(1).await;
    let begun = Instant::now();
    scene.feeds.finish().await;
    assert_eq!(begun.elapsed(), super::LAST_EVENTS);
}
