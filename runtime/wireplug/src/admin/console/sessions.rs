//! Who is logged in to the console. A restart of the server ends all of these sessions.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use axum::http::header::COOKIE;

use crate::codec::Digest;

/// How long a session lasts without a request. The page asks every few seconds while it is open.
const IDLE: Duration = Duration::from_secs(30 * 60);

/// How long a session lasts at most: a working day.
const LASTING: Duration = Duration::from_secs(12 * 60 * 60);

/// The most sessions at a time. If there are more, the one that was used the longest ago ends.
const MAX_SESSIONS: usize = 64;

/// The number of random bytes in a cookie.
const RANDOM: usize = 32;

/// The sessions of the console, each by the digest of its cookie.
pub(in crate::admin) struct ConsoleSessions {
    /// The name of the cookie. It contains the port, because browsers send the cookies of one host
    /// to all its ports.
    cookie: String,
    open: Mutex<HashMap<Digest, Session>>,
}

struct Session {
    /// The digest of the token with which somebody logged in.
    by: Digest,
    opened: Instant,
    used: Instant,
}

impl Session {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.used) >= IDLE
            || now.saturating_duration_since(self.opened) >= LASTING
    }
}

impl ConsoleSessions {
    /// Returns the sessions of the console at a port.
    pub(in crate::admin) fn new(port: u16) -> Self {
        Self { cookie: format!("wireplug-console-{port}"), open: Mutex::default() }
    }

    /// Returns the cookie of a request, if there is one.
    pub(in crate::admin) fn cookie<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let fields = headers.get_all(COOKIE).iter().filter_map(|field| field.to_str().ok());
        fields.flat_map(|field| field.split(';')).find_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            (name == self.cookie).then_some(value)
        })
    }

    /// Begins a session for somebody with the token that has this digest. Returns the field
    /// `Set-Cookie` that the browser gets.
    ///
    /// # Errors
    /// Returns an error if the system has no random bytes.
    pub(in crate::admin) fn begin(
        &self,
        by: Digest,
        is_https: bool,
        now: Instant,
    ) -> Result<String, getrandom::Error> {
        let mut random = [0; RANDOM];
        getrandom::fill(&mut random)?;
        let mut value = String::with_capacity(2 * RANDOM);
        for byte in random {
            let _ = write!(value, "{byte:02x}");
        }
        let mut open = self.lock();
        open.retain(|_, session| !session.is_over(now));
        if open.len() >= MAX_SESSIONS {
            let oldest = open.iter().min_by_key(|(_, session)| session.used).map(|(digest, _)| *digest);
            oldest.map(|digest| open.remove(&digest));
        }
        open.insert(Digest::of(value.as_bytes()), Session { by, opened: now, used: now });
        Ok(self.set_cookie(&value, if is_https { "; Secure" } else { "" }))
    }

    /// Returns the digest of the token with which the session of a cookie began, if the session is
    /// not over, and notes that it is in use.
    pub(in crate::admin) fn find(&self, cookie: &str, now: Instant) -> Option<Digest> {
        let mut open = self.lock();
        let digest = Digest::of(cookie.as_bytes());
        let session = open.get_mut(&digest)?;
        if session.is_over(now) {
            open.remove(&digest);
            return None;
        }
        session.used = now;
        Some(session.by)
    }

    /// Ends the session of a cookie. Returns the field `Set-Cookie` with which the browser forgets
    /// the cookie.
    pub(super) fn end(&self, cookie: Option<&str>) -> String {
        if let Some(cookie) = cookie {
            self.lock().remove(&Digest::of(cookie.as_bytes()));
        }
        self.set_cookie("", "; Max-Age=0")
    }

    fn set_cookie(&self, value: &str, more: &str) -> String {
        format!("{}={value}; Path=/; HttpOnly; SameSite=Strict{more}", self.cookie)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Session>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ann() -> Digest {
        Digest::of(b"a token of ann")
    }

    /// Begins a session. Returns the value of its cookie.
    fn begin(sessions: &ConsoleSessions, now: Instant) -> String {
        let field = sessions.begin(ann(), false, now).unwrap();
        let pair = field.split(';').next().unwrap();
        let headers = HeaderMap::from_iter([(COOKIE, format!("other=1; {pair}").parse().unwrap())]);
        sessions.cookie(&headers).unwrap().to_owned()
    }

    #[test]
    fn a_cookie_is_for_this_origin_and_no_script() {
        let sessions = ConsoleSessions::new(3011);
        let plain = sessions.begin(ann(), false, Instant::now()).unwrap();
        assert!(
            plain.starts_with("wireplug-console-3011=")
                && plain.ends_with("; Path=/; HttpOnly; SameSite=Strict")
        );
        assert!(sessions.begin(ann(), true, Instant::now()).unwrap().ends_with("; Secure"));
        let other = HeaderMap::from_iter([(COOKIE, "wireplug-console-30=x; console=y".parse().unwrap())]);
        assert_eq!(sessions.cookie(&other), None);
    }

    #[test]
    fn a_session_ends_when_it_is_idle_or_old() {
        let (sessions, start) = (ConsoleSessions::new(1), Instant::now());
        let second = Duration::from_secs(1);
        let cookie = begin(&sessions, start);
        assert_eq!(sessions.find(&cookie, start + IDLE - second), Some(ann()));
        assert_eq!(sessions.find("", start), None);
        // Its use made the session last.
        assert_eq!(sessions.find(&cookie, start + IDLE + second), Some(ann()));
        assert_eq!(sessions.find(&cookie, start + 3 * IDLE), None);
        assert_eq!(sessions.find(&cookie, start), None, "it is gone for good");

        let cookie = begin(&sessions, start);
        let mut now = start;
        while now + IDLE / 2 < start + LASTING {
            now += IDLE / 2;
            assert_eq!(sessions.find(&cookie, now), Some(ann()));
        }
        assert_eq!(sessions.find(&cookie, start + LASTING), None);
    }

    #[test]
    fn logout_ends_one_session() {
        let (sessions, now) = (ConsoleSessions::new(1), Instant::now());
        let (first, second) = (begin(&sessions, now), begin(&sessions, now));
        assert!(
            sessions.end(Some(&first)).contains("wireplug-console-1=; ")
                && sessions.end(None).ends_with("Max-Age=0")
        );
        assert_eq!((sessions.find(&first, now), sessions.find(&second, now)), (None, Some(ann())));
    }

    #[test]
    fn there_are_at_most_64_sessions() {
        let (sessions, start) = (ConsoleSessions::new(1), Instant::now());
        let second = Duration::from_secs(1);
        let first = begin(&sessions, start);
        let oldest = begin(&sessions, start);
        sessions.find(&first, start + second);
        for _ in 2..=MAX_SESSIONS {
            begin(&sessions, start + second);
        }
        assert_eq!(sessions.lock().len(), MAX_SESSIONS);
        assert_eq!((sessions.find(&oldest, start), sessions.find(&first, start)), (None, Some(ann())));
    }
}
