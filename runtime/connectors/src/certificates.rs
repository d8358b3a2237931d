//! Tracks when certificates expire, and the tokens of the control API. Logs warnings before that,
//! and reports the times for the status of a node.
//!
//! A warning is logged 30 days, 7 days and 1 day before a certificate or a token expires, and once
//! it has expired. A list of revoked certificates is replaced often, so only its end is logged.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::ServerCertVerifier as _;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{CertificateError, Error, RootCertStore};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use x509_cert::crl::CertificateList;
use x509_cert::der::Decode as _;

const DAY: u64 = 24 * 3600;

/// The key of the configuration that names the lists of revoked certificates.
pub(crate) const CLIENT_CRL: &str = "client-crl";

/// How long before a certificate expires each warning is logged, in seconds. Programs that renew
/// certificates do so about 30 days before they expire.
const WARNINGS: [u64; 3] = [30 * DAY, 7 * DAY, DAY];

/// The longest time between two looks at the clock. The clock may be set in between.
const LOOK: Duration = Duration::from_secs(3600);

/// The end of the year 9999, in seconds since 1970: the latest time that a certificate can name. A
/// certificate with this time never expires.
const NEVER: u64 = 253_402_300_799;

/// A certificate that a node uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CertificateStatus {
    /// The user of the certificate: the URL of a listener, or `nats`.
    pub used_by: String,
    /// The key of the configuration that names the certificate's file.
    pub key: String,
    /// The file. If it holds several certificates, this is the one that expires first.
    pub file: PathBuf,
    /// When the certificate expires, in seconds since 1970 (UTC).
    pub expires: u64,
}

/// A token of the control API that expires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct TokenStatus {
    /// The name of the token.
    pub name: String,
    /// The file with the token.
    pub file: PathBuf,
    /// When the token expires, in seconds since 1970 (UTC).
    pub expires: u64,
}

/// The time at which the first certificate of a file expires, or a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// The key of the configuration that names the file.
    pub key: &'static str,
    /// The file.
    pub file: PathBuf,
    /// The name of the token. `None` if it is a certificate that expires.
    pub token: Option<String>,
    /// The time, in seconds since 1970 (UTC).
    pub expires: u64,
}

/// The certificates that a server uses, by their users. A clone shares the same data and is cheap.
#[derive(Clone, Default)]
pub struct Certificates(Arc<Watched>);

#[derive(Default)]
struct Watched {
    /// The certificates of each user, each with the number of warnings that were logged.
    by_user: Mutex<BTreeMap<String, Vec<(Expiry, usize)>>>,
    changed: Notify,
}

impl Certificates {
    /// Sets the certificates, or the tokens, that `user` uses from now on, and logs the warnings
    /// that are due.
    pub fn set(&self, user: &str, expiries: Vec<Expiry>) {
        let mut by_user = self.by_user();
        let before = by_user.remove(user).unwrap_or_default();
        let warned =
            |expiry: &Expiry| before.iter().find(|(old, _)| old == expiry).map_or(0, |(_, warned)| *warned);
        let entries = expiries.into_iter().map(|expiry| (warned(&expiry), expiry));
        let entries: Vec<_> = entries.map(|(warned, expiry)| (expiry, warned)).collect();
        if !entries.is_empty() {
            by_user.insert(user.to_owned(), entries);
        }
        drop(by_user);
        self.warn(now());
        self.0.changed.notify_one();
    }

    /// Returns the status of all certificates in use.
    pub fn status(&self) -> Vec<CertificateStatus> {
        let by_user = self.by_user();
        let all =
            by_user.iter().flat_map(|(user, entries)| entries.iter().map(move |(expiry, _)| (user, expiry)));
        all.filter(|(_, expiry)| expiry.token.is_none())
            .map(|(user, Expiry { key, file, expires, .. })| CertificateStatus {
                used_by: user.clone(),
                key: (*key).to_owned(),
                file: file.clone(),
                expires: *expires,
            })
            .collect()
    }

    /// Returns the tokens in use that expire.
    pub fn tokens(&self) -> Vec<TokenStatus> {
        let by_user = self.by_user();
        let token = |expiry: &Expiry| {
            let Expiry { file, token, expires, .. } = expiry;
            Some(TokenStatus { name: token.clone()?, file: file.clone(), expires: *expires })
        };
        by_user.values().flatten().filter_map(|(expiry, _)| token(expiry)).collect()
    }

    /// Logs each warning when it becomes due, until `stop` is cancelled.
    pub async fn watch(self, stop: CancellationToken) {
        loop {
            let now = now();
            let wait =
                self.warn(now).map_or(LOOK, |next| Duration::from_secs(next.saturating_sub(now)).min(LOOK));
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.changed.notified() => {}
                () = sleep(wait) => {}
            }
        }
    }

    /// Logs each warning that is due at a time, once. Returns when the next warning is due.
    fn warn(&self, now: u64) -> Option<u64> {
        let mut next = None;
        for (user, entries) in &mut *self.by_user() {
            for (expiry, warned) in entries {
                let due = due(expiry, now);
                if due > *warned {
                    *warned = due;
                    warn(user, expiry, now);
                }
                let at =
                    WARNINGS.get(due).map_or(expiry.expires, |before| expiry.expires.saturating_sub(*before));
                if due <= WARNINGS.len() {
                    // What is due now has been logged. The second is added because a certificate
                    // expires only when its last second has passed.
                    let at = at.max(now) + 1;
                    next = Some(next.map_or(at, |next: u64| next.min(at)));
                }
            }
        }
        next
    }

    fn by_user(&self) -> MutexGuard<'_, BTreeMap<String, Vec<(Expiry, usize)>>> {
        self.0.by_user.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns how many warnings are due for a certificate, including the one for an expired
/// certificate.
fn due(Expiry { key, expires, .. }: &Expiry, now: u64) -> usize {
    let left = expires.saturating_sub(now);
    let before = match *key {
        CLIENT_CRL => WARNINGS.len(),
        _ => WARNINGS.iter().filter(|before| left <= **before).count(),
    };
    before + usize::from(*expires < now)
}

fn warn(used_by: &str, Expiry { key, file, token, expires }: &Expiry, now: u64) {
    let file = file.display();
    if let Some(token) = token {
        match expires.checked_sub(now) {
            Some(rest) => {
                warn!(token, %file, left = left(rest), "a token of the control API expires soon: replace it");
            }
            None => {
                let expired = left(now - expires);
                warn!(token, %file, expired, "a token of the control API has expired: replace it, or remove it");
            }
        }
        return;
    }
    if *expires >= now {
        if *key == CLIENT_CRL {
            return;
        }
        let left = left(expires - now);
        warn!(used_by, key, %file, left, "a certificate expires soon: renew it");
        return;
    }
    let warning = format!("{file}: the certificate expired {} ago", left(now - expires));
    match *key {
        "certificate" => warn!(url = used_by, warning, "TLS clients will refuse this server"),
        CLIENT_CRL => warn!(
            url = used_by,
            %file,
            expired = left(now - expires),
            "a list of revoked certificates is out of date: what was revoked since is let in; get the current list"
        ),
        "certificate-file" => warn!(used_by, warning, "servers will refuse this node"),
        // The library does not check whether a root has expired, so it still accepts what the root
        // issued.
        _ => warn!(used_by, key, warning, "a root has expired: whoever checks it refuses what it issued"),
    }
}

/// Writes a time in words.
fn left(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} seconds"),
        120..7200 => format!("{} minutes", seconds / 60),
        7200..172_800 => format!("{} hours", seconds / 3600),
        _ => format!("{} days", seconds / DAY),
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Returns when a certificate expires, in seconds since 1970, or `None` if it never expires or
/// cannot be read.
pub fn expires(certificate: &CertificateDer<'static>) -> Option<u64> {
    match validity(certificate, UnixTime::since_unix_epoch(Duration::from_secs(NEVER)))? {
        CertificateError::ExpiredContext { not_after, .. } => Some(not_after.as_secs()),
        _ => None,
    }
}

/// Returns when a list of revoked certificates is out of date, in seconds since 1970, or `None` if
/// the list does not say it.
pub(crate) fn list_expires(list: &[u8]) -> Option<u64> {
    let list = CertificateList::from_der(list).ok()?;
    Some(list.tbs_cert_list.next_update?.to_unix_duration().as_secs())
}

/// Returns in how many days a certificate becomes valid, or `None` if its validity has begun
/// already or the certificate cannot be read.
pub fn begins_in(certificate: &CertificateDer<'static>) -> Option<u64> {
    match validity(certificate, UnixTime::now())? {
        CertificateError::NotValidYetContext { time, not_before } => {
            Some(not_before.as_secs().saturating_sub(time.as_secs()) / DAY)
        }
        _ => None,
    }
}

/// Returns what is wrong with a certificate at a time. The library checks the validity period
/// before anything else, so it does not matter who issued the certificate.
fn validity(certificate: &CertificateDer<'static>, time: UnixTime) -> Option<CertificateError> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).ok()?;
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()?;
    let anybody = ServerName::try_from("localhost").expect("a name");
    match verifier.verify_server_cert(certificate, &[], &anybody, &[], time) {
        Err(Error::InvalidCertificate(error)) => Some(error),
        _ => None,
    }
}

/// Returns when the first certificate of a PEM file expires, in seconds since 1970, or `None` if
/// none expires. Blocks on the disk.
///
/// # Errors
/// Returns an error if the file cannot be read or is not PEM.
pub fn earliest(file: &Path) -> io::Result<Option<u64>> {
    let text = fs::read(file)?;
    let all = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(all.iter().filter_map(expires).min())
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.status()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_come_at_their_times_and_once() {
        let expires = 100 * DAY;
        let certificates = Certificates::default();
        let expiry = Expiry { key: "certificate", file: "c.pem".into(), token: None, expires };
        certificates.0.by_user.lock().unwrap().insert("u".to_owned(), vec![(expiry.clone(), 0)]);
        let warned = |now| {
            let next = certificates.warn(now);
            (certificates.by_user()["u"][0].1, next)
        };
        assert_eq!(warned(0), (0, Some(70 * DAY + 1)));
        assert_eq!(warned(70 * DAY + 1), (1, Some(93 * DAY + 1)));
        assert_eq!(warned(93 * DAY + 1), (2, Some(99 * DAY + 1)));
        assert_eq!(warned(99 * DAY + 1), (3, Some(expires + 1)));
        assert_eq!(warned(expires), (3, Some(expires + 1)));
        assert_eq!(warned(expires + 1), (4, None));
        // The same certificate keeps its warnings when it is set again; another certificate has
        // none yet.
        certificates.set("u", vec![expiry.clone()]);
        assert_eq!(certificates.by_user()["u"][0].1, 4);
        certificates.set("u", vec![Expiry { expires: NEVER, ..expiry }]);
        assert_eq!(certificates.by_user()["u"][0].1, 0);
    }

    #[test]
    fn a_list_of_revoked_certificates_is_warned_of_only_when_it_is_out_of_date() {
        let expiry = Expiry { key: CLIENT_CRL, file: "c.pem".into(), token: None, expires: 100 };
        let certificates = Certificates::default();
        certificates.0.by_user.lock().unwrap().insert("u".to_owned(), vec![(expiry, 0)]);
        let warned = |now| (certificates.warn(now), certificates.by_user()["u"][0].1);
        assert_eq!(warned(100), (Some(101), 3), "nothing is logged yet");
        assert_eq!(warned(101), (None, 4));
    }

    #[test]
    fn tokens_are_warned_of_as_certificates_are_and_listed_apart() {
        let token = |name: &str, expires| Expiry {
            key: "token-file",
            file: "tokens".into(),
            token: Some(name.to_owned()),
            expires,
        };
        let certificates = Certificates::default();
        certificates.set("control", vec![token("ci", NEVER), token("old", 1)]);
        assert!(certificates.status().is_empty());
        let names: Vec<_> = certificates.tokens().into_iter().map(|token| token.name).collect();
        assert_eq!(names, ["ci", "old"]);
        let warned: Vec<_> = certificates.by_user()["control"].iter().map(|(_, warned)| *warned).collect();
        assert_eq!(warned, [0, 4]);
        certificates.set("control", Vec::new());
        assert!(certificates.tokens().is_empty());
    }

    #[test]
    fn times_are_written_in_words() {
        let times = [1, 120, 7200, 2 * DAY, 40 * DAY].map(left);
        assert_eq!(times, ["1 seconds", "2 minutes", "2 hours", "2 days", "40 days"]);
    }
}
