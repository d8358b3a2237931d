//! Checks the functions that cut packets: on whole streams, on every part of them, and on bytes
//! that never become a packet.

use wireplug_guest::Fault;
use wireplug_guest::cut::{self, Cut, Digits, LengthField};

/// Checks that a packet is cut from a stream, and that each shorter part of the stream needs a
/// number of bytes that is more than there are, and not more than the packet has.
fn cuts(cut: impl Fn(&[u8]) -> Result<Cut, Fault>, stream: &[u8], packet: usize) {
    assert_eq!(cut(stream), Ok(Cut::Packet(packet)));
    assert_eq!(cut(&stream[..packet]), Ok(Cut::Packet(packet)));
    for length in 0..packet {
        match cut(&stream[..length]) {
            Ok(Cut::Need(total)) if total > length && total <= packet => {}
            other => panic!("{other:?} for {length} bytes"),
        }
    }
}

/// Returns the reason for which bytes are refused.
fn refused(cut: Result<Cut, Fault>) -> String {
    match cut {
        Err(Fault::Fatal(reason)) => reason.into_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_fixed_length_is_cut() {
    cuts(|bytes| Ok(cut::fixed(bytes, 4)), b"abcdef", 4);
}

#[test]
fn a_length_field_is_cut() {
    let big = LengthField { offset: 1, width: 2, little_endian: false, adjust: 0 };
    cuts(|bytes| big.cut(bytes, 8), b"x\0\x05helloworld", 8);
    let little = LengthField { offset: 0, width: 3, little_endian: true, adjust: -3 };
    cuts(|bytes| little.cut(bytes, 300), &[&[4, 1, 0], &[0; 300][..]].concat(), 260);
    assert_eq!(big.cut(b"x", 8), Ok(Cut::Need(3)));
    assert_eq!(big.cut(b"x\0\x05", 8), Ok(Cut::Need(8)));
    assert_eq!(big.cut(b"x\0\0", 8), Ok(Cut::Packet(3)));
}

#[test]
fn a_wrong_length_field_is_refused() {
    let whole = LengthField { offset: 0, width: 4, little_endian: false, adjust: -4 };
    assert_eq!(refused(whole.cut(b"\0\0\0\x03", 100)), "the length 3 is too small");
    assert_eq!(refused(whole.cut(b"\0\0\0\x65", 100)), "a packet of 101 bytes: at most 100 are allowed");
    let most = LengthField { adjust: i32::MAX, ..whole };
    assert_eq!(refused(most.cut(&[0xff; 4], 100)), "a packet of 6442450946 bytes: at most 100 are allowed");
    assert_eq!(refused(whole.cut(b"", 3)), "a packet does not end within 3 bytes");
}

#[test]
fn a_line_is_cut() {
    cuts(|bytes| cut::line(bytes, b"\n", 6), b"hello\nworld\n", 6);
    cuts(|bytes| cut::line(bytes, b"\r\n", 100), b"a\rb\n\r\r\n\r\n", 7);
    cuts(|bytes| cut::line(bytes, b"aab", 5), b"aaaab", 5);
    let need = |bytes| cut::line(bytes, b"\r\n\r\n", 100);
    assert_eq!(need(b""), Ok(Cut::Need(4)));
    assert_eq!(need(b"a\r\n\r"), Ok(Cut::Need(5)));
    assert_eq!(need(b"a\r\n\ra"), Ok(Cut::Need(9)));
}

#[test]
fn a_line_that_is_too_long_is_refused() {
    for stream in [&b"hello"[..], b"hello\n", b"hellohello"] {
        assert_eq!(refused(cut::line(stream, b"\n", 5)), "a packet does not end within 5 bytes");
    }
    // Only the line feed is missing, and the line is too long with it.
    assert!(cut::line(b"abcd\r", b"\r\n", 5).is_err());
    assert_eq!(cut::line(b"abcd\r", b"\r\n", 6), Ok(Cut::Need(6)));
}

/// A length in digits before the bytes that it counts, as in `LEN=5;hello`.
fn counted(bytes: &[u8]) -> Result<Cut, Fault> {
    Ok(match cut::digits(bytes, 4, b';', 1000)? {
        Digits::Number { value, end } => cut::fixed(bytes, end + value),
        Digits::Need(total) => Cut::Need(total),
    })
}

#[test]
fn digits_are_read() {
    cuts(counted, b"LEN=5;hello", 11);
    cuts(counted, b"LEN=0;hello", 6);
    cuts(counted, b"LEN=00000000000000000005;hello", 30);
    assert_eq!(cut::digits(b"1000;", 0, b';', 1000), Ok(Digits::Number { value: 1000, end: 5 }));
    let largest = format!("{};", usize::MAX);
    let number = Digits::Number { value: usize::MAX, end: largest.len() };
    assert_eq!(cut::digits(largest.as_bytes(), 0, b';', usize::MAX), Ok(number));
}

#[test]
fn what_is_no_number_is_refused() {
    for (stream, reason) in [
        ("LEN=;", "a number has the byte 0x3b"),
        ("LEN=+5;", "a number has the byte 0x2b"),
        ("LEN=-5;", "a number has the byte 0x2d"),
        ("LEN= 5;", "a number has the byte 0x20"),
        ("LEN=5 ;", "a number has the byte 0x20"),
        ("LEN=x", "a number has the byte 0x78"),
        ("LEN=1001", "a number is above 1000"),
        ("LEN=99999999999999999999", "a number is above 1000"),
        ("LEN=000000000000000000000", "a number has more than 20 digits"),
    ] {
        assert_eq!(refused(counted(stream.as_bytes())), reason, "{stream}");
    }
    let above = format!("{}0", usize::MAX);
    assert!(cut::digits(above.as_bytes(), 0, b';', usize::MAX).is_err());
}

#[test]
fn ber_is_cut() {
    let ber = |bytes: &[u8]| cut::ber(bytes, 70_000);
    cuts(ber, b"\x30\x03abcde", 5);
    cuts(ber, b"\x05\x00rest", 2);
    cuts(ber, &[&b"\x30\x81\x80"[..], &[0; 200]].concat(), 131);
    cuts(ber, &[&b"\x30\x82\x01\x00"[..], &[0; 300]].concat(), 260);
    cuts(ber, &[&b"\x30\x84\x00\x01\x00\x00"[..], &[0; 65_536]].concat(), 65_542);
    cuts(ber, b"\x1f\x81\x01\x02ab", 6);
    cuts(ber, b"\x3f\x81\x82\x83\x04\x01ab", 7);
    assert_eq!(ber(b""), Ok(Cut::Need(2)));
    assert_eq!(ber(b"\x1f"), Ok(Cut::Need(3)));
    assert_eq!(ber(b"\x30\x82"), Ok(Cut::Need(4)));
}

#[test]
fn wrong_ber_is_refused() {
    for (stream, reason) in [
        (&b"\x30\x80"[..], "a BER length is indefinite"),
        (b"\x30\x85", "a BER length has more than 4 bytes"),
        (b"\x30\xff", "a BER length has more than 4 bytes"),
        (b"\x1f\x81\x82\x83\x84", "a BER tag has more than 5 bytes"),
        (b"\x30\x84\xff\xff\xff\xff", "a packet of 4294967301 bytes: at most 100 are allowed"),
        (b"\x30\x63", "a packet of 101 bytes: at most 100 are allowed"),
    ] {
        assert_eq!(refused(cut::ber(stream, 100)), reason, "{stream:02x?}");
    }
}

#[test]
fn an_escaped_delimiter_is_no_end() {
    let escaped = |bytes: &[u8]| cut::escaped(bytes, b'"', b'\\', 100);
    cuts(escaped, b"a\\\"b\\\\\"c\"", 7);
    cuts(escaped, b"\"", 1);
    assert_eq!(escaped(b"ab"), Ok(Cut::Need(3)));
    // The escaped byte and the delimiter are missing.
    assert_eq!(escaped(b"ab\\"), Ok(Cut::Need(5)));
    for stream in [&b"abcde"[..], b"abcde\"", b"abc\\\"\"", b"abcd\\"] {
        let reason = refused(cut::escaped(stream, b'"', b'\\', 5));
        assert_eq!(reason, "a packet does not end within 5 bytes", "{stream:?}");
    }
}

#[test]
fn a_packet_between_two_delimiters_is_cut() {
    let enclosed = |bytes: &[u8]| cut::enclosed(bytes, 0x7e, 10);
    cuts(enclosed, b"\x7eab\x7d\x02\x7e\x7ec\x7e", 6);
    cuts(enclosed, b"\x7e\x7e\x7ea\x7e", 5);
    assert_eq!(enclosed(b""), Ok(Cut::Need(3)));
    assert_eq!(enclosed(b"\x7e\x7e"), Ok(Cut::Need(4)));
    assert_eq!(refused(enclosed(b"a\x7e")), "a packet begins with 0x61 in place of 0x7e");
    for stream in [&b"\x7eaaaaaaaaa"[..], b"\x7eaaaaaaaaa\x7e", &[0x7e; 9], &[0x7e; 20]] {
        assert_eq!(refused(enclosed(stream)), "a packet does not end within 10 bytes", "{stream:?}");
    }
}
