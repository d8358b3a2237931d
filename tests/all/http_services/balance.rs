//! Several URLs, and the limit of requests in flight.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use wireplug::config::ServiceConfig;
use wireplug_tests::{log, until};

use super::service::Protocol;
use super::{Service, client, code, nobody, node, patient, patient_at};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_go_where_the_fewest_are() {
    let permits = Arc::new(Semaphore::new(0));
    let one = Service::holding(Protocol::Http1, &permits).await;
    let other = Service::holding(Protocol::Http1, &permits).await;
    let node = node([("chat", patient_at(&[&one.url(""), &other.url("/b")]))]).await;
    let mut clients = Vec::new();
    for _ in 0..6 {
        let mut client = client(&node).await;
        clients.push((client.ask("chat.a", "7").await, client));
    }
    one.until(3).await;
    other.until(3).await;
    permits.add_permits(6);
    for (asked, client) in &mut clients {
        assert_eq!(client.response(*asked).await, b"7");
    }
    assert!(other.received().iter().all(|request| request.path == "/b/a"));
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_of_which_nothing_was_sent_goes_to_another_url() {
    let ((url, _socket), good) = (nobody(), Service::echo().await);
    let node = node([("chat", patient_at(&[&url, &good.url("")]))]).await;
    let mut ann = client(&node).await;
    for number in 0..6 {
        assert_eq!(ann.call("chat.a", &json!(number)).await, json!(number));
    }
    assert_eq!(good.received().len(), 6);
    let words = ["WARN", "the request goes to another one", &url, "Connection refused"];
    until("the line", || async { !log::lines(&words).is_empty() }).await;
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_was_sent_is_not_repeated() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let closed = tokio::spawn(async move {
        // Reads some of each request, and closes the connection.
        for _ in 0..3 {
            let (mut stream, _) = listener.accept().await?;
            stream.read_exact(&mut [0; 16]).await?;
        }
        Ok::<_, std::io::Error>(())
    });
    let good = Service::echo().await;
    let node = node([("chat", patient_at(&[&url, &good.url("")]))]).await;
    let mut ann = client(&node).await;
    let mut answers = BTreeMap::new();
    for number in 0..6 {
        *answers.entry(ann.call("chat.a", &json!(number)).await == code(502)).or_insert(0) += 1;
    }
    assert_eq!(answers, BTreeMap::from([(false, 3), (true, 3)]));
    assert_eq!(good.received().len(), 3, "the others were sent once");
    closed.await.expect("no panic").expect("three requests");
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_setting_of_the_session_selects_the_url() {
    let (one, other) = (Service::echo().await, Service::echo().await);
    let config =
        ServiceConfig { sticky: Some("room".to_owned()), ..patient_at(&[&one.url(""), &other.url("")]) };
    let node = node([("chat", config)]).await;
    // Two sessions for each room.
    for _ in 0..2 {
        for room in 0..20 {
            let mut client = client(&node).await;
            client.call("local.set", &json!(format!("room {room} ö"))).await;
            for _ in 0..2 {
                assert_eq!(client.call("chat.a", &json!(room)).await, json!(room));
            }
        }
    }
    let rooms = |service: &Service| {
        let mut rooms = BTreeMap::new();
        for request in service.received() {
            *rooms.entry(request.body).or_insert(0) += 1;
        }
        rooms
    };
    let (one, other) = (rooms(&one), rooms(&other));
    assert!(!one.is_empty() && !other.is_empty() && one.len() + other.len() == 20, "{one:?} {other:?}");
    assert!(one.values().chain(other.values()).all(|count| *count == 4));
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_whose_url_is_gone_gets_no_other_one() {
    let ((url, _socket), good) = (nobody(), Service::echo().await);
    let config = ServiceConfig { sticky: Some("room".to_owned()), ..patient_at(&[&url, &good.url("")]) };
    let node = node([("chat", config)]).await;
    let mut ann = client(&node).await;
    let (mut lost, mut answered) = (0, 0);
    for room in 0..20 {
        ann.call("local.set", &json!(format!("room {room}"))).await;
        let answers = [ann.call("chat.a", &json!(7)).await, ann.call("chat.a", &json!(7)).await];
        if answers == [code(503), code(503)] {
            lost += 1;
        } else {
            assert_eq!(answers, [json!(7), json!(7)]);
            answered += 1;
        }
    }
    assert!(lost > 0 && answered > 0, "{lost} {answered}");
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_many_requests_are_in_flight_and_no_more() {
    let permits = Arc::new(Semaphore::new(0));
    let service = Service::holding(Protocol::Http1, &permits).await;
    let mut config = patient(&service.url(""));
    config.http.max_in_flight = 2;
    let node = node([("chat", config)]).await;
    let mut clients = [client(&node).await, client(&node).await, client(&node).await];
    let first = clients[0].ask("chat.a", "0").await;
    let second = clients[1].ask("chat.a", "1").await;
    service.until(2).await;
    assert_eq!(clients[2].call("chat.a", &json!(2)).await, code(503));
    let words = ["WARN", "2 requests are in flight already, `http.max-in-flight`", "service=\"chat\""];
    until("the line", || async { !log::lines(&words).is_empty() }).await;
    permits.add_permits(3);
    assert_eq!(clients[0].response(first).await, b"0");
    assert_eq!(clients[1].response(second).await, b"1");
    assert_eq!(clients[2].call("chat.a", &json!(2)).await, json!(2));
    assert_eq!(service.received().len(), 3);
    node.shutdown().await;
}
