//! The SDK for JavaScript, in the engine that codecs run in: how an author's mistakes are reported,
//! and UTF-8.

mod streams;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::{Folder, answers, codec, folder};

const EVALUATES: &str = include_str!("evaluates.js");

/// All interfaces that a codec can export.
const INTERFACES: &[&str] = &["codec", "handshake", "clock", "farewell", "broadcast", "handoff"];

/// A project with its npm packages.
struct Project(Folder);

impl Project {
    fn new(name: &str) -> Self {
        let project = Self(folder(name));
        let made = codec(&["new", "evaluates", "--lang", "js"]).current_dir(project.0.root()).status();
        assert!(made.expect("it runs").success());
        let npm = Command::new("npm").args(["ci", "--ignore-scripts"]).current_dir(project.file("")).output();
        let npm = npm.expect("there is npm");
        assert!(npm.status.success(), "{}", String::from_utf8_lossy(&npm.stderr));
        project
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path("evaluates").join(name)
    }

    /// Builds this code, with a world that names these interfaces. Returns the errors.
    fn build(&self, code: &str, interfaces: &[&str]) -> Result<(), String> {
        let export = |name: &&str| format!("    export wireplug:codec/{name}@0.2.0;\n");
        let exports: String = interfaces.iter().map(export).collect();
        let world = format!("package local:evaluates;\n\nworld evaluates {{\n{exports}}}\n");
        fs::write(self.file("codec.js"), code).expect("it can be written");
        fs::write(self.file("wit/world.wit"), world).expect("it can be written");
        let built = codec(&["build", "--yes"]).current_dir(self.file("")).output().expect("it runs");
        if built.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&built.stderr).into_owned()) }
    }

    fn answers(&self, asked: &[(&str, &str)]) {
        answers(&self.file(""), asked);
    }
}

/// Returns the step with which the codec evaluates a text, and replies with it.
fn reads(read: &str) -> String {
    format!("in '[reply(encodeUtf8(String({read})))]'")
}

/// If a method returns a wrong value, the reason names the method, the value, and what was
/// expected.
#[test]
fn mistakes() {
    let project = Project::new("js-mistakes");
    project.build(EVALUATES, INTERFACES).unwrap();
    project.answers(&[
        // Wrong events.
        ("in 'undefined'", r#"fatal "bug: TypeError: decode returned undefined, not a list of events"#),
        (
            "in 'reply(Uint8Array.of(1))'",
            r#"fatal "bug: TypeError: decode returned an object (Event), not a list of events"#,
        ),
        (
            "in '(async () => [])()'",
            r#"fatal "bug: TypeError: decode returned an object (Promise), not a list of events"#,
        ),
        ("in '[3]'", r#"fatal "bug: TypeError: decode returned a list with 3, not only events"#),
        (
            "in '[{ tag: \"established\" }]'",
            r#"fatal "bug: TypeError: decode returned a list with an object (Object), not only events"#,
        ),
        ("in '[established(), , ]'", r#"fatal "bug: TypeError: decode returned a list with undefined, not only events"#),
        (
            "in '[timer(undefined)]'",
            r#"fatal "bug: TypeError: timer: the milliseconds are undefined, not a number"#,
        ),
        ("in '[timer(NaN)]'", r#"fatal "bug: TypeError: timer: the milliseconds are NaN, not a number"#),
        ("in '[timer(-1.5), timer(1.5), timer(Infinity)]'", "timer 4294967295"),
        ("in '[close()]'", r#"fatal "bug: TypeError: close: the reason is undefined, not a string"#),
        ("in '[close(`so`, 1005)]'", r#"fatal "bug: TypeError: close: the code is 1005, not 0, 1000 to 1003"#),
        ("in '[close(`so`, 4999)]'", r#"close 4999 "so""#),
        (
            "in '[log(`trace`, `so`)]'",
            r#"fatal 'bug: TypeError: log: the level is the string "trace", not one of debug, info, warn, error"#,
        ),
        ("in '[log(`warn`, `a\\\\ud800`)]'", "log warn \"a\u{fffd}\""),
        ("in '[addressVerified()]'", "address-verified"),
        ("in '[reply(null)]'", r#"fatal "bug: TypeError: reply: the packet is null, not a Uint8Array"#),
        (
            "in '[hello([1])]'",
            r#"fatal "bug: TypeError: hello: the body is an object (Array), not a Uint8Array"#,
        ),
        (
            "in '[request(1.5, `r`, encodeUtf8(``))]'",
            r#"fatal "bug: TypeError: request: the id is 1.5, not an integer from 0 to 2^53 - 1"#,
        ),
        (
            "in '[request(1n, `r`, encodeUtf8(``))]'",
            r#"fatal "bug: TypeError: request: the id is the BigInt 1n, not an integer"#,
        ),
        (
            "in '[response(1, 99, encodeUtf8(``))]'",
            r#"fatal "bug: TypeError: response: the status is 99, not an integer from 100 to 599"#,
        ),
        (
            "in '[notice(undefined, encodeUtf8(``))]'",
            r#"fatal "bug: TypeError: notice: the route is undefined, not a well-formed string"#,
        ),
        (
            "in '[notice(`r`, `{}`)]'",
            r#"fatal 'bug: TypeError: notice: the body is the string "{}", not a Uint8Array"#,
        ),
        // Messages, and what a session knows.
        (
            "in '[established(), request(9007199254740991, `r`, encodeUtf8(`{}`))]'",
            r#"request 9007199254740991 r "{}""#,
        ),
        ("in '[established(), notice(`r`, encodeUtf8(`{}`))]'", r#"notice r "{}""#),
        (
            "in '[reply(encodeUtf8(`${peer.attributes instanceof Map} ${peer.randomSeed.length} ${now.sessionMs}`))]'",
            r#"reply "true 32 0""#,
        ),
        (
            "in 'next.answer = () => ({}), [hello(encodeUtf8(``))]'\nanswer 200 ''",
            r#"close 0 "bug: TypeError: answer returned an object (Object)"#,
        ),
        (
            "in 'next.tick = () => {}, [timer(1)]'\nat 1\ntick",
            r#"close 0 "bug: TypeError: tick returned undefined, not a list of events"#,
        ),
        // Wrong packets.
        (
            "in '[established()]'\nout notice r '7'",
            r#"fatal "bug: TypeError: encode returned 7, not a Uint8Array, a list of them, or nothing"#,
        ),
        (
            "in '[established()]'\nout notice r '`text`'",
            r#"fatal 'bug: TypeError: encode returned the string "text""#,
        ),
        (
            "in '[established()]'\nout notice r '[encodeUtf8(`a`), 7]'",
            r#"fatal "bug: TypeError: encode returned a list with 7, not only Uint8Arrays"#,
        ),
        ("in '[established()]'\nout notice r 'null'", "none"),
        ("in '[established()]'\nout notice r 'undefined'", "none"),
        ("in '[established()]'\nout notice r '[]'", "none"),
        ("in '[established()]'\nout notice r '[encodeUtf8(`a`), encodeUtf8(`b`)]'", r#"packet "b""#),
        (
            "in '[established()]'\nout notice r 'encodeUtf8(`${role} ${id} ${status}`)'",
            r#"packet "notice 0 200""#,
        ),
        (
            "in '[established()]'\nout response 9007199254740991 r 404 'encodeUtf8(`${role} ${id} ${status}`)'",
            r#"packet "response 9007199254740991 404""#,
        ),
        (
            "in '[established()]'\nout response 9007199254740993 r 200 'null'",
            r#"rejected "the id is above 2^53 - 1""#,
        ),
        (
            "in '[established()]'\nout response 18446744073709551615 r 200 'null'",
            r#"rejected "the id is above 2^53 - 1""#,
        ),
        (
            "share 0 r '7'",
            r#"refused "bug: TypeError: encodeShared returned 7, not a Uint8Array, a list of them, or nothing"#,
        ),
        // Exceptions of the engine, thrown values that are no errors, and errors that the codec
        // throws on purpose.
        ("in 'nowhere'", r#"fatal "bug: ReferenceError: nowhere is not defined"#),
        ("in '(() => { throw Object.create(null) })()'", r#"fatal "bug: an object (of no class) was thrown"#),
        ("in '(() => { throw new Rejected(`so`) })()'", r#"rejected "so""#),
        ("in '(() => { throw new Fatal(`so`) })()'", r#"fatal "so""#),
        // A wrong state.
        (
            "in 'next.save = () => `text`, []'\nhandoff",
            r#"refused 'bug: TypeError: save: the state is the string "text", not a Uint8Array"#,
        ),
        (
            "in 'next.save = () => encodeUtf8(`({})`), []'\nhandoff",
            r#"refused "bug: TypeError: restore returned an object (Object), not a session"#,
        ),
        (
            "in 'next.save = () => encodeUtf8(`new Session()`), []'\nhandoff\nin '[close(`so`)]'",
            r#"close 0 "so""#,
        ),
        // If a call has no place for a reason, the next answer reports the mistake.
        (
            "in 'next.broadcastClass = () => -1, [established()]'\nclass\nin '[]'",
            r#"fatal "bug: TypeError: broadcastClass returned -1, not an integer from 0"#,
        ),
        (
            "in 'next.broadcastClass = () => {}, [established(), timer(1)]'\nclass\nat 1\ntick",
            r#"close 0 "bug: TypeError: broadcastClass returned undefined"#,
        ),
        ("in 'next.broadcastClass = () => {}, [established()]'\nclass", "class -"),
        ("in 'next.broadcastClass = () => 4294967295, [established()]'\nclass", "class 4294967295"),
        ("share 4294967295 r 'encodeUtf8(String(broadcastClass))'", r#"packet "4294967295""#),
        (
            "in 'next.broadcastClass = () => { throw new Rejected() }, [established()]'\nclass\nin '[close(`so`)]'",
            r#"close 0 "so""#,
        ),
        (
            "in 'next.farewell = cause => [reply(encodeUtf8(cause)), close(`so`, 4000)], []'\nfarewell displaced 'so'",
            r#"close 4000 "so""#,
        ),
        (
            "in 'next.farewell = () => { throw new Rejected(`so`) }, []'\nfarewell kicked 'so'",
            r#"close 0 "so""#,
        ),
        (
            "in 'next.farewell = () => {}, []'\nfarewell kicked 'so'",
            r#"close 0 "bug: TypeError: farewell returned undefined, not a list of events"#,
        ),
        (
            "in 'next.broadcastClass = () => {}, [established()]'\nclass\nfarewell kicked 'so'",
            r#"close 0 "bug: TypeError: broadcastClass returned undefined"#,
        ),
    ]);
}

/// UTF-8 as the web defines it: <https://encoding.spec.whatwg.org>.
#[test]
fn utf_8() {
    let project = Project::new("js-utf-8");
    project.build(EVALUATES, INTERFACES).unwrap();
    let lossy = |bytes: &str| reads(&format!("new TextDecoder().decode(Uint8Array.of({bytes}))"));
    let fatal = |bytes: &str| {
        reads(&format!("new TextDecoder(`utf-8`, {{ fatal: true }}).decode(Uint8Array.of({bytes}))"))
    };
    let refused = r#"fatal "bug: TypeError: TextDecoder: the bytes are not UTF-8"#;
    let asked = [
        // Any kind of buffer, and views of a part of one.
        (reads("new TextDecoder().decode(Uint8Array.of(97, 98, 99).buffer)"), r#"reply "abc""#),
        (
            reads("new TextDecoder().decode(new DataView(Uint8Array.of(97, 98, 99).buffer, 1, 1))"),
            r#"reply "b""#,
        ),
        (
            reads("new TextDecoder().decode(new Uint16Array(Uint8Array.of(97, 98, 99, 100).buffer, 2))"),
            r#"reply "cd""#,
        ),
        (reads("new TextDecoder().decode(Uint8Array.of(97, 98, 99).subarray(1))"), r#"reply "bc""#),
        (reads("decodeUtf8(new DataView(Uint8Array.of(97, 98, 99).buffer, 2))"), r#"reply "c""#),
        (reads("new TextDecoder().decode()"), r#"reply """#),
        (
            reads("new TextDecoder().decode(`abc`)"),
            r#"fatal "bug: TypeError: TextDecoder: string is not a Uint8Array, another view or an ArrayBuffer"#,
        ),
        (reads("decodeUtf8(null)"), r#"fatal "bug: TypeError: decodeUtf8: null is not a Uint8Array"#),
        // Invalid UTF-8: each longest incomplete beginning of a character becomes one U+FFFD.
        (lossy("97, 0xff, 98"), "reply \"a\u{fffd}b\""),
        (lossy("0xe2, 0x82, 98"), "reply \"\u{fffd}b\""),
        (lossy("0xf0, 0x9f, 0x98"), "reply \"\u{fffd}\""),
        (lossy("0xc0, 0xaf"), "reply \"\u{fffd}\u{fffd}\""),
        (lossy("0xed, 0xa0, 0x80"), "reply \"\u{fffd}\u{fffd}\u{fffd}\""),
        (lossy("0xe0, 0x80, 0xf4, 0x90"), "reply \"\u{fffd}\u{fffd}\u{fffd}\u{fffd}\""),
        (lossy("0xf0, 0x9f, 0x98, 0x80, 0x80, 0xc3, 0xa9"), "reply \"😀\u{fffd}é\""),
        (fatal("0xf0, 0x9f, 0x98, 0x80"), r#"reply "😀""#),
        (fatal("0xed, 0xa0, 0x80"), refused),
        (fatal("0xc0, 0xaf"), refused),
        (fatal("0xf4, 0x90, 0x80, 0x80"), refused),
        (fatal("0xe2, 0x82"), refused),
        // A byte order mark is removed only at the beginning of a text.
        (reads("new TextDecoder().decode(Uint8Array.of(0xef, 0xbb, 0xbf, 97)).length"), r#"reply "1""#),
        (
            reads("new TextDecoder().decode(Uint8Array.of(0xef, 0xbb, 0xbf, 0xef, 0xbb, 0xbf, 97)).length"),
            r#"reply "2""#,
        ),
        (
            reads(
                "new TextDecoder(`utf-8`, { ignoreBOM: true }).decode(Uint8Array.of(0xef, 0xbb, 0xbf, 97)).length",
            ),
            r#"reply "2""#,
        ),
        (reads("decodeUtf8(Uint8Array.of(0xef, 0xbb, 0xbf, 97)).length"), r#"reply "2""#),
        // Options and encodings that are not supported.
        (reads("new TextDecoder(` UTF8 `).encoding"), r#"reply "utf-8""#),
        (
            reads("new TextDecoder(`latin1`)"),
            r#"fatal "bug: RangeError: TextDecoder reads only utf-8, not latin1"#,
        ),
        (
            reads("new TextDecoder().decode(Uint8Array.of(97), { stream: true })"),
            r#"fatal "bug: TypeError: TextDecoder reads only whole texts"#,
        ),
        // Encoding: half of a surrogate pair becomes U+FFFD, and a character that does not fit is
        // left out as a whole.
        (reads("new TextEncoder().encode(`é\\\\ud83d`)"), r#"reply "195,169,239,191,189""#),
        (reads("new TextEncoder().encode()"), r#"reply """#),
        (reads("encodeUtf8(undefined)"), r#"fatal "bug: TypeError: encodeUtf8: undefined is not a string"#),
        (
            reads("JSON.stringify(new TextEncoder().encodeInto(`a😀b`, new Uint8Array(6)))"),
            r#"reply '{"read":4,"written":6}'"#,
        ),
        (
            reads("JSON.stringify(new TextEncoder().encodeInto(`a😀b`, new Uint8Array(5)))"),
            r#"reply '{"read":3,"written":5}'"#,
        ),
        (
            reads("JSON.stringify(new TextEncoder().encodeInto(`a😀b`, new Uint8Array(4)))"),
            r#"reply '{"read":1,"written":1}'"#,
        ),
    ];
    project.answers(&asked.iter().map(|(read, begins)| (read.as_str(), *begins)).collect::<Vec<_>>());
}

/// Mistakes that would be a trap in the component, or code that would never be called, are reported
/// by the build.
#[test]
fn what_is_not_built() {
    let project = Project::new("js-exports");
    let fails = |code: &str, interfaces: &[&str]| project.build(code, interfaces).unwrap_err();

    let without_clock = EVALUATES.replace("handshake, clock, farewell", "handshake, farewell");
    let error = fails(&without_clock, INTERFACES);
    assert!(
        error.contains("wit/world.wit names the interface `clock`, which codec.js does not export"),
        "{error}"
    );

    let error = fails(EVALUATES, &["codec", "handshake", "farewell", "broadcast", "handoff"]);
    assert!(error.contains("codec.js exports `clock`, which wit/world.wit does not name"), "{error}");
    assert!(error.contains("add `export wireplug:codec/clock@0.2.0;` to the world"), "{error}");

    // Other exports are allowed.
    project.build(&format!("{EVALUATES}\nexport {{ evaluate }}"), INTERFACES).unwrap();

    let with_batch = EVALUATES.replace("codec, handshake", "codec, batch, handshake");
    let error = fails(&with_batch, &[INTERFACES, &["batch"]].concat());
    assert!(error.contains("batch is not offered to JavaScript: take it out of wit/world.wit"), "{error}");

    let without_tick = EVALUATES.replace("  tick ()", "  tack ()");
    let error = fails(&without_tick, INTERFACES);
    assert!(error.contains("clock needs the method `tick` of the Session"), "{error}");

    for (description, wanted) in [
        ("name: ''", r#"description: name is the string "", not a text of 1 to 64 bytes"#),
        (
            "framing: { tag: 'delimiter', val: '\\n' }",
            r#"the val of the framing 'delimiter' is the string "\n", not a Uint8Array of 1 to 16 bytes"#,
        ),
        (
            "framing: { tag: 'length', val: { offset: 0, width: 5, littleEndian: false, adjust: 0 } }",
            "with a width of 1 to 4",
        ),
        (
            "framing: { tag: 'varint' }",
            "the val of the framing 'varint' is undefined, not an integer of 0 to 255",
        ),
        ("framing: 7", "framing is 7, not { tag, val } with a tag of delimiter, length, varint"),
        ("messages: 'many'", r#"messages is the string "many", not one of none, one, framed, continuous"#),
        ("payload: 'utf-8'", r#"payload is the string "utf-8", not one of binary, text, tagged"#),
        (
            "payload: 'tagged', messages: 'framed'",
            r#"with payload 'tagged', messages is the string "framed", not 'one'"#,
        ),
        ("maxPacket: 0", "maxPacket is 0, not an integer from 1 to 2^32 - 1, or null"),
        ("json: 1", "json is 1, not true or false"),
        ("coalesces: true", "there is no `coalesces`"),
    ] {
        let wrong = EVALUATES.replace("handshake: true }", &format!("handshake: true, {description} }}"));
        let error = fails(&wrong, INTERFACES);
        assert!(error.contains(wanted), "{description}: {error}");
    }
}
