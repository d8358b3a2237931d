//! Any bytes as the section of signatures of a component: reading it does not panic, no key has
//! signed it by accident, and it can be signed unless it is malformed.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use wireplug_wasm::signature::{PrivateKey, Signatures};

static KEY: LazyLock<PrivateKey> = LazyLock::new(|| PrivateKey::generate().expect("there are random bytes"));

fuzz_target!(|section: &[u8]| {
    let content = [b"\x09signature", section].concat();
    let length = u16::try_from(content.len()).expect("an input is short");
    let leb = [(length & 0x7f) as u8 | 0x80, (length >> 7 & 0x7f) as u8 | 0x80, (length >> 14) as u8];
    let wasm = [b"\0asm\x0d\0\x01\0\0", &leb[..], &content].concat();
    match Signatures::of(&wasm) {
        Ok(signatures) => {
            assert!(!signatures.is_signed_by(&KEY.public()));
            assert!(signatures.claims().len() <= 16);
            let signed = KEY.sign(&wasm).expect("it has room");
            assert!(Signatures::of(&signed).is_ok_and(|signatures| signatures.is_signed_by(&KEY.public())));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
