//! A certificate authority for the tests, and certificates that it issues.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa,
    KeyIdMethod, KeyPair, RevokedCertParams, date_time_ymd,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use wireplug::config::TlsConfig;
use wireplug_tests::folder::Folder;

/// The authority that all clients of the tests trust.
pub static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);

pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A TLS client.
pub struct Client(TlsConnector);

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority of tests");
        Self(CertifiedIssuer::self_signed(params, key()).expect("a root"))
    }

    /// Writes the root certificate.
    pub fn root(&self, folder: &Folder) -> PathBuf {
        let path = folder.path("root.pem");
        fs::write(&path, self.0.pem()).expect("a place");
        path
    }

    /// Issues a certificate for this machine, and writes it and its key.
    pub fn issue(&self, folder: &Folder, name: &str) -> TlsConfig {
        self.issue_with(folder, name, |_| {})
    }

    /// Does what [`Authority::issue`] does, for a certificate that `edit` changes.
    pub fn issue_with(
        &self,
        folder: &Folder,
        name: &str,
        edit: impl FnOnce(&mut CertificateParams),
    ) -> TlsConfig {
        let mut params =
            CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("names");
        edit(&mut params);
        let key = key();
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        let files = TlsConfig::new(folder.path(&format!("{name}.pem")), folder.path(&format!("{name}.key")));
        fs::write(&files.certificate, certificate.pem()).expect("a place");
        fs::write(&files.key, key.serialize_pem()).expect("a place");
        files
    }

    /// Writes the list of the certificates with these serial numbers, which were revoked. It is
    /// current until the beginning of a year.
    pub fn revoke(&self, folder: &Folder, serials: &[u64], until: i32) -> PathBuf {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: (*serial).into(),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(until, 1, 1),
            crl_number: 1_u64.into(),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let path = folder.path("revoked.pem");
        let pem = list.signed_by(&self.0).expect("a list").pem().expect("PEM");
        fs::write(&path, pem).expect("a place");
        path
    }

    /// Returns a client that trusts this authority. The client presents the certificate in
    /// `identity`, if it is given.
    pub fn client(&self, identity: Option<&TlsConfig>) -> Client {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("a root");
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let config = match identity {
            None => config.with_no_client_auth(),
            Some(TlsConfig { certificate, key, .. }) => {
                let chain = vec![CertificateDer::from_pem_file(certificate).expect("a certificate")];
                let key = PrivateKeyDer::from_pem_file(key).expect("a key");
                config.with_client_auth_cert(chain, key).expect("they match")
            }
        };
        Client(TlsConnector::from(Arc::new(config)))
    }
}

impl Client {
    pub async fn connect(&self, address: &str) -> io::Result<TlsStream<TcpStream>> {
        self.over(TcpStream::connect(address).await?).await
    }

    /// Performs the handshake over a connected socket.
    pub async fn over(&self, socket: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from("localhost").expect("a name");
        self.0.connect(name, socket).await
    }
}
