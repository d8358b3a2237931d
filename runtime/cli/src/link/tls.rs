//! TLS on the client's side, and the certificates that the client trusts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use wireplug_connectors::ByteStream;

/// Whom a client trusts.
#[derive(clap::Args, Debug)]
pub(crate) struct Trust {
    /// Over TLS, a PEM file with the certificates to trust in place of the system's: those of
    /// authorities, or the server's own.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// What names the file, for messages.
    #[arg(skip = "--ca")]
    option: &'static str,
}

impl Trust {
    /// Trusts the certificates in a file, or those of the system. `option` is what names the file.
    pub(crate) fn file(ca: Option<PathBuf>, option: &'static str) -> Self {
        Self { ca, option }
    }
}

/// The certificate that a client shows, and its private key.
pub(crate) struct Identity<'a> {
    pub(crate) certificate: &'a Path,
    pub(crate) key: &'a Path,
}

impl Identity<'_> {
    fn read(&self) -> anyhow::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        let key = PrivateKeyDer::from_pem_file(self.key)
            .with_context(|| format!("cannot read the private key in {}", self.key.display()))?;
        Ok((read(self.certificate)?, key))
    }
}

/// The configuration of TLS handshakes with one server.
pub(crate) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
    /// What names the certificates to trust.
    option: &'static str,
}

impl Tls {
    /// Prepares handshakes with the server that has this name or address. The client shows a
    /// certificate if it has one.
    ///
    /// # Errors
    /// Returns an error if the name cannot be in a certificate, there is no certificate to trust,
    /// or the client's own cannot be used.
    pub(crate) fn new(host: &str, trust: &Trust, identity: Option<Identity<'_>>) -> anyhow::Result<Self> {
        // A URL has an IPv6 address in brackets.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned())
            .with_context(|| format!("{host} is not a name that a certificate can have"))?;
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier::new(trust)?));
        let config = match identity {
            None => config.with_no_client_auth(),
            Some(identity) => {
                let (certificates, key) = identity.read()?;
                config.with_client_auth_cert(certificates, key).with_context(|| {
                    let Identity { certificate, key } = identity;
                    format!("{} and {} do not go together", certificate.display(), key.display())
                })?
            }
        };
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name, option: trust.option })
    }

    pub(crate) async fn connect<S: ByteStream>(&self, stream: S) -> anyhow::Result<TlsStream<S>> {
        self.connector.connect(self.name.clone(), stream).await.map_err(|error| {
            let distrusts = error
                .get_ref()
                .and_then(|inner| inner.downcast_ref())
                .is_some_and(|error| matches!(error, Error::InvalidCertificate(_)));
            let advice = match distrusts {
                true => format!("; `{} FILE` names the certificates to trust", self.option),
                false => String::new(),
            };
            anyhow::anyhow!("the TLS handshake failed: {error}{advice}")
        })
    }
}

/// Verifies certificates: trusts those that an authority has issued, and those of `--ca`
/// themselves. A self-signed certificate of a server is rarely valid as an authority's, so it must
/// be compared itself.
#[derive(Debug)]
struct Verifier {
    authorities: Arc<WebPkiServerVerifier>,
    given: Vec<CertificateDer<'static>>,
}

impl Verifier {
    fn new(trust: &Trust) -> anyhow::Result<Self> {
        let given = trust.ca.as_deref().map(read).transpose()?;
        let mut roots = RootCertStore::empty();
        match &given {
            // Authorities that this library cannot use are skipped, because it could not verify
            // their certificates either.
            None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
            Some(certificates) => {
                for certificate in certificates {
                    roots
                        .add(certificate.clone())
                        .with_context(|| format!("a certificate of {} cannot be used", trust.option))?;
                }
            }
        }
        ensure!(
            !roots.is_empty(),
            "this system has no certificates of authorities: `{} FILE` names some to trust",
            trust.option
        );
        let provider = Arc::new(ring::default_provider());
        let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
        Ok(Self { authorities, given: given.unwrap_or_default() })
    }
}

fn read(file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let shown = file.display();
    let found: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .with_context(|| format!("cannot read the certificates in {shown}"))?;
    ensure!(
        !found.is_empty(),
        "{shown}: there is no certificate in it: PEM has a line -----BEGIN CERTIFICATE-----"
    );
    Ok(found)
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.given.contains(certificate) {
            return Ok(ServerCertVerified::assertion());
        }
        self.authorities.verify_server_cert(certificate, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}
