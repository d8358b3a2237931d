//! Signatures: made and verified here, and with `wasmsign2`.

mod beside_wasmsign2;
mod malformed;

use ed25519_dalek::pkcs8::spki::der::pem::{LineEnding, encode_string};

use super::*;

/// A component: one custom section, and no more.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0\x00\x0b\x04note hello";

fn key(seed: u8) -> PrivateKey {
    PrivateKey::from_pem(&pem(seed)).expect("it is a key")
}

/// Returns a private key as OpenSSL writes it: a fixed head, and 32 bytes.
fn pem(seed: u8) -> String {
    let head = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
    encode_string("PRIVATE KEY", LineEnding::LF, &[&head[..], &[seed; 32]].concat()).expect("it is short")
}

fn is_signed(wasm: &[u8], by: &PrivateKey) -> bool {
    Signatures::of(wasm).is_ok_and(|signatures| signatures.is_signed_by(&by.public()))
}

#[test]
fn a_signature_is_verified_with_its_key_and_no_other() {
    let (one, other) = (key(1), key(2));
    let signed = one.sign(COMPONENT).expect("it can be signed");
    assert!(is_signed(&signed, &one) && !is_signed(&signed, &other));
    let signatures = Signatures::of(&signed).expect("it is well formed");
    assert_eq!(signatures.claims(), [one.public().fingerprint().to_string()]);
    assert!(!signatures.is_empty() && !signatures.is_changed());
    assert!(signed.ends_with(&COMPONENT[8..]) && signed.starts_with(&COMPONENT[..8]));
    let unsigned = Signatures::of(COMPONENT).expect("it is well formed");
    assert!(unsigned.is_empty() && !unsigned.is_changed() && unsigned.claims().is_empty());
}

#[test]
fn the_form_does_not_change() {
    let signed = key(1).sign(COMPONENT).expect("it can be signed");
    let digest = Digest::of(&signed).to_string();
    assert_eq!(digest, VECTOR, "files that were signed before are not verified any more");
}

/// The SHA-256 of the component, signed with the key of 32 bytes `01`. The signature was made by
/// OpenSSL 3 (`openssl pkeyutl -sign -rawin`), the id of the key and the section by a script that
/// follows the description of the format.
const VECTOR: &str = "9a0bd7b987023487e579adcc596caa2587882eae89835966094f2c5e097c58a8";

#[test]
fn no_byte_of_a_signed_component_may_change() {
    let key = key(1);
    let signed = key.sign(COMPONENT).expect("it can be signed");
    for at in 0..signed.len() {
        for bit in 0..8 {
            let mut changed = signed.clone();
            changed[at] ^= 1 << bit;
            assert!(!is_signed(&changed, &key), "bit {bit} of byte {at}");
        }
    }
    for end in 0..signed.len() {
        assert!(!is_signed(&signed[..end], &key), "cut to {end} bytes");
    }
    assert!(!is_signed(&[&signed[..], b"\0\x05\x04more"].concat(), &key), "a section more");
}

#[test]
fn several_keys_sign_and_each_once() {
    let (one, other) = (key(1), key(2));
    let signed = one.sign(COMPONENT).expect("it can be signed");
    let both = other.sign(&signed).expect("it can be signed again");
    assert!(is_signed(&both, &one) && is_signed(&both, &other) && !is_signed(&both, &key(3)));
    assert_eq!(Signatures::of(&both).expect("it is well formed").claims().len(), 2);
    let again = one.sign(&both).expect("it can be signed again");
    assert_eq!(
        (again.len(), Signatures::of(&again).expect("it is well formed").claims().len()),
        (both.len(), 2)
    );
    let most = (1..=MAX_SIGNATURES as u8)
        .fold(COMPONENT.to_vec(), |wasm, seed| key(seed).sign(&wasm).expect("it has room"));
    assert!(is_signed(&most, &key(MAX_SIGNATURES as u8)));
    let full = key(0x80).sign(&most);
    assert_eq!(
        full,
        Err(SignatureError::Limit { what: "signatures", found: MAX_SIGNATURES + 1, limit: MAX_SIGNATURES })
    );
}

#[test]
fn a_component_that_was_changed_says_whose_signature_it_has_lost() {
    let (one, other) = (key(1), key(2));
    let mut changed = one.sign(COMPONENT).expect("it can be signed");
    *changed.last_mut().expect("it is not empty") = b'!';
    let signatures = Signatures::of(&changed).expect("it is well formed");
    assert!(signatures.is_changed() && !signatures.is_signed_by(&one.public()));
    assert_eq!(signatures.claims(), [one.public().fingerprint().to_string()]);
    let signed = other.sign(&changed).expect("it can be signed");
    let signatures = Signatures::of(&signed).expect("it is well formed");
    assert!(signatures.is_signed_by(&other.public()) && !signatures.is_changed());
    assert_eq!(signatures.claims(), [other.public().fingerprint().to_string()]);
}

#[test]
fn keys_are_read_as_they_are_written() {
    let key = PrivateKey::generate().expect("there are random bytes");
    let public = key.public();
    assert_ne!(public, PrivateKey::generate().expect("there are random bytes").public());
    let read = PrivateKey::from_pem(&key.to_pem()).expect("it was written so");
    assert_eq!(read.public(), public);
    for text in [public.to_pem(), public.to_line(), format!("  {}\n", public.to_line())] {
        assert_eq!(text.parse(), Ok(public.clone()), "{text}");
    }
    assert_eq!(public.to_line().len(), 60);
    assert_eq!(key.to_pem().parse::<PublicKey>(), Err(KeyError::Secret));
    for text in ["", "MCow", "-----BEGIN PUBLIC KEY-----", &"A".repeat(60)] {
        assert_eq!(text.parse::<PublicKey>(), Err(KeyError::Public), "{text}");
        assert!(matches!(PrivateKey::from_pem(text), Err(KeyError::Private)), "{text}");
    }
    assert!(!format!("{key:?}").contains("secret"), "{key:?}");
}

/// With the neutral element as the key, a signature of everything can be written down.
#[test]
fn a_weak_key_is_refused() {
    let head = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let text = encode_string("PUBLIC KEY", LineEnding::LF, &[&head[..], &neutral].concat());
    assert_eq!(text.expect("it is short").parse::<PublicKey>(), Err(KeyError::Weak));
}
