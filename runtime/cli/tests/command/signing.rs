//! `wireplug codec keygen`, `sign` and `verify`, and what `inspect` shows of signatures.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use wireplug::trust::{PrivateKey, PublicKey};
use wireplug_tests::folder::Folder;
use wireplug_tests::running::finish;
use wireplug_tests::versions::POMELO;

use super::program::wireplug;

fn codec(arguments: &[&str]) -> Result<String, String> {
    finish(wireplug(["codec"]).args(arguments)).result()
}

#[track_caller]
fn refused(arguments: &[&str]) -> String {
    codec(arguments).expect_err("this is wrong")
}

#[test]
fn from_a_pair_of_keys_to_a_signature_that_is_verified() {
    let folder = Folder::new("signing");
    let (key, public, other) = (folder.text("release"), folder.text("release.pub"), folder.text("other"));
    let (wasm, signed) = (folder.text("chat.wasm"), folder.text("signed.wasm"));
    folder.write("chat.wasm", POMELO);
    let said = codec(&["keygen", &key]).expect("the keys are made");
    let read: PublicKey = fs::read_to_string(&public).expect("it is there").parse().expect("it is a key");
    let id = read.fingerprint();
    assert!(said.contains(&format!("{public}: the public key, {id}\n")), "{said}");
    let table = format!("[trust.keys.\"release\"]\nkey = \"{}\"\n", read.to_line());
    assert!(said.ends_with(&table), "{said}");
    let mode = |file: &str| fs::metadata(file).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(&key), mode(&public) & 0o133), (0o600, 0));
    codec(&["keygen", &other]).expect("the keys are made");
    let other_public = folder.text("other.pub");

    // Into another file, and then by a second key in place.
    let said = codec(&["sign", &wasm, "--key", &key, "-o", &signed]).expect("it is signed");
    assert_eq!(said, format!("{signed}: signed by {id}\n"));
    assert_eq!(fs::read(&wasm).expect("it is there"), POMELO);
    let verify = |file: &str, key: &str| codec(&["verify", file, "--key", key]);
    assert_eq!(verify(&signed, &public), Ok(format!("{signed}: signed by {public} ({id})\n")));
    let why = verify(&signed, &other_public).expect_err("another key");
    assert!(why.contains(&format!("It is signed by {id} (as it says, not verified)")), "{why}");
    let why = verify(&wasm, &public).expect_err("it is not signed");
    assert!(
        why.contains(&format!(
            "none of these keys has signed it as it is: {public} ({id}). It is signed by nobody"
        )),
        "{why}"
    );
    fs::set_permissions(&signed, Permissions::from_mode(0o640)).expect("it is ours");
    codec(&["sign", &signed, "--key", &other]).expect("it is signed");
    assert_eq!(mode(&signed), 0o640);
    let said = codec(&["verify", &signed, "--key", &public, "--key", &other_public]).expect("two signatures");
    assert!(said.contains(&format!("{public} ({id}), {other_public} (")), "{said}");
    assert_eq!(fs::read_dir(folder.root()).expect("it is there").count(), 6);

    let inspect =
        |arguments: &[&str]| codec(&[&["inspect", &signed], arguments].concat()).expect("it is read");
    assert!(inspect(&[]).contains(&format!("\nsigned by    {id} (as it says, not verified), ")));
    assert!(inspect(&["--key", &public]).contains(&format!("\nsigned by    {public} ({id}), ")));
    assert!(codec(&["inspect", &wasm]).expect("it is read").ends_with("\nsigned by    nobody\n"));
    let json: serde_json::Value =
        serde_json::from_str(&inspect(&["--key", &public, "--json"])).expect("JSON");
    assert_eq!(json["description"]["name"], "pomelo");
    assert_eq!(json["signed-by"]["verified"], serde_json::json!([format!("{public} ({id})")]));
    assert_eq!(json["signed-by"]["claimed"].as_array().map(Vec::len), Some(1), "{json}");
    assert!(inspect(&[]).contains("\nis called    directly\n"), "a signature must not make it slower");

    // A component that was changed after it was signed.
    let mut changed = fs::read(&signed).expect("it is there");
    *changed.last_mut().expect("it is not empty") ^= 1;
    folder.write("signed.wasm", changed);
    let why = verify(&signed, &public).expect_err("it was changed");
    assert!(
        why.contains("It is signed by nobody: it was changed after it was signed, as it says by "),
        "{why}"
    );
    let said = codec(&["sign", &signed, "--key", &key]).expect("it is signed again");
    assert!(said.contains("changed after an earlier signature, which is left out: "), "{said}");
    assert_eq!(verify(&signed, &public), Ok(format!("{signed}: signed by {public} ({id})\n")));
}

#[test]
fn says_what_is_wrong_with_keys_and_files() {
    let folder = Folder::new("signing-wrong");
    let key = PrivateKey::generate().expect("there are random bytes");
    folder.write_secret("key", key.to_pem().as_bytes());
    folder.write("key.pub", key.public().to_pem());
    folder.write("open", key.to_pem().as_bytes());
    folder.write_secret("text", "no key");
    folder.write("text.wasm", "no component");
    folder.write("chat.wasm", POMELO);
    let path = |name: &str| folder.text(name);
    fs::set_permissions(path("open"), Permissions::from_mode(0o640)).expect("it is ours");
    let (wasm, text) = (path("chat.wasm"), path("text.wasm"));
    let cases: &[(&[&str], &str)] = &[
        (&["keygen", &path("key")], "is there already, and a key is never replaced"),
        (&["sign", &wasm, "--key", &path("open")], "other users can read or write it (mode 640): chmod 600 "),
        (
            &["sign", &wasm, "--key", &path("text")],
            "it is not an Ed25519 private key in PEM without a passphrase",
        ),
        (&["sign", &wasm, "--key", "/nowhere"], "the private key /nowhere: No such file"),
        (&["sign", &text, "--key", &path("key")], "text.wasm: it is not a WebAssembly component"),
        (&["verify", &wasm, "--key", &path("key")], "it is a private key, and the public key belongs here"),
        (&["verify", &wasm, "--key", &path("text")], "it is not an Ed25519 public key in PEM"),
        (&["verify", &wasm], "required arguments were not provided"),
        (&["verify", &text, "--key", &path("key.pub")], "nobody: it is not a WebAssembly component"),
    ];
    for (arguments, wanted) in cases {
        let why = refused(arguments);
        assert!(why.contains(wanted), "{arguments:?}: {why}");
        assert!(!why.contains("no key\n") && !why.contains("MC4C"), "it repeats a secret: {why}");
    }
    // The public key of a pair is in the way: no half of a pair is left behind.
    folder.write("half.pub", "");
    assert!(refused(&["keygen", &path("half")]).contains("half.pub is there already"));
    assert!(!folder.path("half").exists());
}
