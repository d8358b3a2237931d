//! The table `[control]`, and the settings that SIGHUP applies.

use super::{MINIMAL, added, parse};

/// Returns the problems of a table `[control]` with these keys.
#[track_caller]
fn control(keys: &str) -> Vec<String> {
    added(&format!("[control]\n{keys}"))
}

#[test]
fn the_control_api_listens_at_the_same_urls_everywhere() {
    let listens = |listen: &str| {
        let config = parse(&format!("{MINIMAL}[control]\n{listen}"));
        config.control.and_then(|control| control.listen).map(|address| address.to_string())
    };
    assert_eq!(listens(""), None, "the default socket");
    for (text, shown) in [
        ("127.0.0.1:1", "http://127.0.0.1:1"),
        ("http://[::1]:1", "http://[::1]:1"),
        ("http://0.0.0.0:1", "http://0.0.0.0:1"),
        ("unix:///run/wireplug/control.sock", "unix:///run/wireplug/control.sock"),
    ] {
        assert_eq!(listens(&format!("listen = '{text}'")).as_deref(), Some(shown));
    }
    assert_eq!(
        control("listen = 'localhost:1'"),
        [
            "w.toml:9:1: control.listen: \"localhost:1\" is not allowed: it must be a URL: a Unix socket such as \
          \"unix:///run/wireplug/control.sock\", or an IP address with a port, such as \"http://127.0.0.1:3011\" or \"https://192.0.2.1:3011\""
        ]
    );
}

#[test]
fn keys_of_the_control_api_without_effect_are_refused() {
    assert_eq!(
        control("listen = '127.0.0.1:3010'\ntoken-file = 'nowhere'"),
        [
            "w.toml:9:1: control.listen: a listener has 127.0.0.1:3010; see listeners[0].url, line 3",
            "w.toml:10:1: control.token-file: there is no file nowhere",
        ]
    );
    let allow = "allow = [{ uid = 1001, roles = ['read'] }]";
    let why = control(&format!("listen = '127.0.0.1:1'\n{allow}"));
    assert!(why[0].contains("control.allow: over TCP the server cannot know a client's user"), "{why:?}");
    let why = control(allow);
    assert!(why[0].contains("other users cannot enter the folder of the default socket"), "{why:?}");
    let why = control("token-file = 'w.toml'");
    assert!(why.iter().any(|why| why.contains("control.token-file: tokens are for TCP")), "{why:?}");
    let why = control("listen = 'unix:///x/y'\nallow = [{ uid = 1, roles = ['write'] }]");
    assert!(
        why[0].contains(
            "control.allow[0].roles[0]: \"write\" is not allowed: it must be \"read\" or \"push\" or \"trial\" or \"swap\" \
             or \"admin\""
        ),
        "{why:?}"
    );
    let why = control("listen = 'unix:///x/y'\nallow = [{ uid = 1, roles = [] }]");
    assert!(why[0].contains("control.allow[0].roles: at least one is needed"), "{why:?}");
    parse(&format!("{MINIMAL}[control]\nlisten = 'unix:///x/y'\n{allow}"));
}

#[test]
fn tls_of_the_control_api_goes_with_https() {
    let why = control("listen = 'https://127.0.0.1:1'");
    assert!(why[0].contains("control.listen: https:// needs this table"), "{why:?}");
    let tls = "tls = { certificate = 'no.pem', key = 'no.key' }";
    for listen in ["listen = 'http://127.0.0.1:1'\n", "listen = 'unix:///x/y'\n", ""] {
        let why = control(&format!("{listen}{tls}"));
        assert!(why.iter().any(|why| why.contains("control.tls: it would have no effect")), "{why:?}");
    }
    let why = control(&format!("listen = 'https://127.0.0.1:1'\n{tls}"));
    assert!(why.len() == 1 && why[0].contains("control.tls: no.pem: the file of `certificate`"), "{why:?}");
    let starttls = tls.replace('}', ", starttls = true }");
    let why = control(&format!("listen = 'https://127.0.0.1:1'\n{starttls}"));
    assert!(why.iter().any(|why| why.contains("`starttls` is for listeners")), "{why:?}");
    let unasked = tls.replace('}', ", client-certificates = 'optional' }");
    let why = control(&format!("listen = 'https://127.0.0.1:1'\n{unasked}"));
    assert!(
        why.iter().any(|why| why.contains("control.tls.client-certificates: it has no effect")),
        "{why:?}"
    );
    let certificates = "certificates = [{ subject = 'CN=ci', roles = ['trial'] }]";
    let why = control(&format!("listen = 'https://127.0.0.1:1'\n{tls}\n{certificates}"));
    assert!(why.iter().any(|why| why.contains("control.certificates: the server asks no client")), "{why:?}");
}
