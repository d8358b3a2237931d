//! The console: its page, and who may use the control API from it.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};

use serde_json::{Value, json};

use super::{ADMIN, Controlled, READER, configured, secret, tokens};

/// An answer, with its headers.
struct Answer {
    status: u16,
    headers: HashMap<String, String>,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{:?} is not JSON", self.body))
    }

    #[track_caller]
    fn refused(&self, status: u16, why: &str) {
        let error = self.json()["error"].as_str().unwrap_or_default().to_owned();
        assert!(self.status == status && error.contains(why), "{} {}", self.status, self.body);
    }
}

/// Returns a server with tokens.
fn server(name: &str) -> Controlled {
    let (_, tokens) = tokens(name);
    Controlled::with(&[&configured(name, &format!("listen = '127.0.0.1:0'\ntoken-file = '{tokens}'"))])
}

impl Controlled {
    /// Sends a request as a browser does, with these headers besides `Host`.
    fn browse(&self, method: &str, target: &str, headers: &str, body: &str) -> Answer {
        let mut socket = self.connect();
        let (host, length) = (&self.control, body.len());
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: {host}\r\n{headers}Content-Length: {length}\r\n\r\n"
        );
        // A refused request may not be read to its end.
        let _ = socket.write_all(format!("{head}{body}").as_bytes());
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("it answers, and closes");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("it has a status");
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        Answer { status: status.parse().expect("a number"), headers, body: body.to_owned() }
    }

    /// Returns the headers with which the page of the console says where it comes from.
    fn own_page(&self) -> String {
        format!("Origin: http://{}\r\nSec-Fetch-Site: same-origin\r\n", self.control)
    }

    fn log_in(&self, token: &str) -> Answer {
        self.browse("POST", "/console/login", &self.own_page(), &json!({ "token": token }).to_string())
    }

    /// Logs in. Returns the header with the cookie.
    fn cookie(&self, token: &str) -> String {
        let answer = self.log_in(token);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let field = &answer.headers["set-cookie"];
        format!("Cookie: {}\r\n", field.split(';').next().expect("a cookie has a value"))
    }
}

#[test]
fn the_page_loads_nothing_from_elsewhere() {
    let server = server("console-page");
    let console = server.console.as_deref().expect("the greeting names it");
    assert_eq!(console, format!("http://{}/console/", server.control));
    for (target, content_type) in [
        ("/console/", "text/html; charset=utf-8"),
        ("/console/console.js", "text/javascript; charset=utf-8"),
        ("/console/console.css", "text/css; charset=utf-8"),
    ] {
        let answer = server.browse("GET", target, "", "");
        assert_eq!((answer.status, &*answer.headers["content-type"]), (200, content_type));
        let policy = &answer.headers["content-security-policy"];
        for rule in
            ["default-src 'none';", "script-src 'self';", "frame-ancestors 'none'", "form-action 'none'"]
        {
            assert!(policy.contains(rule), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers["referrer-policy"], "no-referrer");
        assert_eq!(answer.headers["cache-control"], "no-cache");
        let known = format!("If-None-Match: {}\r\n", answer.headers["etag"]);
        let again = server.browse("GET", target, &known, "");
        assert_eq!((again.status, &*again.body), (304, ""));
    }
    let page = server.browse("GET", "/console/", "", "").body;
    assert!(page.contains("./console.js") && !page.contains("//cdn") && !page.contains("https://"), "{page}");
    let moved = server.browse("GET", "/console", "", "");
    assert_eq!((moved.status, &*moved.headers["location"]), (308, "/console/"));
    // Answers of the API are not kept by the browser, nor shown as anything but JSON.
    let answer = server.browse("GET", "/codecs", "", "");
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
}

#[test]
fn a_login_gives_a_cookie_that_no_other_page_can_use() {
    let server = server("console-login");
    server.browse("GET", "/console/session", "", "").refused(401, "nobody is logged in");
    let answer = server.log_in(ADMIN);
    assert_eq!((answer.status, &answer.json()["roles"]), (200, &json!(["admin"])));
    let port = server.control.rsplit(':').next().expect("a port");
    let field = &answer.headers["set-cookie"];
    assert!(field.starts_with(&format!("wireplug-console-{port}=")), "{field}");
    assert!(field.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{field}");
    assert!(server.logged("a browser logged in to the console").contains("who=\"token:ann\""));

    let cookie = server.cookie(ADMIN);
    let page = server.own_page();
    assert_eq!(server.browse("GET", "/codecs", &format!("{cookie}{page}"), "").status, 200);
    let who = server.browse("GET", "/console/session", &format!("{cookie}{page}"), "").json();
    let all = json!(["read", "push", "trial", "swap", "admin"]);
    assert_eq!((&who["name"], &who["may"]), (&json!("ann"), &all));
    // Another port of this machine is the same site, and its pages send the cookie too.
    for elsewhere in [
        "Origin: http://127.0.0.1:1\r\nSec-Fetch-Site: same-site\r\n",
        "Origin: http://127.0.0.1:1\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Origin: null\r\n",
        "Origin: http://evil.example\r\nSec-Fetch-Site: same-origin\r\n",
    ] {
        let headers = format!("{cookie}{elsewhere}");
        for (method, target) in [
            ("GET", "/codecs"),
            ("POST", "/codecs/pomelo/rollback"),
            ("POST", "/console/login"),
            ("POST", "/console/logout"),
        ] {
            server.browse(method, target, &headers, "").refused(403, "other browsers are refused");
        }
    }
    // A change needs proof of where it comes from.
    server.browse("POST", "/codecs/pomelo/rollback", &cookie, "").refused(403, "not from the page");
    let change = format!("{cookie}{page}");
    server.browse("POST", "/codecs/pomelo/rollback", &change, "").refused(409, "");
    // The page is no excuse for a token.
    let token = format!("Authorization: Bearer {ADMIN}\r\n{page}");
    server.browse("GET", "/codecs", &token, "").refused(403, "browsers are refused");
}

#[test]
fn a_wrong_token_is_refused_and_delayed() {
    let server = server("console-wrong");
    let wrong = "f".repeat(32);
    let statuses: Vec<_> = (0..6).map(|_| server.log_in(&wrong).status).collect();
    assert_eq!(statuses[..4], [401; 4]);
    assert!(statuses[4..].contains(&429), "{statuses:?}");
    assert!(server.logged("the control API refuses a request").contains("status=401"));
    for body in ["", "{}", "[]", r#"{"token": 7}"#, &format!(r#"{{"token": "{}"}}"#, "x".repeat(2000))] {
        let answer = server.browse("POST", "/console/login", &server.own_page(), body);
        answer.refused(400, "a login is");
    }
    assert_eq!(server.log_in(ADMIN).status, 200);
    let made_up = format!("Cookie: wireplug-console-1=x; wireplug-console-{}=x\r\n", port(&server));
    server.browse("GET", "/codecs", &made_up, "").refused(401, "log in again");
}

#[test]
fn the_role_of_the_token_is_that_of_the_console() {
    let server = server("console-role");
    let headers = format!("{}{}", server.cookie(READER), server.own_page());
    assert_eq!(server.browse("GET", "/nodes", &headers, "").status, 200);
    for (method, target) in [
        ("PUT", "/codecs/pomelo"),
        ("POST", "/codecs/pomelo/promote"),
        ("POST", "/codecs/pomelo/rollback"),
        ("DELETE", "/codecs/pomelo/trial"),
        ("POST", "/reload"),
    ] {
        server.browse(method, target, &headers, "").refused(403, "the client has only `read`");
    }
    let line = server.logged("a change of a codec was refused");
    assert!(line.contains("who=\"token:reader\"") && line.contains("address=\"127.0.0.1:"), "{line}");
}

#[test]
fn a_session_ends_with_its_token() {
    let server = server("console-rotated");
    let page = server.own_page();
    let (ann, reader) = (server.cookie(ADMIN), server.cookie(READER));
    let look = |cookie: &str| server.browse("GET", "/console/session", &format!("{cookie}{page}"), "");
    assert_eq!(look(&reader).json()["may"], json!(["read"]));
    let reload = || {
        let answer = server.ask("POST", "/reload", b"");
        assert_eq!(answer.0, 200, "{}", answer.1);
    };
    secret("console-rotated.tokens", format!("ann admin {ADMIN}\nreader trial {READER}\n"));
    reload();
    assert_eq!(look(&reader).json()["may"], json!(["read", "trial"]));
    secret("console-rotated.tokens", format!("ann admin {ADMIN}\nreader trial {READER} 2020-01-01\n"));
    reload();
    look(&reader).refused(401, "the token reader expired at 2020-01-01T00:00:00Z");
    secret("console-rotated.tokens", format!("ann admin {ADMIN}\n"));
    reload();
    look(&reader).refused(401, "is gone");
    server.browse("GET", "/codecs", &format!("{reader}{page}"), "").refused(401, "is gone");
    assert_eq!(look(&ann).status, 200);
}

#[test]
fn a_logout_ends_the_session() {
    let server = server("console-logout");
    let (first, second) = (server.cookie(ADMIN), server.cookie(ADMIN));
    let page = server.own_page();
    let answer = server.browse("POST", "/console/logout", &format!("{first}{page}"), "");
    assert_eq!(answer.status, 204);
    assert!(answer.headers["set-cookie"].contains("Max-Age=0"));
    server.browse("GET", "/codecs", &format!("{first}{page}"), "").refused(401, "log in again");
    assert_eq!(server.browse("GET", "/codecs", &format!("{second}{page}"), "").status, 200);
}

fn port(server: &Controlled) -> &str {
    server.control.rsplit(':').next().expect("a port")
}
