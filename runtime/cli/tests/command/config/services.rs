//! Services over HTTP.

use std::time::Duration;

use wireplug::config::{HttpConfig, ServiceConfig, ServiceEvent};

use super::{MINIMAL, added, parse};

const SERVICE: &str = "[services.chat]\nurl = \"http://127.0.0.1:8080/chat\"\n";

#[test]
fn a_service_has_one_url_or_several() {
    let chat = |text: &str| parse(&format!("{MINIMAL}{text}")).services["chat"].clone();
    assert_eq!(chat(SERVICE), ServiceConfig::at("http://127.0.0.1:8080/chat"));
    let several = chat("[services.chat]\nurl = [\"http://a\", \"https://[::1]:65535/b/\"]");
    assert_eq!(several.url.expect("it has some").all(), ["http://a", "https://[::1]:65535/b/"]);
    let set = chat(&format!("{SERVICE}http = {{ http2 = true, keep-alive = \"250ms\" }}"));
    let http = HttpConfig { http2: true, keep_alive: Duration::from_millis(250), ..HttpConfig::default() };
    assert_eq!(set.http, http);
}

#[test]
fn a_service_asks_for_events_by_their_names() {
    let parsed = parse(&format!("{MINIMAL}{SERVICE}events = [\"opened\", \"closed\"]"));
    assert_eq!(parsed.services["chat"].events, [ServiceEvent::Opened, ServiceEvent::Closed]);
    let [problem] = &added(&format!("{SERVICE}events = [\"open\"]"))[..] else { panic!("one") };
    assert!(
        problem.starts_with("w.toml:10:11: services.chat.events[0]: \"open\" is not allowed"),
        "{problem}"
    );
}

#[test]
fn what_is_no_url_of_a_service_is_refused() {
    let wrong = [
        "",
        "127.0.0.1:8080",
        "ftp://a",
        "http://",
        "http://a b",
        "http://ann@a",
        "http://a/?b",
        "http://a/#b",
    ];
    for url in wrong.into_iter().chain(["http://a:0", "http://a:65536", "http://a//b", "http://a/ä"]) {
        for (value, key) in [(format!("{url:?}"), "url"), (format!("[{url:?}]"), "url[0]")] {
            let [problem] = &added(&format!("[services.chat]\nurl = {value}"))[..] else {
                panic!("one: {url}")
            };
            let begin = format!(": services.chat.{key}: {url:?} is not allowed: it must be ");
            assert!(problem.contains(&begin) && problem.contains("`http://HOST:PORT/PATH`"), "{problem}");
        }
    }
    let [problem] = &added("[services.chat]\nurl = []")[..] else { panic!("one") };
    assert_eq!(problem, "w.toml:9:1: services.chat.url: at least one is needed");
}

#[test]
fn one_service_answers_hellos() {
    let hello = |name: &str| format!("[services.{name}]\nurl = \"http://a\"\nhello = true\n");
    assert!(parse(&format!("{MINIMAL}{}", hello("chat"))).services["chat"].hello);
    assert_eq!(
        added(&[hello("chat"), hello("room")].concat()),
        ["w.toml:13:1: services.room.hello: only one service can answer the hellos of clients; \
             see services.chat.hello, line 10"]
    );
}

#[test]
fn keys_of_http_go_with_a_url() {
    assert_eq!(
        added(&format!("{SERVICE}http.ca-file = \"no-such\"")),
        ["w.toml:10:6: services.chat.http.ca-file: there is no file no-such"]
    );
    assert_eq!(
        added(&format!("{SERVICE}http.ca-file = \"Cargo.toml\"")),
        [
            "w.toml:10:6: services.chat.http.ca-file: it has no effect without a URL that begins with `https://`; \
             see services.chat.url, line 9"
        ]
    );
    assert_eq!(
        added("[services.chat]\nurl = \"https://a\"\nhttp.ca-file = \"Cargo.toml\""),
        ["w.toml:10:6: services.chat.http.ca-file: Cargo.toml has no certificate in PEM"]
    );
    let nats = "[nats]\nservers = [\"nats://127.0.0.1:4222\"]\n";
    assert_eq!(
        added(&format!("{nats}[services.chat]\nhttp.http2 = true")),
        ["w.toml:11:1: services.chat.http: it has no effect without `url`: the service is reached over NATS"]
    );
    assert_eq!(
        added(&format!("{nats}[services.chat]\nevents = [\"opened\"]")),
        [
            "w.toml:11:1: services.chat.events: it has no effect without `url`: a service behind NATS subscribes \
             to `events` below the prefix, where a node publishes all events"
        ]
    );
}
