//! The client of one exchange with a registry, and what goes wrong in it.
//!
//! Each exchange has a client of its own, so that credentials and root certificates are read again.

use std::error::Error;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use oci_client::Client;
use oci_client::client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use tokio::task::spawn_blocking;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use super::{Registry, credentials};
use crate::codec::Reason;
use crate::config::RegistryConfig;
use wireplug_base::units::duration_text;
use wireplug_base::{BoxError, Chain};

/// How long a connection to the registry may take, without TLS. A host that is not there answers
/// nothing at all, and a start should not wait the whole time-out for it.
const CONNECT: Duration = Duration::from_secs(5);

/// An exchange with a registry.
pub(super) struct Exchange {
    pub(super) client: Client,
    pub(super) auth: RegistryAuth,
    registry: String,
}

/// Why an exchange with a registry failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The text is no reference, or not one for this purpose.
    #[error("{0}")]
    Reference(String),
    /// A file with credentials or root certificates cannot be used.
    #[error(transparent)]
    File(BoxError),
    /// The registry has not answered in time.
    #[error("the registry {registry} has not answered within {}", shown(.after))]
    TimedOut {
        /// The registry.
        registry: String,
        /// The time that the exchange could take.
        after: Duration,
    },
    /// The registry refuses the credentials, or that there are none.
    #[error(
        "the registry {registry} refuses: there are {credentials} for it. `docker login {registry}` and others write \
         them into a file; docs/registries.md says which files are read"
    )]
    Unauthorized {
        /// The registry.
        registry: String,
        /// `credentials` or `no credentials`.
        credentials: &'static str,
    },
    /// The registry cannot be reached, has no such version, or fails.
    #[error("the registry {registry} failed: {why}")]
    Failed {
        /// The registry.
        registry: String,
        /// What the registry or the network said.
        why: String,
    },
    /// What the registry has is no component, or not what its digest says.
    #[error("the registry has no usable component: {0}")]
    Artifact(String),
}

impl Registry {
    /// Reads the files, and makes the client of an exchange.
    pub(super) async fn begin(&self) -> Result<Exchange, RegistryError> {
        let (reference, config) = (self.reference.clone(), Arc::clone(&self.config));
        let begin = spawn_blocking(move || {
            let auth = credentials::find(reference.oci()).map_err(unusable)?;
            let is_plain = config.plain_http || (reference.is_loopback() && config.ca_file.is_none());
            let client = client(&config, is_plain).map_err(unusable)?;
            Ok(Exchange { client, auth, registry: reference.registry().to_owned() })
        });
        begin.await.map_err(|error| RegistryError::File(error.into()))?
    }
}

impl Exchange {
    /// Names an error of the library. The texts in it may be the registry's.
    pub(super) fn failed(&self, error: &OciDistributionError) -> RegistryError {
        let registry = self.registry.clone();
        if !is_refusal(error) {
            return RegistryError::Failed { registry, why: said(error) };
        }
        let credentials = match self.auth {
            RegistryAuth::Anonymous => "no credentials",
            RegistryAuth::Basic(..) | RegistryAuth::Bearer(_) => "credentials",
        };
        RegistryError::Unauthorized { registry, credentials }
    }

    /// Names an error in the middle of a component.
    pub(super) fn interrupted(&self, error: &io::Error) -> RegistryError {
        RegistryError::Failed { registry: self.registry.clone(), why: said(error) }
    }
}

fn shown(time: &Duration) -> String {
    duration_text(*time)
}

/// Returns whether a registry wants other credentials. It says so in many ways.
fn is_refusal(error: &OciDistributionError) -> bool {
    use OciDistributionError::{AuthenticationFailure, RegistryError, ServerError, UnauthorizedError};
    match error {
        UnauthorizedError { .. } | AuthenticationFailure(_) | ServerError { code: 401 | 403, .. } => true,
        RegistryError { envelope, .. } => envelope
            .errors
            .iter()
            .any(|error| matches!(error.code, OciErrorCode::Unauthorized | OciErrorCode::Denied)),
        _ => false,
    }
}

/// Returns the text of an error, as short and harmless as each text from outside.
fn said(error: &(dyn Error + 'static)) -> String {
    Reason::new(Chain::of(error).to_string()).to_string()
}

fn unusable(error: anyhow::Error) -> RegistryError {
    RegistryError::File(error.into())
}

/// Checks a file with root certificates.
///
/// # Errors
/// Returns an error if the file cannot be read or has no certificate.
pub(crate) fn check_roots(file: &Path) -> anyhow::Result<()> {
    roots(file).map(drop)
}

fn client(config: &RegistryConfig, is_plain: bool) -> anyhow::Result<Client> {
    // The HTTP library of the client takes the provider of the process. If a program has set one
    // already, that one stays.
    let _ = ring::default_provider().install_default();
    // It wants the roots of the system even where it does not need them, and panics without.
    ensure!(
        !rustls_native_certs::load_native_certs().certs.is_empty(),
        "this system has no root certificates: install the package ca-certificates, or name a file with some in the \
         environment variable SSL_CERT_FILE"
    );
    let protocol = if is_plain { ClientProtocol::Http } else { ClientProtocol::Https };
    let tls_certs_only = config.ca_file.as_deref().map(roots).transpose()?.unwrap_or_default();
    let config = ClientConfig {
        protocol,
        tls_certs_only,
        // One request for each blob: every registry knows that.
        use_monolithic_push: true,
        platform_resolver: None,
        connect_timeout: Some(CONNECT),
        user_agent: concat!("wireplug/", env!("CARGO_PKG_VERSION")),
        ..ClientConfig::default()
    };
    Client::try_from(config).context("there is no client of registries")
}

fn roots(file: &Path) -> anyhow::Result<Vec<Certificate>> {
    let name = || file.display().to_string();
    let text = fs::read(file).with_context(name)?;
    let mut roots = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| anyhow::anyhow!("{error:?}")).with_context(name)?;
        roots.push(Certificate { encoding: CertificateEncoding::Der, data: certificate.to_vec() });
    }
    ensure!(!roots.is_empty(), "{} has no certificate in PEM", name());
    Ok(roots)
}
