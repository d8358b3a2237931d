//! Mistakes in `[trust]`.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use wireplug::Config;
use wireplug::trust::PrivateKey;
use wireplug_tests::folder::Folder;

use super::{MINIMAL, added, parse};

#[test]
fn signatures_are_required_unless_it_says_otherwise() {
    let key = PrivateKey::generate().expect("there are random bytes").public();
    let line = key.to_line();
    let config = parse(&format!("{MINIMAL}[trust.keys]\nrelease = {{ key = '{line}' }}"));
    let trust = config.trust.expect("there is a table");
    assert!(trust.require && trust.keys["release"].key.as_deref() == Some(&line));
    let pem = key.to_pem();
    let config = parse(&format!("{MINIMAL}[trust]\nrequire = false\nkeys.ci.key = '''\n{pem}'''"));
    assert!(!config.trust.expect("there is a table").require);
    assert_eq!(parse(MINIMAL).trust, None);
}

#[test]
fn each_wrong_key_is_named() {
    let key = PrivateKey::generate().expect("there are random bytes").public();
    let line = key.to_line();
    for (text, wanted) in [
        (
            "[trust]",
            "w.toml:8:2: trust.keys: it names no key, so no codec would be trusted: `wireplug codec keygen`",
        ),
        (
            "[trust.keys.a]",
            "w.toml:8:13: trust.keys.a: it says neither `key`, the public key, nor `file`, where it is",
        ),
        (
            "[trust.keys.a]\nkey = 'AAAA'",
            "w.toml:9:1: trust.keys.a.key: it is not an Ed25519 public key in PEM",
        ),
        ("[trust.keys.a]\nfile = 'lost.pub'", "lost.pub: No such file or directory"),
        ("[trust.keys.a]\nfile = 'Cargo.toml'", "Cargo.toml: it is not an Ed25519 public key in PEM"),
        (&format!("[trust.keys.a]\nkey = '{line}'\nfile = 'a.pub'"), "either `key` or `file`, and not both"),
        (
            &format!("[trust.keys.a]\nkey = '{line}'\n[trust.keys.b]\nkey = '{line}'"),
            "trust.keys.b: it is the same key as another one, so nobody could tell who signed; see trust.keys.a, line 8",
        ),
        (
            &format!("[trust.keys.'unknown:a']\nkey = '{line}'"),
            "the name of a key has 1 to 32 letters, digits, `-`, `_` and `.`",
        ),
        (
            &format!("[trust]\nrequire = 1\nkeys.a.key = '{line}'"),
            "trust.require: 1 is not allowed: it must be true or false",
        ),
    ] {
        let problems = added(text);
        assert_eq!(problems.len(), 1, "{text}: {problems:?}");
        assert!(problems[0].contains(wanted), "{text}: {problems:?}");
    }
}

/// Whoever can write the key can sign codecs.
#[test]
fn a_key_that_everybody_can_write_is_refused() {
    let folder = Folder::new("config-trust");
    let key = PrivateKey::generate().expect("there are random bytes").public();
    let file = folder.write("release.pub", key.to_pem());
    let config = folder.write("w.toml", format!("{MINIMAL}[trust.keys.release]\nfile = 'release.pub'"));
    Config::load(&config).expect("it is right");
    fs::set_permissions(&file, Permissions::from_mode(0o666)).expect("it is ours");
    let why = Config::load(&config).expect_err("everybody can write the key").to_string();
    assert!(why.contains("trust.keys.release.file: ") && why.contains("every user of this machine"), "{why}");
    folder.write("release.pub", "A".repeat(5_000));
    fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("it is ours");
    let why = Config::load(&config).expect_err("it is no key").to_string();
    assert!(why.contains("it is larger than 4096 bytes, and a public key in PEM has 113"), "{why}");
}
