//! Listeners: their addresses, and the settings of the layers between transport and codec.

use wireplug::connector::Connectors;

use super::{parse, problems};

#[test]
fn listeners_have_addresses_of_their_own() {
    let listeners = |urls: &[&str]| -> String {
        let listener = |url: &&str| format!("[[listeners]]\nurl = '{url}'\ncodec = 'a'\n");
        urls.iter().map(listener).chain(["[codecs.a]\nbuiltin = 'pomelo'".to_owned()]).collect()
    };
    assert_eq!(
        problems(&listeners(&[
            "tcp://[::1]:1",
            "ws://[::1]:2",
            "ws://[::1]:1",
            "tcp://:1",
            "tcp://a",
            "tcp://a:1/b"
        ])),
        [
            "w.toml:8:1: listeners[2].url: another listener has [::1]:1; hybrid:// is TCP and WebSocket \
             on one port; see listeners[0].url, line 2",
            "w.toml:11:1: listeners[3].url: tcp://:1: the host is missing",
            "w.toml:14:1: listeners[4].url: tcp://a: the port is missing",
            "w.toml:17:1: listeners[5].url: tcp://a:1/b: a listener's URL is only tcp://HOST:PORT",
        ]
    );
    // The address of all interfaces collides with every other address of the same port. UDP ports
    // are separate.
    assert_eq!(
        problems(&listeners(&[
            "tcp://0.0.0.0:1",
            "ws://127.0.0.1:1",
            "udp://0.0.0.0:1",
            "hybrid://[::]:1",
            "udp://[::]:1",
            "tcp://[::1]:2",
            "tcp://127.0.0.1:2",
            "unix:///run/a",
            "unix:///run/a",
        ])),
        [
            "w.toml:5:1: listeners[1].url: another listener has 0.0.0.0:1, so that 127.0.0.1:1 cannot be bound; \
             hybrid:// is TCP and WebSocket on one port; see listeners[0].url, line 2",
            "w.toml:11:1: listeners[3].url: another listener has 0.0.0.0:1, so that [::]:1 cannot be bound; [::] is \
             all addresses, those of IPv4 too; hybrid:// is TCP and WebSocket on one port; see listeners[0].url, \
             line 2",
            "w.toml:14:1: listeners[4].url: another listener has udp://0.0.0.0:1, so that udp://[::]:1 cannot be \
             bound; [::] is all addresses, those of IPv4 too; see listeners[2].url, line 8",
            "w.toml:26:1: listeners[8].url: another listener has unix:///run/a; see listeners[7].url, line 23",
        ]
    );
    // The schemes depend on the features of the build.
    let connectors = Connectors::default();
    let schemes: Vec<&str> = connectors.schemes().collect();
    assert!(schemes.contains(&"hybrid+tls") && schemes.contains(&"udp"), "{schemes:?}");
    let there = schemes.join(", ");
    assert_eq!(
        problems(&listeners(&["quic://a:1"])),
        [format!("w.toml:2:1: listeners[0].url: quic://a:1: unknown transport \"quic\"; there is {there}")]
    );
    assert_eq!(
        problems(&listeners(&["tcp://a:1"]).replace("codec =", "options.x = 1\ncodec =")),
        [
            "w.toml:2:1: listeners[0].url: tcp://a:1: its options: unknown field `x`, there are no fields; see \
          listeners[0].options, line 3"
        ]
    );
    parse(&listeners(&["tcp://127.0.0.1:0", "tcp://127.0.0.1:0", "tcp://127.0.0.1:1", "tcp://127.0.0.2:1"]));
}

// === layers ===

/// Returns a listener at each URL, with further keys.
fn layered(url: &str, more: &str) -> String {
    format!("[codecs.a]\nbuiltin = 'pomelo'\n[[listeners]]\nurl = '{url}'\ncodec = 'a'\n{more}")
}

#[test]
fn tls_and_its_settings_go_together() {
    for scheme in ["tls", "wss", "hybrid+tls"] {
        let url = format!("{scheme}://a:1");
        assert_eq!(
            problems(&layered(&url, "")),
            [format!(
                "w.toml:4:1: listeners[0].url: {url}: it is encrypted, and has no `tls` with a `certificate` and its `key`"
            )]
        );
    }
    assert_eq!(
        problems(&layered("ws://a:1", "tls.certificate = 'c'\ntls.key = 'k'")),
        [
            "w.toml:6:1: listeners[0].tls: ws://a:1: it is not encrypted, so `tls` would have no effect; tls://, wss:// and \
          hybrid+tls:// are, and tcp:// switches to TLS later with `tls.starttls = true`; see listeners[0].url, line 4"
        ]
    );
    assert_eq!(
        problems(&layered("ws://a:1", "tls.certificate = 'c'\ntls.key = 'k'\ntls.starttls = true")),
        [
            "w.toml:6:1: listeners[0].tls: ws://a:1: its `tls.starttls` would have no effect: only tcp:// can switch to TLS \
          later; see listeners[0].url, line 4"
        ]
    );
    assert_eq!(
        problems(&layered("tls://a:1", "tls.certificate = 'c'\ntls.keys = 'k'")),
        [
            "w.toml:6:1: listeners[0].tls.key: it is missing: a PEM file with the certificate's private key, without a \
             password; a path relative to the configuration file. Let nobody else read it",
            "w.toml:7:5: listeners[0].tls.keys: this key is unknown; did you mean `key`?"
        ]
    );
    assert_eq!(
        problems(&layered(
            "tls://a:1",
            "tls.certificate = 'no/c.pem'\ntls.key = 'k'\ntls.client-certificates = 'optional'\ntls.client-crl = 'r'"
        )),
        [
            "w.toml:6:1: listeners[0].tls: no/c.pem: the file of `certificate` cannot be read: No such file or directory \
             (os error 2)",
            "w.toml:8:5: listeners[0].tls.client-certificates: it has no effect without `client-ca`, the roots of the \
             clients' certificates",
            "w.toml:9:5: listeners[0].tls.client-crl: it has no effect without `client-ca`, the roots of the clients' \
             certificates",
        ]
    );
    assert_eq!(
        problems(
            &layered("tcp://a:1", "").replace("[[", "[[listeners]]\nurl = 'tls://a:1'\ncodec = 'a'\n[[")
        )
        .len(),
        2,
        "one port, and no settings"
    );
}

#[test]
fn the_lists_of_websocket_are_checked() {
    let lists = "websocket.paths = ['game']\nwebsocket.origins = ['https://example.org/']\nwebsocket.subprotocols = ['a b']\nwebsocket.headers = ['a:b']";
    assert_eq!(
        problems(&layered("ws://a:1", lists)),
        [
            "w.toml:6:20: listeners[0].websocket.paths[0]: \"game\" is not allowed: it must be a path of a URL, such as \"/\" \
             or \"/game\"",
            "w.toml:7:22: listeners[0].websocket.origins[0]: \"https://example.org/\" is not allowed: it must be an origin as \
             browsers write it, such as \"https://example.org\" or \"https://example.org:8443\", or \"null\"",
            "w.toml:8:27: listeners[0].websocket.subprotocols[0]: \"a b\" is not allowed: it must be a name without spaces and \
             commas, such as \"chat.v2\"",
            "w.toml:9:22: listeners[0].websocket.headers[0]: \"a:b\" is not allowed: it must be the name of an HTTP header field, \
             such as \"authorization\"",
        ]
    );
    assert_eq!(
        problems(&layered("tcp://a:1", "websocket.paths = ['/game']")),
        [
            "w.toml:6:1: listeners[0].websocket: tcp://a:1: it speaks no WebSocket, so `websocket` would have no effect; see \
          listeners[0].url, line 4"
        ]
    );
    let good = "websocket.paths = ['/']\nwebsocket.origins = ['null', 'https://example.org']\nwebsocket.subprotocols = ['v2']\nwebsocket.headers = ['Authorization']";
    parse(&layered("hybrid://a:1", good));
}
