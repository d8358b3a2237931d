//! Streams that the codec cuts itself, TLS in the middle of them, and the ids of requests.

use super::{EVALUATES, INTERFACES, Project, reads};

const EVALUATES_STREAM: &str = include_str!("../evaluates_stream.js");

/// The interfaces that `evaluates_stream.js` exports.
const STREAM_INTERFACES: &[&str] = &["codec", "framer", "tls-upgrade", "handshake", "requests"];

/// `cut` and `decode` become events and ends, and wrong answers are reported.
#[test]
fn stream_becomes_packets_and_events() {
    let project = Project::new("js-streams");
    project.build(EVALUATES_STREAM, STREAM_INTERFACES).unwrap();
    // More packets than one call decodes.
    let many = format!("stream \"{}\"", r"[]\n".repeat(40));
    let last_of_call = format!("{}next.cut = () => `start-tls`, []\\n", r"[]\n".repeat(15));
    let last_of_call = format!("session tcp 127.0.0.1:1 starttls yes\nstream \"{last_of_call}\"");
    project.answers(&[
        // Every kind of event.
        ("stream '[established(), reply(Uint8Array.of(1, 2))]\\n'", "reply 01 02"),
        ("stream '[established(), notice(`a.b`, encodeUtf8(`{}`))]\\n'", r#"notice a.b "{}""#),
        ("stream '[established(), notice(`é`, Uint8Array.of())]\\n'", r#"notice "é" """#),
        (
            "stream '[established(), request(9007199254740991, ``, encodeUtf8(`a`))]\\n'",
            r#"request 9007199254740991 "" "a""#,
        ),
        ("stream '[established(), response(7, 100, encodeUtf8(`a`))]\\n'", r#"response 7 100 "a""#),
        ("stream '[addressVerified()]\\n'", "address-verified"),
        ("stream '[log(`error`, `a`)]\\n'", r#"log error "a""#),
        ("stream '[close(`so`, 4999), close(`later`)]\\n[]\\n'", r#"close 4999 "so""#),
        // Packets in one call and in several.
        ("stream '[]\\n'\nstream '[]'\nstream '\\n'", r#"cut "[]\n""#),
        (&many, r#"cut "[]\n""#),
        // A hello is the last event of a call, and its answer comes before the next packet.
        ("stream '[hello(encodeUtf8(`a`))]\\n[]\\n'", r#"hello "a""#),
        ("stream '[hello(encodeUtf8(`a`))]\\n[]\\n'\nanswer 200 ''", r#"cut "[]\n""#),
        // A packet that is refused, and the next one.
        ("stream '(() => { throw new Rejected(`so`) })()\\n'", r#"rejected "so""#),
        ("stream '(() => { throw new Rejected(`so`) })()\\n[]\\n'", r#"cut "[]\n""#),
        ("stream '(() => { throw new Fatal(`so`) })()\\n[]\\n'", r#"fatal "so""#),
        ("stream 'nowhere\\n[]\\n'", r#"fatal "bug: ReferenceError: nowhere is not defined"#),
        ("stream '7\\n[]\\n'", r#"fatal "bug: TypeError: decode returned 7, not a list of events"#),
        // A stream that is refused.
        ("stream 'next.cut = () => { throw new Rejected(`so`) }, []\\n[]\\n'", r#"fatal "so""#),
        ("stream 'next.cut = () => { throw new Fatal(`so`) }, []\\n'", r#"fatal "so""#),
        ("stream 'next.cut = () => nowhere, []\\n'", r#"fatal "bug: ReferenceError: nowhere is not defined"#),
        // Wrong answers of `cut`.
        (
            "stream 'next.cut = () => {}, []\\n'",
            r#"fatal "bug: TypeError: cut returned undefined, not { packet }, { need } or 'start-tls'"#,
        ),
        (
            "stream 'next.cut = () => 3, []\\n'",
            r#"fatal "bug: TypeError: cut returned 3, not { packet }, { need } or 'start-tls'"#,
        ),
        (
            "stream 'next.cut = () => ({ packet: 0 }), []\\n[]\\n'",
            r#"fatal "bug: TypeError: cut returned a packet of 0, not an integer from 1 to 3, the length of the rest"#,
        ),
        (
            "stream 'next.cut = () => ({ packet: 4 }), []\\n[]\\n'",
            r#"fatal "bug: TypeError: cut returned a packet of 4, not an integer from 1 to 3"#,
        ),
        (
            "stream 'next.cut = () => ({ need: 3 }), []\\n[]\\n'",
            r#"fatal "bug: TypeError: cut returned a need of 3, not an integer from 4 to 2^32 - 1"#,
        ),
        (
            "stream 'next.cut = () => ({ need: 4294967296 }), []\\n'",
            r#"fatal "bug: TypeError: cut returned a need of 4294967296, not an integer from 1 to 2^32 - 1"#,
        ),
        (
            "session tcp 127.0.0.1:1 starttls yes\n\
             stream 'next.cut = () => (next.cut = () => `start-tls`, { packet: 3 }), [hello(encodeUtf8(`a`))]\\n[]\\n'\n\
             answer 200 ''",
            "start-tls",
        ),
        (
            "stream 'next.cut = () => `start-tls`, [hello(encodeUtf8(`a`))]\\n[]\\n'\nanswer 200 ''",
            r#"fatal "bug: TypeError: cut returned 'start-tls' at the beginning of a call, not behind a packet"#,
        ),
        // TLS begins behind any packet, also behind the last one that a call decodes.
        (&last_of_call, "start-tls"),
        (
            "session tcp 127.0.0.1:1 starttls yes\n\
             stream 'next.secured = (attributes) => [reply(encodeUtf8(attributes.get(`tls-sni`)))], next.cut = () => `start-tls`, []\\n'\n\
             secured tls-alpn h2 tls-sni example.org",
            r#"reply "example.org""#,
        ),
        (
            "session tcp 127.0.0.1:1 starttls yes\n\
             stream 'next.secured = () => {}, next.cut = () => `start-tls`, []\\n'\nsecured",
            r#"close 0 "bug: TypeError: secured returned undefined, not a list of events"#,
        ),
        // Requests of the application, whose ids are numbers from 1 on here.
        ("stream '[established()]\\n'\nout request 5 r ''\nout request 6 r ''", r#"packet "2""#),
        (
            "stream '[established()]\\n'\nout request 5 r ''\nout request 6 r ''\nout request 7 r ''",
            r#"rejected "2 requests are open, and no more are allowed""#,
        ),
        ("stream '[established()]\\n'\nout request 5 r ''\nabandon 5", r#"reply "1""#),
        ("stream '[established()]\\n'\nabandon 5", r#"reply "undefined""#),
    ]);
}

/// Helpers of `cut` return exact lengths, and refuse what can never become a packet.
#[test]
fn cut_helpers() {
    let project = Project::new("js-cut");
    project.build(EVALUATES, INTERFACES).unwrap();
    let refused = |reason: &str| format!("fatal {reason:?}");
    let answer = |json: &str| format!("reply '{json}'");
    let cases = [
        ("cut.fixed(Uint8Array.of(), 3, 3)", answer(r#"{"need":3}"#)),
        ("cut.fixed(Uint8Array.of(1, 2, 3, 4), 3, 3)", answer(r#"{"packet":3}"#)),
        ("cut.fixed(Uint8Array.of(), 4, 3)", refused("the packet has more than 3 bytes")),
        ("cut.fixed(Uint8Array.of(), 0, 3, `frame`)", refused("the frame has 0 bytes")),
        // A length field.
        ("cut.lengthField(Uint8Array.of(0), { width: 2 }, 9)", answer(r#"{"need":2}"#)),
        ("cut.lengthField(Uint8Array.of(0, 7), { width: 2 }, 9)", answer(r#"{"need":9}"#)),
        ("cut.lengthField(Uint8Array.of(0, 0, 1), { width: 2 }, 9)", answer(r#"{"packet":2}"#)),
        (
            "cut.lengthField(Uint8Array.of(1, 0, 9, 9), { width: 2, littleEndian: true }, 9)",
            answer(r#"{"packet":3}"#),
        ),
        (
            "cut.lengthField(Uint8Array.of(9, 0, 4, 7), { offset: 1, width: 2, adjust: -3 }, 9)",
            answer(r#"{"packet":4}"#),
        ),
        (
            "cut.lengthField(Uint8Array.of(255, 255, 255, 255), { width: 4 }, 9, `frame`)",
            refused("the frame has more than 9 bytes"),
        ),
        (
            "cut.lengthField(Uint8Array.of(0, 1), { width: 2, adjust: -2 }, 9)",
            refused("the length field is 1, and at least 2 is needed"),
        ),
        ("cut.lengthField(Uint8Array.of(), { width: 2 }, 1)", refused("the packet has more than 1 bytes")),
        (
            "cut.lengthField(Uint8Array.of(), { width: 5 }, 9)",
            "fatal \"bug: TypeError: lengthField: the width is 5, not an integer from 1 to 4".to_owned(),
        ),
        // A line.
        ("cut.line(encodeUtf8(``), 10, 4)", answer(r#"{"need":1}"#)),
        ("cut.line(encodeUtf8(`a`), 10, 4)", answer(r#"{"need":2}"#)),
        ("cut.line(Uint8Array.of(97, 10, 98, 10), 10, 4)", answer(r#"{"packet":2}"#)),
        ("cut.line(encodeUtf8(`aaaa`), 10, 4)", refused("the packet has more than 4 bytes")),
        ("cut.line(encodeUtf8(`a`), encodeUtf8(`--`), 9)", answer(r#"{"need":3}"#)),
        ("cut.line(encodeUtf8(`a-`), encodeUtf8(`--`), 9)", answer(r#"{"need":3}"#)),
        ("cut.line(encodeUtf8(`a-b--c`), encodeUtf8(`--`), 9)", answer(r#"{"packet":5}"#)),
        ("cut.line(encodeUtf8(`AABAAB`), encodeUtf8(`AAC`), 9)", answer(r#"{"need":9}"#)),
        // A line is too long at the limit, and not one byte before it.
        ("cut.line(encodeUtf8(`aaaa`), encodeUtf8(`--`), 5)", answer(r#"{"need":5}"#)),
        ("cut.line(encodeUtf8(`aaaa-`), encodeUtf8(`--`), 5)", refused("the packet has more than 5 bytes")),
        (
            "cut.line(encodeUtf8(`a`), Uint8Array.of(), 9)",
            "fatal \"bug: TypeError: line: a delimiter has at least one byte".to_owned(),
        ),
        // Digits.
        ("cut.digits(encodeUtf8(``), 1, 58, 65535)", answer(r#"{"need":2}"#)),
        ("cut.digits(encodeUtf8(`$`), 1, 58, 65535)", answer(r#"{"need":2}"#)),
        ("cut.digits(encodeUtf8(`$6`), 1, 58, 65535)", answer(r#"{"need":3}"#)),
        ("cut.digits(encodeUtf8(`$65535:`), 1, 58, 65535)", answer(r#"{"value":65535,"end":7}"#)),
        ("cut.digits(encodeUtf8(`00012:`), 0, 58, 65535)", answer(r#"{"value":12,"end":6}"#)),
        (
            "cut.digits(encodeUtf8(`000012:`), 0, 58, 65535)",
            refused("the length is not a decimal number from 0 to 65535"),
        ),
        (
            "cut.digits(encodeUtf8(`65536`), 0, 58, 65535)",
            refused("the length is not a decimal number from 0 to 65535"),
        ),
        (
            "cut.digits(encodeUtf8(`:`), 0, 58, 9, `id`)",
            refused("the id is not a decimal number from 0 to 9"),
        ),
        (
            "cut.digits(encodeUtf8(`+1:`), 0, 58, 99)",
            refused("the length is not a decimal number from 0 to 99"),
        ),
        (
            "cut.digits(encodeUtf8(`-1:`), 0, 58, 99)",
            refused("the length is not a decimal number from 0 to 99"),
        ),
        (
            "cut.digits(encodeUtf8(` 1:`), 0, 58, 99)",
            refused("the length is not a decimal number from 0 to 99"),
        ),
        (
            "cut.digits(encodeUtf8(`1 :`), 0, 58, 99)",
            refused("the length is not a decimal number from 0 to 99"),
        ),
        // BER.
        ("cut.ber(Uint8Array.of(), 1000)", answer(r#"{"need":2}"#)),
        ("cut.ber(Uint8Array.of(0x30, 3), 1000)", answer(r#"{"need":5}"#)),
        ("cut.ber(Uint8Array.of(0x30, 0, 9), 1000)", answer(r#"{"packet":2}"#)),
        ("cut.ber(Uint8Array.of(0x30, 0x82, 1), 1000)", answer(r#"{"need":4}"#)),
        ("cut.ber(Uint8Array.of(0x30, 0x82, 1, 4), 1000)", answer(r#"{"need":264}"#)),
        ("cut.ber(Uint8Array.of(0x1f), 1000)", answer(r#"{"need":2}"#)),
        ("cut.ber(Uint8Array.of(0x1f, 0x81, 0x82, 0x83), 1000)", answer(r#"{"need":5}"#)),
        ("cut.ber(Uint8Array.of(0x1f, 0x81, 1, 0), 1000)", answer(r#"{"packet":4}"#)),
        ("cut.ber(Uint8Array.of(0x30, 0x80), 1000)", refused("the length is indefinite")),
        ("cut.ber(Uint8Array.of(0x30, 0x85), 1000)", refused("the length has more than 4 bytes")),
        (
            "cut.ber(Uint8Array.of(0x30, 0x84, 255, 255, 255, 255), 1000)",
            refused("the packet has more than 1000 bytes"),
        ),
        (
            "cut.ber(Uint8Array.of(0x1f, 0x81, 0x81, 0x81, 0x81), 1000)",
            refused("the tag has more than 5 bytes"),
        ),
        // A delimiter with escapes.
        ("cut.escaped(encodeUtf8(`a/`), 59, 47, 9)", answer(r#"{"need":4}"#)),
        ("cut.escaped(encodeUtf8(`a//`), 59, 47, 9)", answer(r#"{"need":4}"#)),
        ("cut.escaped(encodeUtf8(`a/;b`), 59, 47, 9)", answer(r#"{"need":5}"#)),
        ("cut.escaped(encodeUtf8(`a/;//;b`), 59, 47, 9)", answer(r#"{"packet":6}"#)),
        ("cut.escaped(encodeUtf8(`a/;a/`), 59, 47, 5)", refused("the packet has more than 5 bytes")),
        ("cut.escaped(encodeUtf8(`a/;/`), 59, 47, 5)", answer(r#"{"need":5}"#)),
        // A delimiter at both ends.
        ("cut.enclosed(Uint8Array.of(), 0x7e, 4)", answer(r#"{"need":1}"#)),
        ("cut.enclosed(Uint8Array.of(0x7e), 0x7e, 4)", answer(r#"{"need":3}"#)),
        ("cut.enclosed(Uint8Array.of(0x7e, 0x7e, 0x7e), 0x7e, 4)", answer(r#"{"need":4}"#)),
        ("cut.enclosed(Uint8Array.of(0x7e, 1), 0x7e, 4)", answer(r#"{"need":3}"#)),
        ("cut.enclosed(Uint8Array.of(0x7e, 1, 0x7e, 0x7e), 0x7e, 4)", answer(r#"{"packet":3}"#)),
        ("cut.enclosed(Uint8Array.of(0x7e, 0x7e), 0x7e, 4)", answer(r#"{"need":4}"#)),
        ("cut.enclosed(Uint8Array.of(0x7e, 0x7e, 1, 0x7e, 2), 0x7e, 4)", answer(r#"{"packet":4}"#)),
        (
            "cut.enclosed(Uint8Array.of(1, 0x7e), 0x7e, 4)",
            refused("the packet begins with 0x01, and not with 0x7e"),
        ),
        ("cut.enclosed(Uint8Array.of(0x7e, 1, 2, 3), 0x7e, 4)", refused("the packet has more than 4 bytes")),
    ];
    let asked = cases.map(|(call, begins)| (reads(&format!("JSON.stringify({call})")), begins));
    project.answers(&asked.each_ref().map(|(read, begins)| (read.as_str(), begins.as_str())));
}

/// A map of ids is bounded, and gives a number again only after all others.
#[test]
fn ids_of_open_requests() {
    let project = Project::new("js-ids");
    project.build(EVALUATES, INTERFACES).unwrap();
    let with =
        |limits: &str, read: &str| reads(&format!("(ids => JSON.stringify({read}))(new Ids({limits}))"));
    let of_two = |read: &str| with("{ limit: 2, largest: 3 }", read);
    let restored = |saved: &str| of_two(&format!("[ids.restore({saved}), ids.insert(`c`)].pop()"));
    let asked = [
        (of_two("[ids.insert(`a`), ids.insert(`b`), ids.size]"), r#"reply "[1,2,2]""#),
        (of_two("[ids.insert(`a`), ids.take(1), ids.insert(`a`)]"), r#"reply '[1,"a",2]'"#),
        (
            of_two(
                "[ids.insert(1), ids.insert(2), ids.remove(1), ids.insert(3), ids.remove(3), ids.insert(4)]",
            ),
            r#"reply "[1,2,1,3,3,1]""#,
        ),
        (of_two("[ids.take(1) ?? 0, ids.remove(`a`) ?? 0]"), r#"reply "[0,0]""#),
        (
            of_two("[ids.insert(1), ids.insert(2), ids.insert(3)]"),
            r#"rejected "2 requests are open, and no more are allowed""#,
        ),
        (
            of_two("[ids.insert(`a`), ids.insert(`a`)]"),
            r#"rejected "a request with this id is open already""#,
        ),
        (
            of_two("ids.insert({})"),
            r#"fatal "bug: TypeError: Ids: the id is an object (Object), not a string or a number"#,
        ),
        (
            with(
                "{ limit: 2, dropOldest: true }",
                "[`a`, `b`, `c`].map(id => ids.insert(id)).map(n => ids.take(n) ?? 0)",
            ),
            r#"reply '[0,"b","c"]'"#,
        ),
        (
            with("{ limit: 0 }", "0"),
            r#"fatal "bug: TypeError: Ids: limit is 0, not an integer from 1 to 4294967295"#,
        ),
        (
            with("{ limit: 9, largest: 8 }", "0"),
            r#"fatal "bug: TypeError: Ids: limit is 9, not an integer from 1 to 8"#,
        ),
        // The saved form, and saved forms that are wrong.
        (of_two("[ids.insert(`a`), ids.save()]"), r#"reply '[1,{"last":1,"open":[[1,"a"]]}]'"#),
        (restored("{ last: 2, open: [[3, `a`]] }"), r#"reply "1""#),
        // What was open before is replaced.
        (
            of_two(
                "[ids.insert(`a`), ids.restore({ last: 2, open: [] }), ids.insert(`a`), ids.take(1) ?? 0]",
            ),
            r#"reply "[1,null,3,0]""#,
        ),
        (restored("null"), r#"fatal "the saved ids have another format""#),
        (restored("{ last: 4, open: [] }"), r#"fatal "the saved ids do not fit""#),
        (restored("{ last: 1, open: [[4, 1]] }"), r#"fatal "the saved ids do not fit""#),
        (restored("{ last: 1, open: [[1]] }"), r#"fatal "the saved ids have another format""#),
        (restored("{ last: 1, open: [[1, 2], [2, 3], [3, 4]] }"), r#"fatal "the saved ids do not fit""#),
        (restored("{ last: 1, open: [[1, 2], [1, 3]] }"), r#"fatal "the saved ids do not fit""#),
        (restored("{ last: 1, open: [[1, 2], [2, 2]] }"), r#"fatal "the saved ids do not fit""#),
    ];
    project.answers(&asked.each_ref().map(|(read, begins)| (read.as_str(), *begins)));
}

/// A codec with wrong exports, or with a description that does not fit them, is not built.
#[test]
fn wrong_streams_are_not_built() {
    let project = Project::new("js-stream-exports");
    let fails = |code: &str, interfaces: &[&str], wanted: &str| {
        let error = project.build(code, interfaces).unwrap_err();
        assert!(error.contains(wanted), "{wanted}: {error}");
    };
    let without_tls = ["codec", "framer", "handshake", "requests"];
    fails(EVALUATES_STREAM, &without_tls, "codec.js exports `tlsUpgrade`, which wit/world.wit does not name");
    fails(EVALUATES_STREAM, &without_tls, "add `export wireplug:codec/tls-upgrade@0.2.0;` to the world");

    let exports_no_tls = EVALUATES_STREAM.replace("framer, tlsUpgrade,", "framer,");
    fails(&exports_no_tls, STREAM_INTERFACES, "add `tlsUpgrade` to `export const { codec");

    let without_cut =
        EVALUATES_STREAM.replace("  cut (bytes)", "  cat (bytes)").replace("'continuous'", "'one'");
    fails(&without_cut, STREAM_INTERFACES, "framer needs the method `cut` of the Session");

    let without_secured = EVALUATES_STREAM.replace("  secured (", "  secure (");
    fails(&without_secured, STREAM_INTERFACES, "tlsUpgrade needs the method `secured` of the Session");

    let without_abandoned = EVALUATES_STREAM.replace("  abandoned (", "  abandon (");
    fails(&without_abandoned, STREAM_INTERFACES, "requests needs the method `abandoned` of the Session");

    let undescribed = EVALUATES_STREAM.replace("clientRequests: 8", "clientRequests: 0");
    fails(&undescribed, STREAM_INTERFACES, "requests needs `clientRequests` above 0 in the description");

    let framed = EVALUATES_STREAM
        .replace("messages: 'continuous'", "framing: { tag: 'varint', val: 0 }, messages: 'continuous'");
    fails(&framed, STREAM_INTERFACES, "description: with `cut`, framing is an object (Object), not null");
}
