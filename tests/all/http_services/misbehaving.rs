//! Services that misbehave. Each costs its own requests one clear error each, and nothing else.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use wireplug::config::ServiceConfig;
use wireplug_tests::{log, until};

use super::service::{Protocol, answer};
use super::{Service, client, code, impatient, nobody, node, patient};

/// Starts a server whose connections `serve` handles once a request has come. Returns its URL.
async fn raw<F>(serve: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> String
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/chat", listener.local_addr().expect("it is bound"));
    let serve = Arc::new(serve);
    // It ends with the runtime of the test.
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let serve = Arc::clone(&serve);
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.ends_with(b"{}") && stream.read_buf(&mut request).await? > 0 {}
                serve(stream).await
            });
        }
    });
    url
}

/// Sends a request to a service that misbehaves, and checks that it costs this status, a line of
/// the log with `why`, and nothing else.
async fn costs(config: ServiceConfig, status: u16, why: &str) {
    let url = config.url.as_ref().expect("it has one").all()[0].clone();
    let good = Service::echo().await;
    let node = node([("bad", config), ("good", patient(&good.url("")))]).await;
    let (mut ann, mut bob) = (client(&node).await, client(&node).await);
    let asked = ann.ask("bad.a.b", "{}").await;
    assert_eq!(bob.call("good.a", &json!(1)).await, json!(1), "another client and another service go on");
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&ann.response(asked).await).ok(),
        Some(code(status))
    );
    assert_eq!(ann.call("good.a", &json!(2)).await, json!(2), "the client itself goes on");
    let lines = || log::lines(&["a request to a service failed", "service=\"bad\"", &url]);
    until("a line", || async { !lines().is_empty() }).await;
    let [line] = &lines()[..] else { panic!("one line: {:?}", lines()) };
    for word in ["WARN", "route=bad.a.b", &format!("status={status}"), why] {
        assert!(line.contains(word), "{word:?}: {line}");
    }
    assert!(!line.contains("client error"), "the words of a library: {line}");
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_listens() {
    let (url, _socket) = nobody();
    costs(patient(&url), 503, "Connection refused").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_hangs() {
    let url = raw(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
        Ok(())
    })
    .await;
    costs(impatient(&url), 504, "no response in 300ms").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_hangs_after_the_head() {
    let url = raw(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc").await?;
        std::future::pending().await
    })
    .await;
    costs(impatient(&url), 504, "no response in 300ms").await;
}

/// The late response does not become the one to another request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_answers_late() {
    let permits = Arc::new(Semaphore::new(0));
    let service = Service::holding(Protocol::Http1, &permits).await;
    let node = node([("chat", impatient(&service.url("")))]).await;
    let mut ann = client(&node).await;
    assert_eq!(ann.call("chat.a", &json!("late")).await, code(504));
    permits.add_permits(100);
    for number in 0..5 {
        assert_eq!(ann.call("chat.a", &json!(number)).await, json!(number));
    }
    node.shutdown().await;
}

/// Sends a gigabyte, and counts what was taken.
async fn gigabyte(stream: &mut TcpStream, taken: &AtomicUsize) -> io::Result<()> {
    let zeros = vec![0; 1 << 20];
    for _ in 0..1024 {
        stream.write_all(&zeros).await?;
        taken.fetch_add(zeros.len(), Ordering::SeqCst);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_sends_a_gigabyte() {
    for head in [
        "content-length: 1073741824\r\n\r\n",
        // A chunk of a gigabyte, and a response that ends with its connection: no length is known.
        "transfer-encoding: chunked\r\n\r\n40000000\r\n",
        "connection: close\r\n\r\n",
    ] {
        let (taken, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (counted, end) = (Arc::clone(&taken), Arc::clone(&ended));
        let url = raw(move |mut stream| {
            let (counted, end) = (Arc::clone(&counted), Arc::clone(&end));
            async move {
                stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}").as_bytes()).await?;
                let sent = gigabyte(&mut stream, &counted).await;
                end.fetch_add(1, Ordering::SeqCst);
                sent
            }
        })
        .await;
        costs(patient(&url), 502, "the response is larger than `http.max-response`, 1MiB").await;
        until("the end of the connection", || async { ended.load(Ordering::SeqCst) == 1 }).await;
        // The rest is in the buffers of the kernel.
        let taken = taken.load(Ordering::SeqCst) >> 20;
        assert!(taken < 64, "{head:?}: {taken} MiB were taken");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_may_have_the_largest_size() {
    let size = 1 << 10;
    let service = Service::start(Protocol::Http1, |request| async move {
        let length: usize = serde_json::from_slice(&request.body).expect("a number");
        answer(200, vec![b'1'; length])
    })
    .await;
    let mut config = patient(&service.url(""));
    config.http.max_response = size;
    let node = node([("chat", config)]).await;
    let mut ann = client(&node).await;
    assert_eq!(ann.request("chat.a", size.to_string()).await.len(), size);
    assert_eq!(ann.call("chat.a", &json!(size + 1)).await, code(502));
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_resets_the_connection() {
    let url = raw(|stream| async move {
        // The kernel then sends RST instead of FIN.
        stream.set_zero_linger()?;
        Ok(())
    })
    .await;
    costs(patient(&url), 502, "Connection reset by peer").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_closes_the_connection_without_a_response() {
    costs(patient(&raw(|_| async { Ok(()) }).await), 502, "connection closed before message completed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_ends_in_the_middle_of_a_response() {
    let url = raw(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc").await
    })
    .await;
    costs(patient(&url), 502, "the body of the response is incomplete or malformed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_speaks_nonsense() {
    for (nonsense, why) in [
        ("SSH-2.0-OpenSSH_9.6\r\n\r\n", "invalid HTTP version"),
        ("HTTP/1.1 9 OK\r\n\r\n", "invalid HTTP status-code"),
        ("HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", "invalid content-length"),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
            "the body of the response is incomplete or malformed",
        ),
        (
            "HTTP/1.1 302 Found\r\nlocation: http://a/\r\ncontent-length: 0\r\n\r\n",
            "the status 302, which leads to http://a/: redirects",
        ),
        ("HTTP/1.1 999 Odd\r\ncontent-length: 0\r\n\r\n", "the status 999"),
    ] {
        let url = raw(move |mut stream| async move {
            stream.write_all(nonsense.as_bytes()).await?;
            // What follows is read, so that nothing resets the connection.
            stream.read_to_end(&mut Vec::new()).await.map(drop)
        })
        .await;
        costs(patient(&url), 502, why).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_head_has_no_end() {
    let url = raw(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\nx: ").await?;
        loop {
            stream.write_all(&[b'x'; 4096]).await?;
        }
    })
    .await;
    costs(patient(&url), 502, "message head is too large").await;
}

/// A service over HTTP/1.1 is not one over HTTP/2.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_speaks_another_version() {
    let service = Service::echo().await;
    let mut config = patient(&service.url("/chat"));
    config.http.http2 = true;
    // How the connection ends is a matter of time.
    costs(config, 502, "why=").await;
}

/// A service that takes no connections costs the time to connect, and then another URL answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_does_not_accept() {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let listener = socket.listen(1).expect("it listens");
    let address = listener.local_addr().expect("it is bound");
    let mut waiting = Vec::new();
    // The kernel answers nobody once its queue is full.
    while let Ok(stream) = tokio::time::timeout(Duration::from_millis(500), TcpStream::connect(address)).await
    {
        waiting.push(stream.expect("a connection"));
    }
    let good = Service::echo().await;
    let mut config = super::patient_at(&[&format!("http://{address}"), &good.url("")]);
    config.http.connect_timeout = Duration::from_millis(100);
    let node = node([("chat", config)]).await;
    let mut ann = client(&node).await;
    for number in 0..2 {
        assert_eq!(ann.call("chat.a", &json!(number)).await, json!(number));
    }
    assert_eq!(good.received().len(), 2);
    node.shutdown().await;
}
