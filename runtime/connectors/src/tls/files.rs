//! Loads the files of TLS. An error says which file is wrong, and what to do.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{Error, InconsistentKeys, RootCertStore, ServerConfig};
use tracing::warn;

use crate::certificates::{self, CLIENT_CRL, Certificates, Expiry};
use crate::config::{ClientCertificates, TlsConfig};
use wireplug_base::BoxError;
use wireplug_base::ownership::{self, SecretFile};

/// The largest file of a private key, in bytes. An RSA key of 16,384 bits takes about 12 KiB.
const MAX_KEY: u64 = 1 << 20;

/// The loaded content of the files.
pub struct Loaded {
    config: ServerConfig,
    /// Why clients will refuse the certificate, except that it expires.
    warning: Option<String>,
    /// When the certificates expire.
    expiries: Vec<Expiry>,
    /// A warning if other users can access the key.
    exposed: Option<String>,
}

impl Loaded {
    /// Logs the warnings about files that can be loaded, but will cause trouble. Records in `known`
    /// when the certificates expire.
    pub fn warn(&self, url: &str, known: &Certificates) {
        known.set(url, self.expiries.clone());
        if let Some(warning) = &self.warning {
            warn!(%url, warning, "TLS clients will refuse this server");
        }
        if let Some(warning) = &self.exposed {
            warn!(%url, warning, "the private key of TLS is not kept");
        }
    }

    /// Returns the configuration for connections that speak the protocol with these ALPN names.
    pub(super) fn for_protocol(mut self, alpn: &[&str]) -> Arc<ServerConfig> {
        self.config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(self.config)
    }
}

/// The reason why the files of TLS cannot be used. The message says which file is wrong, and what
/// to do.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct TlsError(BoxError);

/// Loads the files of TLS.
///
/// # Errors
/// Returns an error if a file cannot be read or used. The error names the file and what to do.
pub fn load(tls: &TlsConfig) -> Result<Loaded, TlsError> {
    read_all(tls).map_err(|error| TlsError(error.into()))
}

fn read_all(tls: &TlsConfig) -> anyhow::Result<Loaded> {
    let provider = Arc::new(ring::default_provider());
    let chain = certificates(&tls.certificate, "certificate")?;
    let (key, exposed) = private_key(&tls.key)?;
    let warning = certificates::begins_in(&chain[0]).map(|days| {
        let file = tls.certificate.display();
        format!("{file}: the certificate begins to hold in {days} days; is the clock right?")
    });
    let expiry = |key, file: &Path, all: &[CertificateDer<'static>]| {
        let expires = all.iter().filter_map(certificates::expires).min()?;
        Some(Expiry { key, file: file.to_owned(), token: None, expires })
    };
    let mut expiries: Vec<Expiry> = expiry("certificate", &tls.certificate, &chain).into_iter().collect();
    let certified = CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => anyhow!(
            "the key in {} does not belong to the first certificate in {}: the server's own stands first, and \
             behind it those that issued it",
            tls.key.display(),
            tls.certificate.display()
        ),
        Error::InvalidCertificate(error) => {
            anyhow!("{}: its first certificate cannot be read: {error}", tls.certificate.display())
        }
        error => anyhow!("{}: the key cannot be used: {error}", tls.key.display()),
    })?;

    let clients = match &tls.client_ca {
        None => WebPkiClientVerifier::no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            let found = certificates(path, "client-ca")?;
            expiries.extend(expiry("client-ca", path, &found));
            for root in found {
                roots.add(root).with_context(|| format!("{}: a root cannot be used", path.display()))?;
            }
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
            let verifier = match tls.client_certificates {
                Some(ClientCertificates::Optional) => verifier.allow_unauthenticated(),
                Some(ClientCertificates::Required) | None => verifier,
            };
            let (verifier, lists) = match &tls.client_crl {
                None => (verifier, None),
                Some(lists) => {
                    let revoked = revoked(lists)?;
                    let expires = revoked.iter().filter_map(|list| certificates::list_expires(list)).min();
                    expiries.extend(expires.map(|expires| Expiry {
                        key: CLIENT_CRL,
                        file: lists.clone(),
                        token: None,
                        expires,
                    }));
                    (verifier.with_crls(revoked), Some(lists))
                }
            };
            verifier.build().with_context(|| match lists {
                None => format!("{}: its roots cannot be used", path.display()),
                Some(lists) => {
                    format!("{} or {}: they cannot be used together", path.display(), lists.display())
                }
            })?
        }
    };
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    Ok(Loaded { config, warning, expiries, exposed })
}

/// Returns all certificates of a file, at least one. `role` is the key of the configuration that
/// names the file.
fn certificates(path: &Path, role: &str) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let text = read(path, role)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| bad_pem(path, &error))?;
    if found.is_empty() {
        let hint = if holds(&text, "PRIVATE KEY-----") {
            "; it holds a private key, which belongs into `key`"
        } else if text.first() == Some(&0x30) {
            // The first byte of DER.
            "; `openssl x509 -inform der -in FILE` makes PEM of DER"
        } else {
            ""
        };
        bail!(
            "{}: there is no certificate in it: PEM has a line -----BEGIN CERTIFICATE-----{hint}",
            path.display()
        );
    }
    Ok(found)
}

/// Returns all lists of revoked certificates of a file, at least one.
fn revoked(path: &Path) -> anyhow::Result<Vec<CertificateRevocationListDer<'static>>> {
    let text = read(path, CLIENT_CRL)?;
    let found: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| bad_pem(path, &error))?;
    if found.is_empty() {
        let hint = if text.first() == Some(&0x30) {
            // The first byte of DER, in which most authorities publish their lists.
            "; `openssl crl -inform der -in FILE` makes PEM of DER"
        } else {
            ""
        };
        bail!(
            "{}: there is no list of revoked certificates in it: PEM has a line -----BEGIN X509 CRL-----{hint}",
            path.display()
        );
    }
    Ok(found)
}

/// Reads the private key. Also returns a warning if other users can access it.
fn private_key(path: &Path) -> anyhow::Result<(PrivateKeyDer<'static>, Option<String>)> {
    let read = ownership::read_secret(path, MAX_KEY);
    let SecretFile { content: text, warning } = read.with_context(|| not_read(path, "key"))?;
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            let hint = if holds(&text, "ENCRYPTED PRIVATE KEY-----") {
                "; it holds one with a password, which `openssl pkey -in FILE` takes off"
            } else if holds(&text, "-----BEGIN CERTIFICATE-----") {
                "; it holds a certificate, which belongs into `certificate`"
            } else {
                ""
            };
            anyhow!(
                "{}: there is no private key in it: PEM has a line -----BEGIN PRIVATE KEY-----{hint}",
                path.display()
            )
        }
        error => bad_pem(path, &error),
    })?;
    Ok((key, warning))
}

fn read(path: &Path, role: &str) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| not_read(path, role))
}

fn not_read(path: &Path, role: &str) -> String {
    format!("{}: the file of `{role}` cannot be read", path.display())
}

fn holds(text: &[u8], part: &str) -> bool {
    memchr::memmem::find(text, part.as_bytes()).is_some()
}

fn bad_pem(path: &Path, error: &pem::Error) -> anyhow::Error {
    anyhow!("{}: it is not whole, or no PEM: {error}", path.display())
}
