//! What a client of the control API may do with each of its roles.

use wireplug::config::ControlRole::{self, Admin, Read, Swap, Trial};

use super::{Controlled, bearer, configured, error, secret};

/// Each request, with the least role that it needs. None of them does anything: they are about what
/// does not exist, or about nothing that would change.
const REQUESTS: &[(&str, &str, &str, ControlRole)] = &[
    ("GET", "/nodes", "", Read),
    ("GET", "/events", "", Read),
    ("GET", "/metrics?unknown=1", "", Read),
    ("GET", "/stats", "", Read),
    ("GET", "/codecs", "", Read),
    ("GET", "/codecs/pomelo", "", Read),
    ("GET", "/sessions", "", Read),
    ("GET", "/sessions/999", "", Read),
    ("GET", "/trace?session=999", "", Read),
    ("GET", "/faults", "", Read),
    // These hold what the mask of the server hides.
    ("GET", "/sessions/999/recent.vectors", "", Admin),
    ("GET", "/trace/vectors?session=999", "", Admin),
    ("GET", "/faults/999.vectors", "", Admin),
    ("PUT", "/codecs/pomelo?trial=canary&share=1", "nonsense", Trial),
    ("PUT", "/codecs/pomelo?trial=shadow&share=1&force=true", "nonsense", Swap),
    ("PUT", "/codecs/pomelo", "nonsense", Swap),
    ("DELETE", "/codecs/pomelo/trial", "", Trial),
    ("POST", "/codecs/pomelo/promote", "", Swap),
    ("POST", "/codecs/pomelo/rollback", "", Swap),
    ("POST", "/codecs/pomelo/reload", "", Swap),
    ("POST", "/reload?dry-run=true", "", Trial),
    ("POST", "/reload", "", Admin),
    ("POST", "/reload?dry-run=false", "", Admin),
    ("POST", "/drain?wait=1h", "", Admin),
    ("POST", "/upgrade?unknown=1", "", Admin),
    ("DELETE", "/sessions?user=nobody", "", Admin),
    ("DELETE", "/sessions/999", "", Admin),
];

/// Returns a token for roles, and the line of a file that has it.
fn token(roles: &str) -> (String, String) {
    let token = format!("the-only-token-of-{}", roles.replace(',', "-"));
    let line = format!("{} {roles} {token}\n", roles.replace(',', "-"));
    (token, line)
}

/// Starts a server with a mask, and a token for each of these lists of roles.
fn server(name: &str, roles: &[&str]) -> Controlled {
    let lines: String = roles.iter().map(|roles| token(roles).1).collect();
    secret(&format!("{name}.tokens"), lines);
    let control = format!("listen = '127.0.0.1:0'\ntoken-file = '{name}.tokens'\ntrace-mask = ['text']");
    Controlled::with(&[&configured(name, &control)])
}

#[test]
fn each_request_needs_its_role() {
    let roles = ControlRole::ALL.map(ControlRole::name);
    let server = server("roles-each", &roles);
    for role in ControlRole::ALL {
        let headers = bearer(&token(role.name()).0);
        for &(method, target, body, needed) in REQUESTS {
            let head =
                format!("{method} {target} HTTP/1.1\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
            let (status, answer) = server.raw_text(&format!("{head}{body}"));
            let shown = format!("{} {method} {target}: {status} {answer}", role.name());
            match role.includes(needed) {
                true => assert!(![401, 403, 429].contains(&status), "{shown}"),
                false => {
                    let wanted = format!("needs the role `{}`", needed.name());
                    // A request that may not even begin says what it needs to begin.
                    let to_begin = answer.contains("needs the role `trial`") && needed > Trial;
                    let to_look = answer.contains("needs the role `read`") && target.contains("vectors");
                    assert_eq!(status, 403, "{shown}");
                    assert!(answer.contains(&wanted) || to_begin || to_look, "{shown}");
                }
            }
        }
    }
}

#[test]
fn a_client_may_do_what_any_of_its_roles_may() {
    let server = server("roles-several", &["push,read", "trial,push"]);
    let ask = |roles: &str, method: &str, target: &str| {
        server.ask_with(method, target, &bearer(&token(roles).0), b"")
    };
    assert_eq!(ask("push,read", "GET", "/codecs").0, 200);
    let why = error(ask("push,read", "DELETE", "/codecs/pomelo/trial"), 403);
    assert_eq!(why, "this needs the role `trial`, and the client has only `read,push`");
    assert_eq!(ask("trial,push", "DELETE", "/codecs/pomelo/trial").0, 409);
    assert_eq!(ask("trial,push", "GET", "/codecs").0, 200);
}

#[test]
fn what_is_refused_is_audited_with_the_token_and_its_roles() {
    let server = server("roles-audited", &["read", "trial", "swap"]);
    let ask = |role: &str, method: &str, target: &str, body: &[u8]| {
        server.ask_with(method, target, &bearer(&token(role).0), body)
    };
    for (role, method, target, change) in [
        ("read", "PUT", "/codecs/pomelo?trial=canary&share=1", "upload"),
        ("read", "POST", "/codecs/pomelo/promote", "promote"),
        ("trial", "PUT", "/codecs/pomelo", "swap"),
        ("trial", "POST", "/codecs/pomelo/rollback", "rollback"),
        ("trial", "DELETE", "/codecs/pomelo/trial", "end-trial"),
    ] {
        ask(role, method, target, b"");
        let line = server.logged("a change of a codec was refused");
        let who = format!("who=\"token:{role}\" roles=\"{role}\" address=\"127.0.0.1:");
        assert!(line.contains(&who) && line.contains(&format!("change=\"{change}\"")), "{line}");
    }
    assert_eq!(ask("swap", "PUT", "/codecs/pomelo", &super::noted("roles")).0, 200);
    assert!(server.logged("a codec was changed").contains("who=\"token:swap\" roles=\"swap\""));
    error(ask("swap", "POST", "/reload", b""), 403);
    assert!(server.logged("a change of the configuration was refused").contains("who=\"token:swap\""));
}
