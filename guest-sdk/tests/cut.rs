//! Checks the functions that cut packets: on whole streams, on every part of them, on bytes that
//! never become a packet, and on random bytes in every division.

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
    cuts(|bytes| cut::fixed(bytes, 4, 4), b"abcdef", 4);
}

#[test]
fn a_fixed_length_is_1_to_the_limit() {
    assert_eq!(refused(cut::fixed(b"", 5, 4)), "the packet has more than 4 bytes");
    assert_eq!(refused(cut::fixed(b"a", 0, (4, "frame"))), "the frame has 0 bytes");
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
    let too_small = "the length field is 3, and at least 4 is needed";
    assert_eq!(refused(whole.cut(b"\0\0\0\x03", 100)), too_small);
    assert_eq!(refused(whole.cut(b"\0\0\0\x65", 100)), "the packet has more than 100 bytes");
    let most = LengthField { adjust: i32::MAX, ..whole };
    assert_eq!(refused(most.cut(&[0xff; 4], (100, "frame"))), "the frame has more than 100 bytes");
    assert_eq!(refused(whole.cut(b"", 3)), "the packet has more than 3 bytes");
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
        let reason = refused(cut::line(stream, b"\n", (5, "header line")));
        assert_eq!(reason, "the header line has more than 5 bytes");
    }
    // Only the line feed is missing, and the line is too long with it.
    assert!(cut::line(b"abcd\r", b"\r\n", 5).is_err());
    assert_eq!(cut::line(b"abcd\r", b"\r\n", 6), Ok(Cut::Need(6)));
    // A line is too long at the limit, and not one byte before it.
    assert_eq!(cut::line(b"abcd", b"\r\n", 5), Ok(Cut::Need(5)));
}

/// A length in digits before the bytes that it counts, as in `LEN=5;hello`.
fn counted(bytes: &[u8]) -> Result<Cut, Fault> {
    match cut::digits(bytes, 4, b';', 1000)? {
        Digits::Number { value, end } => cut::fixed(bytes, end + value, 1009),
        Digits::Need(total) => Ok(Cut::Need(total)),
    }
}

#[test]
fn digits_are_read() {
    cuts(counted, b"LEN=5;hello", 11);
    cuts(counted, b"LEN=0;hello", 6);
    cuts(counted, b"LEN=0005;hello", 14);
    assert_eq!(cut::digits(b"1000;", 0, b';', 1000), Ok(Digits::Number { value: 1000, end: 5 }));
    let largest = format!("{};", usize::MAX);
    let number = Digits::Number { value: usize::MAX, end: largest.len() };
    assert_eq!(cut::digits(largest.as_bytes(), 0, b';', usize::MAX), Ok(number));
    assert_eq!(cut::digits(b"0;", 0, b';', 0), Ok(Digits::Number { value: 0, end: 2 }));
    // The first byte may already be wrong.
    for (stream, need) in [(&b""[..], 5), (b"LEN", 5), (b"LEN=", 5), (b"LEN=1", 6)] {
        assert_eq!(cut::digits(stream, 4, b';', 1000), Ok(Digits::Need(need)));
    }
}

#[test]
fn what_is_no_number_is_refused() {
    for number in [";", "+5;", "-5;", " 5;", "5 ;", "x", "1001", "99999999999999999999", "00000"] {
        let reason = refused(counted(format!("LEN={number}").as_bytes()));
        assert_eq!(reason, "the length is not a decimal number from 0 to 1000", "{number}");
    }
    let above = format!("{}0", usize::MAX);
    assert!(cut::digits(above.as_bytes(), 0, b';', usize::MAX).is_err());
    let reason = refused(cut::digits(b"1;", 0, b';', (0, "serial")).map(|_| Cut::StartTls));
    assert_eq!(reason, "the serial is not a decimal number from 0 to 0");
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
    // A tag may end with its next byte, or be refused.
    assert_eq!(ber(b"\x1f"), Ok(Cut::Need(2)));
    assert_eq!(ber(b"\x1f\x81\x82\x83"), Ok(Cut::Need(5)));
    assert_eq!(ber(b"\x1f\x81\x82\x83\x04"), Ok(Cut::Need(6)));
    assert_eq!(ber(b"\x30\x82"), Ok(Cut::Need(4)));
}

#[test]
fn wrong_ber_is_refused() {
    for (stream, reason) in [
        (&b"\x30\x80"[..], "the length is indefinite"),
        (b"\x30\x85", "the length has more than 4 bytes"),
        (b"\x30\xff", "the length has more than 4 bytes"),
        (b"\x1f\x81\x82\x83\x84", "the tag has more than 5 bytes"),
        (b"\x30\x84\xff\xff\xff\xff", "the packet has more than 100 bytes"),
        (b"\x30\x63", "the packet has more than 100 bytes"),
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
        assert_eq!(reason, "the packet has more than 5 bytes", "{stream:?}");
    }
    assert_eq!(cut::escaped(b"abc\\", b'"', b'\\', 5), Ok(Cut::Need(5)));
}

#[test]
fn a_packet_between_two_delimiters_is_cut() {
    let enclosed = |bytes: &[u8]| cut::enclosed(bytes, 0x7e, 10);
    cuts(enclosed, b"\x7eab\x7d\x02\x7e\x7ec\x7e", 6);
    cuts(enclosed, b"\x7e\x7e\x7ea\x7e", 5);
    assert_eq!(enclosed(b""), Ok(Cut::Need(1)));
    assert_eq!(enclosed(b"\x7e"), Ok(Cut::Need(3)));
    assert_eq!(enclosed(b"\x7e\x7e"), Ok(Cut::Need(4)));
    assert_eq!(enclosed(&[0x7e; 9]), Ok(Cut::Need(10)));
    assert_eq!(refused(enclosed(b"a\x7e")), "the packet begins with 0x61, and not with 0x7e");
    for stream in [&b"\x7eaaaaaaaaa"[..], b"\x7eaaaaaaaaa\x7e", &[0x7e; 10], &[0x7e; 20]] {
        assert_eq!(refused(enclosed(stream)), "the packet has more than 10 bytes", "{stream:?}");
    }
}

/// Returns the lengths of the packets, and the rest or the reason. The bytes come in pieces of this
/// size. As in the runtime, nothing is cut before the rest has the bytes that it needs.
fn in_pieces(cut: &Cutter, stream: &[u8], piece: usize) -> (Vec<usize>, Result<usize, Fault>) {
    let (mut packets, mut start, mut needed) = (Vec::new(), 0, 1);
    let mut ends = (piece..stream.len()).step_by(piece).chain([stream.len()]);
    let Some(mut end) = ends.next() else { unreachable!("there is the last end") };
    loop {
        if end - start < needed {
            match ends.next() {
                Some(next) => end = next,
                None => return (packets, Ok(end - start)),
            }
            continue;
        }
        let rest = &stream[start..end];
        match cut(rest) {
            Ok(Cut::Packet(length)) => {
                assert!(0 < length && length <= rest.len());
                packets.push(length);
                (start, needed) = (start + length, 0);
            }
            Ok(Cut::Need(total)) => {
                assert!(total > rest.len());
                needed = total;
            }
            Ok(Cut::StartTls) => unreachable!("no function returns it"),
            Err(fault) => return (packets, Err(fault)),
        }
    }
}

type Cutter = dyn Fn(&[u8]) -> Result<Cut, Fault>;

#[test]
fn packets_and_errors_do_not_depend_on_the_division() {
    const MAX: usize = 12;
    let field = LengthField { offset: 1, width: 2, little_endian: false, adjust: -1 };
    let cutters: [&Cutter; 7] = [
        &move |bytes| field.cut(bytes, MAX),
        &|bytes| cut::line(bytes, b"\n", MAX),
        &|bytes| cut::line(bytes, b"\r\n\r\n", MAX),
        &|bytes| match cut::digits(bytes, 1, b':', 10)? {
            Digits::Number { value, end } => cut::fixed(bytes, end + value, MAX),
            Digits::Need(total) => Ok(Cut::Need(total)),
        },
        &|bytes| cut::ber(bytes, MAX),
        &|bytes| cut::escaped(bytes, b';', b'\\', MAX),
        &|bytes| cut::enclosed(bytes, 0x7e, MAX),
    ];
    // The constants are those of the linear congruential generator MMIX.
    let mut state = 1_u64;
    let mut below = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    for _ in 0..1000 {
        // A small alphabet makes runs of the same byte likely.
        let alphabet = b"\n\r\x7e;\\:019a\0\x01\x02\x1f\x80\x81\x84\xff";
        let (from, letters) = (below(alphabet.len()), 1 + below(alphabet.len()));
        let length = 1 + below(30);
        let stream: Vec<_> =
            (0..length).map(|_| alphabet[(from + below(letters)) % alphabet.len()]).collect();
        for (index, cut) in cutters.into_iter().enumerate() {
            let whole = in_pieces(cut, &stream, stream.len());
            for piece in 1..stream.len() {
                assert_eq!(in_pieces(cut, &stream, piece), whole, "{index}: {stream:02x?} by {piece}");
            }
        }
    }
}
