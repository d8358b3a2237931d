//! URLs that are left out for a while after they have failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::sync::Semaphore;
use wireplug::config::{HttpConfig, ServiceConfig};
use wireplug_tests::{log, until, within};

use super::service::{Protocol, answer};
use super::{Service, client, code, nobody, node, patient, patient_at};

/// Returns the configuration of a service that is left out after three failures, for this time.
fn breaking(config: ServiceConfig, time: Duration) -> ServiceConfig {
    let http = HttpConfig { circuit_failures: 3, circuit_time: time, ..config.http };
    ServiceConfig { http, ..config }
}

const LONG: Duration = Duration::from_secs(3600);

/// Starts a service that does not answer its first requests, and then takes a permit for each
/// answer.
async fn failing(first: usize, permits: &Arc<Semaphore>) -> Service {
    let (permits, count) = (Arc::clone(permits), AtomicUsize::new(0));
    Service::start(Protocol::Http1, move |request| {
        let (permits, fails) = (Arc::clone(&permits), count.fetch_add(1, Ordering::SeqCst) < first);
        async move {
            if fails {
                std::future::pending::<()>().await;
            }
            permits.acquire().await.expect("it is open").forget();
            answer(200, request.body)
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_that_fails_gets_no_requests() {
    let service = failing(usize::MAX, &Arc::new(Semaphore::new(0))).await;
    let config = ServiceConfig { timeout: Duration::from_millis(100), ..patient(&service.url("/x")) };
    let node = node([("chat", breaking(config, LONG))]).await;
    let mut ann = client(&node).await;
    for _ in 0..3 {
        assert_eq!(ann.call("chat.a", &json!(1)).await, code(504));
    }
    for _ in 0..5 {
        assert_eq!(ann.call("chat.a", &json!(1)).await, code(503));
    }
    assert_eq!(service.received().len(), 3);
    let words = ["WARN", "no requests go there for 1h", &service.url("/x"), "circuit_failures=3"];
    until("the line", || async { log::lines(&words).len() == 1 }).await;
    let text = node.metrics(wireplug::status::MetricsFormat::Prometheus);
    let left_out = format!("wireplug_service_url_used{{service=\"chat\",url=\"{}\"}} 0\n", service.url("/x"));
    assert!(text.contains(&left_out), "{text}");
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_request_finds_out_that_it_works_again() {
    let permits = Arc::new(Semaphore::new(0));
    let service = failing(3, &permits).await;
    let config = breaking(patient(&service.url("")), Duration::from_millis(50));
    let node = node([("chat", config)]).await;
    let mut clients = [client(&node).await, client(&node).await, client(&node).await];
    let mut asked = Vec::new();
    for client in &mut clients {
        asked.push(client.ask("chat.a", "1").await);
    }
    service.until(3).await;
    service.close_connections();
    for (client, asked) in clients.iter_mut().zip(asked) {
        assert_eq!(client.response(asked).await, br#"{"code":502}"#);
    }
    let [ann, bob, _] = &mut clients;
    // Until the time is over, requests get 503 at once. The first one after it is held.
    let probe = async {
        loop {
            let asked = ann.ask("chat.a", "2").await;
            tokio::select! {
                () = service.until(4) => return asked,
                answer = ann.response(asked) => assert_eq!(answer, br#"{"code":503}"#),
            }
        }
    };
    let probe = within("the probe", probe).await;
    assert_eq!(bob.call("chat.a", &json!(3)).await, code(503), "one is enough");
    permits.add_permits(100);
    assert_eq!(ann.response(probe).await, b"2");
    assert_eq!(bob.call("chat.a", &json!(3)).await, json!(3));
    let words = ["INFO", "a service answers again at this URL", &service.url("")];
    until("the line", || async { log::lines(&words).len() == 1 }).await;
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_urls_go_on() {
    let ((url, _socket), good) = (nobody(), Service::echo().await);
    let node = node([("chat", breaking(patient_at(&[&url, &good.url("")]), LONG))]).await;
    let mut ann = client(&node).await;
    for number in 0..20 {
        assert_eq!(ann.call("chat.a", &json!(number)).await, json!(number));
    }
    let words = ["the request goes to another one", &*url];
    assert_eq!(log::lines(&words).len(), 3, "after that, nobody tries");
    node.shutdown().await;
}

/// Clients can make an application fail, and must not be able to take it away from others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_of_the_application_are_no_failures() {
    let service = Service::start(Protocol::Http1, |request| async move {
        match request.path.as_str() {
            "/fails" => answer(500, ""),
            "/large" => answer(200, vec![b'1'; 2000]),
            "/moved" => answer(302, ""),
            "/odd" => answer(600, ""),
            _ => answer(200, request.body),
        }
    })
    .await;
    let mut config = patient(&service.url(""));
    config.http.max_response = 1000;
    let node = node([("chat", breaking(config, LONG))]).await;
    let mut ann = client(&node).await;
    for _ in 0..5 {
        assert_eq!(ann.call("chat.fails", &json!(1)).await, code(500));
        for route in ["chat.large", "chat.moved", "chat.odd"] {
            assert_eq!(ann.call(route, &json!(1)).await, code(502), "{route}");
        }
    }
    assert_eq!(ann.call("chat.a", &json!(1)).await, json!(1));
    node.shutdown().await;
}
