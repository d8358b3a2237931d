//! Tests that a digest is written and read in hex.

use crate::codec::{BadDigest, Digest};

const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn it_is_the_sha_256_in_hex() {
    assert_eq!(Digest::of(b"").to_string(), EMPTY);
    assert_eq!(EMPTY.parse(), Ok(Digest::of(b"")));
    assert_eq!(EMPTY.to_uppercase().parse(), Ok(Digest::of(b"")));
    assert_eq!(serde_json::to_string(&Digest::of(b"")).unwrap(), format!("\"{EMPTY}\""));
    assert_eq!(format!("{:?}", Digest::of(b"")), format!("Digest({EMPTY})"));
}

#[test]
fn what_is_no_digest_is_refused() {
    for text in
        ["", &EMPTY[1..], &format!("{EMPTY}0"), &EMPTY.replace('e', "g"), &EMPTY.replacen("e3", "é", 1)]
    {
        assert_eq!(text.parse::<Digest>(), Err(BadDigest), "{text}");
    }
}
