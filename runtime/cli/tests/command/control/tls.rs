//! The control API over TLS: tokens, and certificates in the place of a token.

use std::fs;
use std::io::{Read as _, Write as _};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use wireplug_tests::folder::Folder;
use wireplug_tests::running::{Signal, finish};

use super::{ADMIN, Controlled, READER, command};

/// A certificate authority, whose certificates are in a folder.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a root"))
    }

    /// Writes `NAME.pem` and `NAME.key`: a certificate for this machine, with this common name.
    fn issue(&self, folder: &Folder, name: &str, common_name: &str) {
        let mut params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        folder.write_secret(&format!("{name}.key"), key.serialize_pem());
        folder.write(&format!("{name}.pem"), certificate.pem());
    }
}

/// A server over TLS, with its folder.
struct Secured {
    server: Controlled,
    folder: Folder,
    authority: Authority,
}

impl Secured {
    /// Starts a server that takes clients with and without certificates, or with `rest` other keys
    /// of TLS.
    fn start(name: &str, rest: &str) -> Self {
        let (folder, authority) = (Folder::new(name), Authority::new());
        folder.write("root.pem", authority.0.pem());
        authority.issue(&folder, "server", "server");
        authority.issue(&folder, "ci", "ci");
        folder.write_secret("tokens", format!("ann admin {ADMIN}\nreader read {READER}\n"));
        folder.write("w.toml", Self::config(rest, "['trial']"));
        let server = Controlled::with(&[&*folder.text("w.toml")]);
        Self { server, folder, authority }
    }

    fn config(rest: &str, roles: &str) -> String {
        format!(
            "app = 'demo'
            [codecs.pomelo]
            builtin = 'pomelo'
            [[listeners]]
            url = 'tcp://127.0.0.1:0'
            codec = 'pomelo'
            [control]
            listen = 'https://127.0.0.1:0'
            token-file = 'tokens'
            certificates = [{{ subject = 'CN=ci', roles = {roles} }}]
            tls = {{ certificate = 'server.pem', key = 'server.key', client-ca = 'root.pem'{rest} }}"
        )
    }

    /// Runs a command of this control API, with these options.
    fn run(&self, arguments: &[&str], options: &[(&str, &str)]) -> Result<String, String> {
        let url = format!("https://{}", self.server.control);
        let mut command = command(arguments);
        command.args(["--control", &url]);
        for (option, file) in options {
            command.arg(option).arg(self.folder.path(file));
        }
        finish(&mut command).result()
    }
}

const CA: (&str, &str) = ("--control-ca", "root.pem");
const TOKEN: (&str, &str) = ("--token-file", "tokens");
const CI: [(&str, &str); 2] = [("--control-cert", "ci.pem"), ("--control-key", "ci.key")];

#[test]
fn clients_show_a_token_or_a_certificate() {
    let secured = Secured::start("control-tls", ", client-certificates = 'optional'");
    let list = ["codec", "list"];
    assert!(secured.run(&list, &[CA, TOKEN]).expect("the token is right").contains("pomelo"));
    let why = secured.run(&list, &[TOKEN]).expect_err("it is no authority of this system");
    assert!(why.contains("`--control-ca FILE` names the certificates to trust"), "{why}");
    let why = secured.run(&list, &[CA]).expect_err("it shows nothing");
    assert!(why.contains("a token is needed"), "{why}");

    // The certificate of CI has the role `trial`.
    assert!(secured.run(&list, &[CA, CI[0], CI[1]]).expect("it is named").contains("pomelo"));
    let why =
        secured.run(&["codec", "rollback", "pomelo"], &[CA, CI[0], CI[1]]).expect_err("it may only try");
    assert!(why.contains("this needs the role `swap`, and the client has only `trial`"), "{why}");
    let line = secured.server.logged("a change of a codec was refused");
    assert!(line.contains("who=\"certificate:CN=ci\" roles=\"trial\" address=\"127.0.0.1:"), "{line}");
    // A token counts more than a certificate.
    let why =
        secured.run(&["codec", "rollback", "pomelo"], &[CA, CI[0], CI[1], TOKEN]).expect_err("it is one");
    assert!(why.contains("no generation to go back to"), "{why}");

    secured.authority.issue(&secured.folder, "other", "other");
    let other = [CA, ("--control-cert", "other.pem"), ("--control-key", "other.key")];
    let why = secured.run(&list, &other).expect_err("nobody has named it");
    assert!(why.contains("does not name the subject of the client's certificate, \"CN=other\""), "{why}");
    Authority::new().issue(&secured.folder, "strange", "ci");
    let strange = [CA, ("--control-cert", "strange.pem"), ("--control-key", "strange.key")];
    secured.run(&list, &strange).expect_err("another authority has issued it");
    let line = secured.server.logged("a client of the control API fails in its TLS handshake");
    assert!(line.contains("WARN") && line.contains("address="), "{line}");
    let mixed = [CA, ("--control-cert", "ci.pem"), ("--control-key", "other.key")];
    let why = secured.run(&list, &mixed).expect_err("the key is that of another");
    assert!(why.contains("do not go together"), "{why}");
    let why = secured.run(&list, &[CA, CI[0]]).expect_err("the key is missing");
    assert!(why.contains("--control-key"), "{why}");

    // The environment names the files too.
    let mut command = command(&["status"]);
    command.env("WIREPLUG_CONTROL", format!("https://localhost:{}", port(&secured.server)));
    for (variable, file) in [
        ("WIREPLUG_CONTROL_CA", "root.pem"),
        ("WIREPLUG_CONTROL_CERT", "ci.pem"),
        ("WIREPLUG_CONTROL_KEY", "ci.key"),
    ] {
        command.env(variable, secured.folder.path(file));
    }
    let status = finish(&mut command).result().expect("the certificate is named");
    let used = format!("certificate of https://{}", secured.server.control);
    assert!(status.contains("server.pem") && status.contains(&used), "{status}");
}

#[test]
fn certificates_can_be_required_and_their_roles_change_at_a_reload() {
    let secured = Secured::start("control-tls-required", "");
    let list = ["codec", "list"];
    secured.run(&list, &[CA, TOKEN]).expect_err("it has no certificate");
    let preview = || secured.run(&["reload", "--dry-run"], &[CA, CI[0], CI[1]]);
    assert!(preview().expect("it may preview").contains("nothing differs"));
    secured.folder.write("w.toml", Secured::config("", "['read']"));
    secured.server.signal(Signal::HUP);
    secured.server.logged("control.certificates: differs; at once");
    let why = preview().expect_err("it may only read");
    assert!(why.contains("needs the role `trial`, and the client has only `read`"), "{why}");
    assert!(secured.run(&list, &[CA, CI[0], CI[1]]).is_ok());
}

#[test]
fn a_renewed_certificate_is_taken_over() {
    let secured = Secured::start("control-tls-renewed", ", client-certificates = 'optional'");
    assert!(secured.run(&["status"], &[CA, TOKEN]).is_ok());
    let other = Authority::new();
    secured.folder.write("new-root.pem", other.0.pem());
    other.issue(&secured.folder, "next", "server");
    for kind in ["key", "pem"] {
        let (next, now) = (format!("next.{kind}"), format!("server.{kind}"));
        fs::rename(secured.folder.path(&next), secured.folder.path(&now)).expect("it can be renamed");
    }
    secured.server.logged("changed TLS files are taken over");
    secured.run(&["status"], &[CA, TOKEN]).expect_err("another authority has issued it");
    let status = secured.run(&["status"], &[("--control-ca", "new-root.pem"), TOKEN]);
    assert!(status.is_ok(), "{status:?}");
}

#[test]
fn plain_http_gets_an_answer_that_says_so() {
    let secured = Secured::start("control-tls-plain", "");
    let mut socket = secured.server.connect();
    socket.write_all(b"GET /codecs HTTP/1.1\r\nHost: here\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("it answers, and closes");
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("This port speaks TLS"), "{answer}");
    let console = secured.server.console.as_deref().expect("the greeting names it");
    assert_eq!(console, format!("https://{}/console/", secured.server.control));
}

fn port(server: &Controlled) -> &str {
    server.control.rsplit(':').next().expect("a port")
}
