//! The library of `wasmsign2` reads what is written here, and the other way round.

use wasmsign2::{Module, PublicKey as TheirPublicKey, SecretKey as TheirKey, Section, SectionLike as _};
use wireplug_tests::versions::POMELO;

use super::*;

fn theirs(key: &PrivateKey) -> (TheirKey, TheirPublicKey) {
    let secret = TheirKey::from_pem(&key.to_pem()).expect("they read our private key");
    let public = TheirPublicKey::from_pem(&key.public().to_pem()).expect("they read our public key");
    (secret, public.attach_default_key_id())
}

fn module(mut wasm: &[u8]) -> Module {
    Module::deserialize(&mut wasm).expect("it has sections")
}

fn written(module: &Module) -> Vec<u8> {
    let mut wasm = Vec::new();
    module.serialize(&mut wasm).expect("it can be written");
    wasm
}

#[test]
fn wasmsign2_verifies_what_is_signed_here() {
    let key = key(1);
    let (_, public) = theirs(&key);
    for wasm in [COMPONENT, POMELO] {
        let signed = self::key(2).sign(&key.sign(wasm).expect("it is signed")).expect("it is signed");
        public.verify(&mut &signed[..], None).expect("they find our signature");
        let mut changed = signed.clone();
        *changed.last_mut().expect("it is not empty") ^= 1;
        assert!(public.verify(&mut &changed[..], None).is_err());
        let (_, other) = theirs(&self::key(3));
        assert!(other.verify(&mut &signed[..], None).is_err());
    }
}

#[test]
fn what_wasmsign2_signs_is_verified_here() {
    let key = key(1);
    let (secret, public) = theirs(&key);
    assert_eq!(public.key_id(), Some(&key.public().fingerprint().bytes().to_vec()));
    for wasm in [COMPONENT, POMELO] {
        for id in [None, public.key_id()] {
            let simple = written(&secret.sign(module(wasm), id).expect("they sign"));
            assert!(is_signed(&simple, &key) && !is_signed(&simple, &self::key(2)), "{id:?}");
            let (multi, _) = secret.sign_multi(module(wasm), id, false, false).expect("they sign");
            assert!(is_signed(&written(&multi), &key), "{id:?}");
        }
        // The bytes are the same.
        let (multi, _) = secret.sign_multi(module(wasm), public.key_id(), false, false).expect("they sign");
        assert!(written(&multi) == key.sign(wasm).expect("it is signed"));
        // A signature more of theirs.
        let ours = self::key(2).sign(wasm).expect("it is signed");
        let (both, _) = secret.sign_multi(module(&ours), public.key_id(), false, false).expect("they sign");
        assert!(is_signed(&written(&both), &key) && is_signed(&written(&both), &self::key(2)));
    }
}

/// `wasmsign2` can sign so that sections may be added later. All of the file must be signed here,
/// and no part of it is enough.
#[test]
fn a_file_of_parts_counts_as_a_whole_only() {
    let key = key(1);
    let (secret, public) = theirs(&key);
    // Core modules are a part, and so are the sections before and behind them.
    let is_core_module = |section: &Section| u8::from(section.id()) == 1;
    let parts = module(POMELO).split(is_core_module).expect("it has sections");
    let (parts, _) = secret.sign_multi(parts, public.key_id(), false, false).expect("they sign");
    let whole = written(&parts);
    assert!(is_signed(&whole, &key));
    let ends: Vec<_> =
        (1..parts.sections.len()).filter(|at| parts.sections[*at - 1].is_signature_delimiter()).collect();
    assert_eq!(ends.len(), 2);
    for end in ends {
        let part = Module { header: parts.header, sections: parts.sections[..end].to_vec() };
        let part = written(&part);
        assert!(!is_signed(&part, &key), "the first {end} sections");
        assert!(Signatures::of(&part).is_ok_and(|signatures| signatures.is_changed()));
    }
}
