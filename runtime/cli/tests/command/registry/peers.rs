//! Debian's docker-registry: over plain HTTP, and over TLS with a user and a password.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use wireplug_tests::docker_registry::DockerRegistry;
use wireplug_tests::running::{PATIENCE, finish, wait_until};
use wireplug_tests::versions::{self, POMELO};

use super::User;

/// The password `U*U`, as bcrypt's own tests have it.
const PASSWORDS: &str = "ann:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\n";

#[test]
fn docker_registry_holds_a_codec_through_its_life() {
    let user = User::new("docker");
    let mut registry = DockerRegistry::start(&user.folder, "", "");
    let file = user.folder.write("chat.wasm", POMELO);
    let file = file.to_str().expect("it is text");
    let (tag, other) = (registry.reference("1.4"), registry.reference("1.5"));
    let said = user.codec(&["push", file, &tag]).expect("it is pushed");
    let pinned = said.lines().next().expect("the reference").to_owned();
    user.codec(&["push", file, &other]).expect("it is pushed");
    let repository = tag.strip_suffix(":1.4").expect("it has a tag");
    assert_eq!(user.codec(&["list", repository]), Ok("1.4\n1.5\n".to_owned()));
    let output = user.folder.text("pulled.wasm");
    user.codec(&["pull", &pinned, "-o", &output]).expect("it is pulled");
    assert_eq!(std::fs::read(&output).expect("it is there"), POMELO);

    let codec = format!("file = '{tag}'\nregistry.poll = '200ms'");
    let server = user.serve(&codec);
    assert_eq!(user.status(&server)["generations"][0]["origin"], pinned);
    let next = user.folder.write("next.wasm", versions::noted(POMELO, "next"));
    user.codec(&["push", next.to_str().expect("it is text"), &tag]).expect("it is pushed");
    wait_until("the swap", PATIENCE, || user.status(&server)["current"] == 2);
    registry.stop();
    server.logged("the codec cannot be fetched; all goes on as before");
    drop(server);

    let server = user.serve(&codec);
    server.logged("THE LAST GOOD VERSION SERVES from the cache");
    registry.start_again();
    server.logged("the codec can be fetched again");
    user.codec(&["push", file, &tag]).expect("it is pushed");
    wait_until("the swap", PATIENCE, || user.status(&server)["current"] == 2);
    assert_eq!(user.status(&server)["generations"][1]["origin"], pinned);
}

#[test]
fn docker_registry_with_tls_and_a_password() {
    let user = User::new("docker-tls");
    let key = KeyPair::generate().expect("a key");
    let mut authority = CertificateParams::new([]).expect("they are right");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, key).expect("it is signed");
    user.folder.write("ca.pem", authority.pem());
    let leaf = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()]).expect("they are right");
    let certificate = certificate.signed_by(&leaf, &authority).expect("it is signed");
    user.folder.write("registry.pem", certificate.pem());
    user.folder.write_secret("registry.key", leaf.serialize_pem());
    user.folder.write("passwords", PASSWORDS);
    let of = |name| user.folder.text(name);
    let registry = DockerRegistry::start(
        &user.folder,
        &format!("auth: {{ htpasswd: {{ realm: test, path: {} }} }}\n", of("passwords")),
        &format!("  tls: {{ certificate: {}, key: {} }}\n", of("registry.pem"), of("registry.key")),
    );
    let file = user.folder.write("chat.wasm", POMELO);
    let (file, ca, tag) = (file.to_str().expect("it is text"), of("ca.pem"), registry.reference("1"));
    let push = || user.codec(&["push", file, &tag, "--ca-file", &ca]);
    assert!(push().expect_err("there is no password").contains("there are no credentials for it"));
    user.log_in(&format!("127.0.0.1:{}", registry.port()), "ann", "U*U");
    let pinned = push().expect("it is pushed").lines().next().expect("the reference").to_owned();
    // Not without the authority.
    let why = user.codec(&["pull", &tag, "-o", &of("pulled.wasm")]).expect_err("this is plain HTTP");
    assert!(why.contains("failed: "), "{why}");
    let codec = format!("file = '{pinned}'\nregistry.ca-file = 'ca.pem'");
    let check = finish(&mut user.command(&["config", "check", &user.configure(&codec)])).result();
    check.expect("it is right");
    let server = user.serve(&codec);
    assert_eq!(user.status(&server)["generations"][0]["origin"], pinned);
}
