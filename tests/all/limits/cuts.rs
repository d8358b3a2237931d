//! Sessions whose bytes arrive in any two pieces, or end at any byte.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::sleep;
use wireplug_tests::app::{self, ECHO};
use wireplug_tests::raw::{ACK, Raw, UPGRADE, frame, hello, notification, package, request, response};
use wireplug_tests::server;

use super::LimitedServer;

/// The parts of a session that a client sends in turn, each after it has received something.
struct Script {
    said: Vec<Vec<u8>>,
    /// The number of bytes that the client receives after each part.
    heard: Vec<usize>,
    /// The last bytes that the client receives.
    last: Vec<u8>,
}

fn script(websocket: bool) -> Script {
    let frame = |bytes: Vec<u8>| if websocket { frame(&bytes) } else { bytes };
    let answer = |bytes: Vec<u8>| match websocket {
        true => [vec![0x82, bytes.len() as u8], bytes].concat(),
        false => bytes,
    };
    let handshake = br#"0000{"code":200,"sys":{}}"#.len() + if websocket { 2 } else { 0 };
    let requests = [request(1, ECHO, "[1]"), notification(ECHO, "[2]"), request(300, ECHO, "[3]")];
    let last = [answer(response(1, "[1]")), answer(response(300, "[3]"))].concat();
    let mut script = Script {
        said: vec![
            frame(hello()),
            [vec![frame(package(ACK, ""))], requests.map(frame).to_vec()].concat().concat(),
        ],
        heard: vec![handshake, last.len()],
        last,
    };
    if websocket {
        script.said.insert(0, UPGRADE.to_vec());
        script.heard.insert(0, UPGRADED);
    }
    script
}

/// The length of the answer to an upgrade.
const UPGRADED: usize = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    .len();

impl Script {
    fn len(&self) -> usize {
        self.said.iter().map(Vec::len).sum()
    }

    /// Sends the first `end` bytes, with a pause before each byte in `cuts`. Returns the bytes that
    /// were received last.
    async fn play(&self, raw: &mut Raw, cuts: &[usize], end: usize) -> Vec<u8> {
        let mut at = 0;
        let mut heard = Vec::new();
        for (part, &answer) in self.said.iter().zip(&self.heard) {
            let mut begun = 0;
            let stop = part.len().min(end - at);
            for cut in cuts.iter().filter_map(|cut| cut.checked_sub(at)).filter(|&cut| cut > 0 && cut < stop)
            {
                raw.send(&part[begun..cut]).await;
                sleep(Duration::from_millis(5)).await;
                begun = cut;
            }
            raw.send(&part[begun..stop]).await;
            at += part.len();
            if at > end {
                break;
            }
            heard = raw.bytes(answer).await;
        }
        heard
    }
}

async fn limited() -> LimitedServer {
    LimitedServer::with_options(app::demo(), server::setup(), serde_json::json!({ "dictionary": false }))
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_at_every_byte() {
    let limited = limited().await;
    let mut sessions = 0;
    for script in [script(false), script(true)] {
        let cut = async |cuts: Vec<usize>| {
            let mut raw = Raw::connect(&limited.tcp()).await;
            assert_eq!(script.play(&mut raw, &cuts, script.len()).await, script.last, "{cuts:?}");
        };
        let all: Vec<usize> = (1..script.len()).collect();
        for some in all.chunks(50) {
            join_all(some.iter().map(|&at| cut(vec![at]))).await;
        }
        sessions += all.len() as u64 + 1;
        // The session is also cut at all of these bytes together.
        cut(all).await;
    }
    let stats = limited.end(&[("client-closed", sessions)]).await;
    // Two messages of the neighbour; two requests and a notification of each session.
    assert_eq!((stats.messages_in, stats.drops), (2 + 3 * sessions, [].into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_at_every_byte() {
    let limited = limited().await;
    let mut sessions = 0;
    for script in [script(false), script(true)] {
        let drops = async |end: usize| {
            let mut raw = Raw::connect(&limited.tcp()).await;
            script.play(&mut raw, &[], end).await;
        };
        let all: Vec<usize> = (0..=script.len()).collect();
        for some in all.chunks(50) {
            join_all(some.iter().map(|&end| drops(end))).await;
        }
        sessions += all.len() as u64;
    }
    let server = &limited.server;
    let stats = server.until("all gone", |stats| stats.connections_open == 1).await;
    assert_eq!(server.sessions().len(), 1);
    assert_eq!(stats.closes.values().sum::<u64>(), sessions);
    // A connection that ends during an upgrade violates HTTP. A connection that ends with unread
    // bytes is reset.
    let usual = ["client-closed", "socket-error", "transport"];
    assert!(stats.closes.keys().all(|cause| usual.contains(cause)), "{stats}");
}
