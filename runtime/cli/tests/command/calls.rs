//! `wireplug call` and `wireplug bench` over each transport, and their exit codes.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use wireplug_tests::app::ECHO;
use wireplug_tests::folder::Folder;
use wireplug_tests::running::finish;
use wireplug_tests::served::Served;

use super::cli::{demo, fails, printed, serve};
use super::program::wireplug;

/// A server with a listener of each kind.
struct Everywhere {
    _server: Served,
    folder: Folder,
    /// The URLs of the listeners, in this order: tcp, ws, tls, wss, unix, udp.
    urls: Vec<String>,
    /// The path of a file with the authority's certificate and the self-signed certificate of a
    /// server.
    authority: String,
}

impl Everywhere {
    fn start(name: &str) -> Self {
        let folder = Folder::new(&format!("calls-{name}"));
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, key()).expect("a root");
        let server_key = key();
        let server = CertificateParams::new(["127.0.0.1".to_owned()]).expect("names");
        let server = server.signed_by(&server_key, &authority).expect("a certificate");
        // A certificate as `openssl req -x509` makes it: an authority's certificate, which a strict
        // client does not accept from a server.
        let own_key = key();
        let mut own = CertificateParams::new(["localhost".to_owned()]).expect("names");
        own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let own = own.self_signed(&own_key).expect("a certificate");
        for (file, text) in [
            ("authority.pem", authority.pem()),
            ("server.pem", server.pem()),
            ("server.key", server_key.serialize_pem()),
            ("own.pem", own.pem()),
            ("own.key", own_key.serialize_pem()),
        ] {
            folder.write(file, text);
        }
        let tls = "tls = { certificate = 'server.pem', key = 'server.key' }";
        let listeners = [
            ("tcp://127.0.0.1:0".to_owned(), ""),
            ("ws://127.0.0.1:0".to_owned(), ""),
            ("tls://127.0.0.1:0".to_owned(), tls),
            ("wss://127.0.0.1:0".to_owned(), tls),
            (format!("unix://{}", folder.text("socket")), ""),
            ("udp://127.0.0.1:0".to_owned(), ""),
            ("hybrid+tls://127.0.0.1:0".to_owned(), "tls = { certificate = 'own.pem', key = 'own.key' }"),
        ];
        let listeners =
            listeners.map(|(url, tls)| format!("[[listeners]]\nurl = '{url}'\ncodec = 'a'\n{tls}\n"));
        let text = format!("app = 'demo'\n[codecs.a]\nbuiltin = 'pomelo'\n{}", listeners.concat());
        let server = demo(wireplug(["serve"]).arg(folder.write("w.toml", text)), Stdio::null());
        let urls = server.urls.clone();
        assert_eq!(urls.len(), 7);
        Self { _server: server, authority: folder.text("authority.pem"), folder, urls }
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

#[test]
fn they_speak_all_transports_that_clients_have() {
    let everywhere = Everywhere::start("transports");
    let Everywhere { urls, authority, .. } = &everywhere;
    // Longer than a read. Over UDP the body is short, because a datagram holds 1200 bytes.
    let long = format!("\"{}\"", "x".repeat(30_000));
    for url in &urls[..6] {
        let body = if url.starts_with("udp:") { "{\"hello\":\"wörld\"}" } else { &*long };
        assert_eq!(printed(&["call", url, ECHO, body, "--ca", authority]), format!("{body}\n"), "{url}");
        let (code, said) = fails(&["call", url, "connector.entryHandler.nope", "--ca", authority]);
        assert_eq!(code, Some(4), "{url}: {said}");
        let bench = [
            "bench",
            url.as_str(),
            "--ca",
            authority.as_str(),
            "--duration",
            "300ms",
            "--ramp",
            "1ms",
            "--connections",
            "3",
        ];
        let report = printed(&[&bench[..], &["--pipeline", "4", "--json"]].concat());
        let report: serde_json::Value = serde_json::from_str(&report).expect("a report is JSON");
        assert!(report["answers"].as_u64().is_some_and(|answers| answers > 0), "{url}: {report}");
    }
}

#[test]
fn they_trust_the_authorities_that_they_are_given() {
    let everywhere = Everywhere::start("trust");
    let Everywhere { urls, authority, folder, .. } = &everywhere;
    let own = &folder.text("own.pem");
    let hybrid = urls[6].strip_prefix("hybrid+tls://").expect("it is the last one");
    for (scheme, name) in [("tls", "127.0.0.1"), ("wss", "localhost")] {
        let url = format!("{scheme}://{}", hybrid.replace("127.0.0.1", name));
        assert_eq!(printed(&["call", &url, ECHO, "[1]", "--ca", own]), "[1]\n");
        let (code, said) = fails(&["call", &url, ECHO, "--ca", authority]);
        assert_eq!(code, Some(1));
        assert!(said.contains("the TLS handshake failed") && said.contains("; `--ca FILE` names"), "{said}");
    }
    let plain = urls[0].replace("tcp://", "tls://");
    let (code, said) = fails(&["call", &plain, ECHO, "--ca", authority]);
    assert_eq!(code, Some(1));
    assert!(said.contains("the TLS handshake failed"), "{said}");
}

#[test]
fn a_call_says_by_its_exit_code_how_it_was_answered() {
    let server = serve(&[]);
    let url = server.url("tcp");
    let join = ["chat.chatHandler.join", "{\"name\":\"ann\"}"];
    let cases: [(&[&str], i32, &str, &str); 4] = [
        (
            &["connector.entryHandler.nope"],
            4,
            "{\"code\":404}\n",
            "connector.entryHandler.nope answered with code 404",
        ),
        // The route answers with the request's body, whatever code is in it.
        (&[ECHO, "{\"code\":503}"], 5, "{\"code\":503}\n", "code 503"),
        (&[ECHO, "{\"code\":200}"], 0, "{\"code\":200}\n", ""),
        // No further request is sent after a failure.
        (
            &["chat.chatHandler.send", "{\"text\":\"hi\"}", "--then", join[0], join[1]],
            4,
            "{\"code\":403}\n",
            "code 403",
        ),
    ];
    for (request, wanted, out, says) in cases {
        let done = finish(&mut wireplug([&["call", url.as_str()][..], request].concat()));
        assert_eq!(done.code, Some(wanted), "{request:?}: {done:?}");
        assert_eq!(done.output, out, "{request:?}");
        assert!(done.errors.contains(says), "{request:?}: {done:?}");
    }
}

#[test]
fn a_refused_handshake_is_an_answer_too() {
    let rules = "{\"checkClient\":[{\"type\":\"unity\",\"min\":\"1.0\"}]}";
    let server = serve(&["--options", rules]);
    let (code, said) = fails(&["call", &server.url("tcp"), ECHO]);
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("refused the handshake with code 501"), "{said}");
}

/// `wireplug call … --listen | head -1` ends, because its output is not read any more.
#[test]
fn a_call_that_nobody_reads_any_more_ends() {
    let server = serve(&[]);
    let url = server.url("tcp");
    let join = ["chat.chatHandler.join", "{\"name\":\"ann\"}"];
    let mut listening = wireplug(["call", &url, join[0], join[1], "--listen"]);
    let mut listening =
        listening.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary is there");
    let mut first = String::new();
    let mut stdout = BufReader::new(listening.stdout.take().expect("it is piped"));
    stdout.read_line(&mut first).expect("it prints");
    assert_eq!(first, "{\"name\":\"ann\"}\n");
    drop(stdout);
    printed(&[
        "call",
        &url,
        join[0],
        "{\"name\":\"bob\"}",
        "--then",
        "chat.chatHandler.send",
        "{\"text\":\"hi\"}",
    ]);
    let output = listening.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), &*String::from_utf8_lossy(&output.stderr)), (Some(0), ""));
}
