//! Clients that know no cookies: sessions that open by their first packet, what such sessions may
//! be sent before their address is verified, and how many of them there may be.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wireplug::config::{AccessConfig, ClientLimits, LiveSessions, OverRate, ServerConfig};
use wireplug::session::Message;
use wireplug::{App, CodecSource, Listener, RunningServer, Server};
use wireplug_core::codec::{
    self, Abilities, Cause, Codec, CodecError, CodecSession, Description, Encoded, Events, Kind, Messages,
    Peer,
};
use wireplug_core::framing::{Packets, Payload};
use wireplug_tests::{log, within};

use super::{Client, MAGIC, app, listener, pomelo, refused, serve};
use crate::connectors::{Lines, app_and_ends};

/// What the codec repeats.
const PIECE: &[u8] = b"0123456789";

/// The codec of lines, with two packets of its own: `many N` is replied to with N packets of 10
/// bytes, and `it is me N` does the same, but verifies the address first. Packets may be binary.
struct Checking(Lines, Description);

impl Codec for Checking {
    fn description(&self) -> &Description {
        &self.1
    }

    fn abilities(&self) -> Abilities {
        Abilities { handoff: true, ..self.0.abilities() }
    }

    fn open(&self, peer: Peer, now: codec::Instant) -> Result<Box<dyn CodecSession>, CodecError> {
        assert!(peer.max_packet <= 1200, "a datagram holds no more");
        Ok(Box::new(CheckingSession(self.0.open(peer, now)?)))
    }

    fn restore(
        &self,
        peer: Peer,
        _state: &[u8],
        now: codec::Instant,
    ) -> Result<Box<dyn CodecSession>, CodecError> {
        self.open(peer, now)
    }
}

struct CheckingSession(Box<dyn CodecSession>);

impl CodecSession for CheckingSession {
    fn decode(
        &mut self,
        packets: &Arc<Packets>,
        now: codec::Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        for (index, packet) in (0..).zip(packets.iter()) {
            let (verifies, count) = match (packet.strip_prefix(b"many "), packet.strip_prefix(b"it is me ")) {
                (Some(count), _) => (false, count),
                (_, Some(count)) => (true, count),
                _ => {
                    assert_eq!(index, 0, "a batch has packets of one kind");
                    return self.0.decode(packets, now, events);
                }
            };
            if verifies {
                events.push(index, Kind::AddressVerified, b"");
            }
            let count = std::str::from_utf8(count).expect("text");
            for _ in 0..count.parse().expect("a number") {
                events.push(index, Kind::Reply, PIECE);
            }
        }
        Ok(())
    }

    fn encode(
        &mut self,
        messages: &Arc<Messages>,
        now: codec::Instant,
        encoded: &mut Encoded,
    ) -> Result<(), CodecError> {
        self.0.encode(messages, now, encoded)
    }

    fn farewell(
        &mut self,
        cause: Cause,
        reason: &str,
        now: codec::Instant,
        events: &mut Events,
    ) -> Result<(), CodecError> {
        self.0.farewell(cause, reason, now, events)
    }

    fn save(&mut self) -> Result<Vec<u8>, CodecError> {
        Ok(Vec::new())
    }
}

fn checking() -> CodecSource {
    let lines = Lines::default();
    let description = Description { payload: Payload::Binary, ..lines.description().clone() };
    CodecSource::native(Arc::new(Checking(lines, description)))
}

/// Returns a listener with these options.
fn checked_by(options: Value) -> Listener {
    listener(checking()).options(options)
}

fn limited() -> Listener {
    checked_by(json!({ "address-check": "limit" }))
}

/// Sends a packet that the codec replies to with pieces, and then a request. Returns how many
/// pieces come before the response.
async fn pieces(client: &Client, packet: &str, request: &str) -> u64 {
    client.say(packet.as_bytes()).await;
    assert_eq!(client.hear().await, PIECE);
    // The codec has decoded the packet, so the request is in another batch.
    client.say(request.as_bytes()).await;
    let mut pieces = 1;
    loop {
        match client.hear().await {
            heard if heard == PIECE => pieces += 1,
            heard => {
                assert!(heard.starts_with(b"7 200 "), "{heard:?}");
                return pieces;
            }
        }
    }
}

async fn counted(server: &RunningServer, cause: &str, count: u64) {
    let reached = async {
        while server.stats().drops.get(cause) != Some(&count) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    within(cause, reached).await;
}

async fn closed(server: &RunningServer, cause: &str, count: u64) {
    let reached = async {
        while server.stats().closes.get(cause) != Some(&count) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    within(cause, reached).await;
}

#[tokio::test]
async fn the_first_datagram_opens_a_session_and_is_its_first_packet() {
    for check in ["limit", "off"] {
        let server = serve(app(), checked_by(json!({ "address-check": check }))).await;
        let client = Client::new(&server).await;
        // A datagram without a packet opens no session.
        client.say(b"").await;
        assert_eq!(client.ask("1 echo hello").await, "1 200 hello");
        assert_eq!(client.ask("2 echo again").await, "2 200 again");
        // Another port is another client.
        let other = Client::new(&server).await;
        assert_eq!(other.ask("1 echo other").await, "1 200 other");
        let stats = server.shutdown().await;
        assert_eq!((stats.connections_accepted, stats.packets_in), (2, 3), "{check}");
        assert!(stats.drops.is_empty(), "{stats}");
    }
}

#[tokio::test]
async fn the_bytes_of_the_opening_mean_nothing_without_cookies() {
    let server = serve(app(), limited()).await;
    let client = Client::new(&server).await;
    // The codec refuses them, since they are not UTF-8.
    for kind in [1, 2, 3] {
        client.say(&[MAGIC, &[kind], &[0; 16]].concat()).await;
    }
    assert_eq!(client.ask("1 echo hello").await, "1 200 hello");
    let stats = server.shutdown().await;
    assert_eq!((stats.connections_accepted, stats.packets_in), (1, 4));
}

#[tokio::test]
async fn an_unverified_client_is_sent_three_times_what_it_sent() {
    let server = serve(app(), limited()).await;
    let client = Client::new(&server).await;
    // 9 bytes allow 27, of which 8 are used.
    assert_eq!(client.ask("7 echo 12").await, "7 200 12");
    client.say(b"many 1000").await;
    // 9 more bytes allow 27 more. Of 46 bytes, four pieces take 40.
    for _ in 0..4 {
        assert_eq!(client.hear().await, PIECE);
    }
    counted(&server, "unverified", 996).await;
    // 6 bytes are left, and each further byte allows three more.
    assert_eq!(client.ask("8 echo x").await, "8 200 x");
    let stats = server.stats();
    assert_eq!(stats.drops, [("unverified", 996)].into());
    server.shutdown().await;
}

#[tokio::test]
async fn a_verified_client_is_sent_everything() {
    let server = serve(app(), limited()).await;
    let client = Client::new(&server).await;
    // What the codec has found out holds for its replies of the same call.
    assert_eq!(pieces(&client, "it is me 100", "7 echo x").await, 100);
    assert_eq!(pieces(&client, "many 100", "7 echo x").await, 100);
    let push = Message::push("on", "x".repeat(1000));
    server.sessions().all().send(&push);
    assert_eq!(client.hear().await.len(), 1005);
    // Each session is verified for itself.
    let other = Client::new(&server).await;
    other.say(b"many 100").await;
    counted(&server, "unverified", 98).await;
    server.shutdown().await;
}

#[tokio::test]
async fn a_push_to_an_unverified_client_is_limited_too() {
    let server = serve(app(), limited()).await;
    let client = Client::new(&server).await;
    assert_eq!(client.ask("1 echo hello").await, "1 200 hello");
    server.sessions().all().send(&Message::push("on", "x".repeat(1000)));
    counted(&server, "unverified", 1).await;
    assert_eq!(client.ask("2 echo hello").await, "2 200 hello");
    server.shutdown().await;
}

#[tokio::test]
async fn without_a_check_there_is_no_limit_and_a_warning() {
    log::init();
    let server = serve(app(), checked_by(json!({ "address-check": "off" }))).await;
    assert!(!log::lines(&["WARN", "forge a source address", &server.urls()[0]]).is_empty());
    let client = Client::new(&server).await;
    assert_eq!(pieces(&client, "many 100", "7 echo x").await, 100);
    let stats = server.shutdown().await;
    assert!(stats.drops.is_empty(), "{stats}");
}

#[tokio::test]
async fn a_swap_keeps_the_verification() {
    let server = serve(app(), limited()).await;
    let (verified, other) = (Client::new(&server).await, Client::new(&server).await);
    assert_eq!(pieces(&verified, "it is me 1", "7 echo x").await, 1);
    assert_eq!(other.ask("7 echo 12").await, "7 200 12");
    let report = server.slots()[0].swap(&checking(), Some(LiveSessions::Handoff)).await.expect("it fits");
    assert_eq!((report.moved, report.staying), (2, 0));
    assert_eq!(pieces(&verified, "many 100", "7 echo x").await, 100);
    // The other client's bytes count over the swap too: 9 + 9 allow 54, and 8 were sent before.
    other.say(b"many 1000").await;
    counted(&server, "unverified", 996).await;
    server.shutdown().await;
}

#[tokio::test]
async fn a_session_that_is_not_verified_in_time_ends() {
    const LIMIT: Duration = Duration::from_millis(500);
    let mut listener = limited();
    listener.limits = ClientLimits { first_byte_timeout: LIMIT, handshake_timeout: LIMIT, ..listener.limits };
    let (app, mut reasons) = app_and_ends();
    let server = serve(app, listener).await;
    let begun = Instant::now();
    let (verified, other) = (Client::new(&server).await, Client::new(&server).await);
    assert_eq!(pieces(&verified, "it is me 1", "7 echo x").await, 1);
    // A client that goes on to send is not spared.
    let sends = async {
        loop {
            other.say(b"1 echo hello").await;
            tokio::time::sleep(LIMIT / 10).await;
        }
    };
    let reason = tokio::select! {
        () = sends => unreachable!("it sends for ever"),
        reason = within("an end", reasons.recv()) => reason.expect("an end"),
    };
    assert_eq!(reason.cause(), "unverified-address");
    assert!(begun.elapsed() >= LIMIT * 9 / 10, "{:?}", begun.elapsed());
    while other.0.try_recv(&mut [0; 64]).is_ok() {}
    // Its next datagram opens a new session.
    let asked = async {
        loop {
            other.say(b"5 echo again").await;
            match tokio::time::timeout(LIMIT / 10, other.hear()).await {
                Ok(heard) if heard == b"5 200 again" => return,
                _ => {}
            }
        }
    };
    within("a new session", asked).await;
    assert_eq!(pieces(&verified, "many 10", "7 echo x").await, 10);
    server.shutdown().await;
}

#[tokio::test]
async fn a_handshake_that_took_too_long_has_its_own_reason() {
    const LIMIT: Duration = Duration::from_millis(300);
    let mut listener = listener(pomelo()).options(json!({ "address-check": "limit" }));
    listener.limits = ClientLimits { first_byte_timeout: LIMIT, handshake_timeout: LIMIT, ..listener.limits };
    let server = serve(app(), listener).await;
    let client = Client::new(&server).await;
    client.say(&wireplug_tests::raw::hello()).await;
    closed(&server, "handshake-timeout", 1).await;
    server.shutdown().await;
}

#[tokio::test]
async fn unverified_sessions_are_limited() {
    let options = json!({ "address-check": "limit", "max-unverified": 2 });
    let server = serve(app(), checked_by(options)).await;
    let (first, second) = (Client::new(&server).await, Client::new(&server).await);
    assert_eq!(first.ask("1 echo first").await, "1 200 first");
    assert_eq!(second.ask("1 echo second").await, "1 200 second");
    // A third one is sent nothing, and counted as soon as a session has a turn.
    let third = Client::new(&server).await;
    third.say(b"1 echo third").await;
    third.say(b"2 echo third").await;
    assert_eq!(first.ask("2 echo first").await, "2 200 first");
    counted(&server, "turned-away", 2).await;
    assert!(third.0.try_recv(&mut [0; 64]).is_err());
    // A session that is verified makes room, and stays.
    assert_eq!(pieces(&first, "it is me 1", "7 echo x").await, 1);
    assert_eq!(third.ask("3 echo third").await, "3 200 third");
    // So does a session that ends.
    assert_eq!(second.ask("- kick").await, "bye you asked for it");
    closed(&server, "kicked", 1).await;
    let fourth = Client::new(&server).await;
    assert_eq!(fourth.ask("1 echo fourth").await, "1 200 fourth");
    assert_eq!(first.ask("3 echo first").await, "3 200 first");
    server.shutdown().await;
}

#[tokio::test]
async fn forged_addresses_meet_the_limits_of_connections() {
    for check in ["limit", "off"] {
        for (max_per_address, max_connections, cause) in [(1, 10, "address-full"), (0, 1, "server-full")] {
            let mut listener = checked_by(json!({ "address-check": check }));
            listener.access = AccessConfig { max_per_address, ..AccessConfig::default() };
            let config = ServerConfig { max_connections, ..ServerConfig::default() };
            let server =
                Server::new(app()).config(config).listener(listener).start().await.expect("it starts");
            let first = Client::new(&server).await;
            assert_eq!(first.ask("1 echo hello").await, "1 200 hello");
            let refused = Client::new(&server).await;
            for count in 1..4 {
                refused.say(b"1 echo hello").await;
                closed(&server, cause, count).await;
            }
            assert!(refused.0.try_recv(&mut [0; 64]).is_err(), "it is sent nothing");
            assert_eq!(first.ask("2 echo hello").await, "2 200 hello");
            server.shutdown().await;
        }
    }
}

#[tokio::test]
async fn a_first_datagram_that_is_too_long_opens_no_session() {
    let options = json!({ "address-check": "limit", "max-datagram": 40 });
    let server = serve(app(), checked_by(options)).await;
    let client = Client::new(&server).await;
    client.say(&[b'x'; 41]).await;
    assert_eq!(client.ask("1 echo hello").await, "1 200 hello");
    let stats = server.shutdown().await;
    assert_eq!((stats.connections_accepted, stats.packets_in), (1, 1));
    assert_eq!(stats.drops, [("turned-away", 1)].into());
}

#[tokio::test]
async fn rates_hold() {
    let mut listener = limited();
    listener.limits = ClientLimits { packets_per_second: 10, over_rate: OverRate::Close, ..listener.limits };
    let (app, mut reasons) = app_and_ends();
    let server = serve(app, listener).await;
    let client = Client::new(&server).await;
    for _ in 0..30 {
        client.say(b"1 echo x").await;
    }
    let reason = within("an end", reasons.recv()).await.expect("an end");
    assert_eq!(reason.cause(), "over-rate");
    server.shutdown().await;
}

#[tokio::test]
async fn several_packets_share_the_first_datagram() {
    use wireplug_tests::raw::{hello, package, request};
    let listener = listener(pomelo()).options(json!({ "address-check": "off" }));
    let server = serve(wireplug_tests::app::demo(), listener).await;
    let client = Client::new(&server).await;
    let asked = request(1, wireplug_tests::app::ECHO, "[1]");
    client.say(&[hello(), package(2, ""), asked].concat()).await;
    assert!(client.hear().await.starts_with(&[1]), "the answer to the handshake comes first");
    let stats = server.shutdown().await;
    assert_eq!(stats.packets_in, 3);
}

#[tokio::test]
async fn options_that_make_no_sense_are_refused() {
    let mut forever = limited();
    forever.limits.handshake_timeout = Duration::ZERO;
    let why = refused(forever).await;
    assert!(why.contains("`limits.handshake-timeout`, which must not be zero"), "{why}");
    // The other checks do without the deadline.
    for check in ["cookie", "off"] {
        let mut listener = checked_by(json!({ "address-check": check }));
        listener.limits.handshake_timeout = Duration::ZERO;
        serve(App::new(), listener).await.shutdown().await;
    }
    for options in [json!({ "address-check": "none" }), json!({ "max-unverified": 0 })] {
        let why = refused(checked_by(options)).await;
        assert!(why.starts_with("udp://127.0.0.1:0: "), "{why}");
    }
}
