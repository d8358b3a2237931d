//! Sections of signatures that nobody wrote well, or that somebody wrote with intent.

use super::super::format;
use super::*;

/// Returns a component whose section of signatures holds these bytes.
fn with_section(section: &[u8]) -> Vec<u8> {
    let mut wasm = COMPONENT[..8].to_vec();
    let content = [b"\x09signature", section].concat();
    wasm.push(0);
    wasm.extend(leb(content.len() as u32));
    wasm.extend(content);
    wasm.extend(&COMPONENT[8..]);
    wasm
}

/// Returns a number in the five bytes that each number fits.
fn leb(number: u32) -> [u8; 5] {
    let group = |at: u32| ((number >> (7 * at)) & 0x7f) as u8;
    [group(0) | 0x80, group(1) | 0x80, group(2) | 0x80, group(3) | 0x80, group(4)]
}

#[track_caller]
fn refused(wasm: &[u8]) -> String {
    Signatures::of(wasm).map(|_| ()).expect_err("it is malformed").to_string()
}

#[test]
fn only_components_have_signatures() {
    let module = b"\0asm\x01\0\0\0";
    for wasm in [&b""[..], b"\0asm", module, b"(component)"] {
        assert_eq!(Signatures::of(wasm).map(|_| ()), Err(SignatureError::NotAComponent), "{wasm:?}");
        assert_eq!(key(1).sign(wasm), Err(SignatureError::NotAComponent), "{wasm:?}");
    }
}

/// A signature in another place than the first section signs nothing: what is before it would be
/// signed by nobody.
#[test]
fn only_the_first_section_has_signatures() {
    let key = key(1);
    let signed = key.sign(COMPONENT).expect("it can be signed");
    let mut moved = COMPONENT[..8].to_vec();
    moved.extend(b"\x00\x06\x05other");
    moved.extend(&signed[8..]);
    assert!(!is_signed(&moved, &key));
    assert!(Signatures::of(&moved).is_ok_and(|signatures| signatures.is_empty()));
}

#[test]
fn sections_that_are_cut_short_are_refused() {
    let signed = key(1).sign(COMPONENT).expect("it can be signed");
    let section = &signed[8 + 2 + 1 + 10..signed.len() - (COMPONENT.len() - 8)];
    assert!(Signatures::of(&with_section(section)).is_ok(), "{section:?}");
    for end in 0..section.len() {
        let why = refused(&with_section(&section[..end]));
        assert!(why.starts_with("its signatures cannot be read: unexpected end"), "{end}: {why}");
    }
    let why = refused(&with_section(&[section, b"?"].concat()));
    assert_eq!(why, "its signatures cannot be read: 1 bytes follow that belong to nothing");
}

#[test]
fn other_versions_are_refused_by_name() {
    let why = refused(&with_section(b"\x02\x01\x01\x00"));
    assert!(why.contains("version, content and hash are [2, 1, 1], and [1, 1, 1] are known"), "{why}");
}

/// A file of a few bytes may claim any number and any length.
#[test]
fn what_a_file_claims_is_not_allocated() {
    let most = u32::MAX;
    let mut long = COMPONENT[..8].to_vec();
    long.push(0);
    long.extend(leb(most));
    long.extend(b"\x09signature");
    let form = [1, 1, 1];
    let sets = [&form[..], &leb(most)].concat();
    let set = [&form[..], &leb(1), &leb(most)].concat();
    let hashes = [&form[..], &leb(1), &leb(5), &leb(most)].concat();
    for wasm in [long, with_section(&sets), with_section(&set), with_section(&hashes)] {
        refused(&wasm);
    }
    let signatures = [&form[..], &leb(1), &leb(6), &leb(0)[..], &[0x7f]].concat();
    assert!(refused(&with_section(&signatures)).ends_with("there are 127 signatures, and the most is 16"));
    let hashes = [&form[..], &leb(1), &leb(5), &leb(65)].concat();
    assert!(refused(&with_section(&hashes)).ends_with("there are 65 hashes, and the most is 64"));
    let huge = with_section(&vec![1; MAX_SECTION + 1]);
    assert!(
        refused(&huge).ends_with("there are 65537 bytes in the section `signature`, and the most is 65536")
    );
}

/// An algorithm that is not known proves nothing, and does no harm beside another one.
#[test]
fn other_algorithms_count_for_nothing() {
    let key = key(1);
    let signed = key.sign(COMPONENT).expect("it can be signed");
    let id = key.public().fingerprint();
    let at = signed.windows(12).position(|bytes| bytes == id.bytes()).expect("it names its key") + 12;
    let mut other = signed.clone();
    other[at] = 2;
    assert!(!is_signed(&other, &key) && Signatures::of(&other).is_ok_and(|read| read.is_empty()));
}

/// Whoever signs a part of a file vouches for that part, and not for what follows.
#[test]
fn signatures_of_a_part_count_for_nothing() {
    let key = key(1);
    let content = &COMPONENT[8..];
    let whole = [content, b"\0\x05\x04more"].concat();
    for (hashes, counts) in [
        (vec![Digest::of(content)], false),
        (vec![Digest::of(&whole), Digest::of(content)], false),
        (vec![Digest::of(content), Digest::of(&whole)], true),
        (vec![], false),
    ] {
        let hashes: Vec<u8> = hashes.iter().flat_map(|digest| digest.0).collect();
        let mut set = format::SignedHashes { hashes: &hashes, signatures: Vec::new() };
        let signature = key.signature(&set.message());
        set.signatures.push(format::Signature { key_id: b"", bytes: &signature });
        let wasm = format::with_signatures(&[set], &whole);
        assert_eq!(is_signed(&wasm, &key), counts, "{} hashes", hashes.len() / 32);
        let signatures = Signatures::of(&wasm).expect("it is well formed");
        assert_eq!(
            (signatures.is_changed(), signatures.claims()),
            (!counts, vec!["without an id".to_owned()])
        );
    }
}

/// The id is not signed. If it could be another key's, a file could seem to be signed by both.
#[test]
fn a_signature_under_the_name_of_another_key_counts_for_nothing() {
    let (one, other) = (key(1), key(2));
    let hashes = Digest::of(&COMPONENT[8..]).0;
    let mut set = format::SignedHashes { hashes: &hashes, signatures: Vec::new() };
    let signature = one.signature(&set.message());
    let id = other.public().fingerprint();
    set.signatures.push(format::Signature { key_id: id.bytes(), bytes: &signature });
    let wasm = format::with_signatures(&[set], &COMPONENT[8..]);
    assert!(!is_signed(&wasm, &one) && !is_signed(&wasm, &other));
}
