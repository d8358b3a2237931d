//! The SDK for Python, in the component that it becomes: how an author's mistakes are reported.

use std::fs;
use std::process::Command;

use super::{answers, codec, folder};

const EVALUATES: &str = include_str!("evaluates.py");

const WORLD: &str = "package local:evaluates;

world evaluates {
    export wireplug:codec/codec@0.2.0;
    export wireplug:codec/handshake@0.2.0;
    export wireplug:codec/clock@0.2.0;
}
";

/// If a method returns a wrong value or raises an exception, the reason names the method and the
/// mistake, or the line.
#[test]
fn mistakes() {
    let folder = folder("python-mistakes");
    let made = codec(&["new", "evaluates", "--lang", "python"]).current_dir(folder.root()).status();
    assert!(made.expect("it runs").success());
    let project = folder.path("evaluates");
    fs::write(project.join("codec.py"), EVALUATES).expect("it can be written");
    fs::write(project.join("wit/world.wit"), WORLD).expect("it can be written");
    let install = "python3 -m venv .venv && .venv/bin/pip install --quiet -r requirements.txt";
    let installed = Command::new("sh").args(["-c", install]).current_dir(&project).status();
    assert!(installed.expect("there is a shell").success());
    let built = codec(&["build", "--yes"]).current_dir(&project).output().expect("it runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));

    answers(
        &project,
        &[
            // Wrong events.
            ("in 'None'", r#"fatal "bug: TypeError: decode returned None, not a list of events""#),
            ("in '(reply(b\"\"),)'", r#"fatal "bug: TypeError: decode returned a tuple, not a list"#),
            ("in '[b\"\"]'", r#"fatal "bug: TypeError: decode returned a list with a bytes, not a list"#),
            ("in '[close(\"end\")]'", r#"close 0 "end""#),
            ("in '[close(\"end\", 1005)]'", r#"fatal "bug: ValueError: close: code is 1005, not 0, "#),
            ("in '[timer(-1), timer(2**40)]'", "timer 4294967295"),
            ("in '[timer(0.5)]'", r#"fatal "bug: TypeError: timer: ms is 0.5, not an integer ("#),
            (
                "in '[notice(b\"r\", b\"\")]'",
                r#"fatal "bug: TypeError: notice: route is a bytes, not a str ("#,
            ),
            ("in '[notice(\"r\", \"\")]'", r#"fatal "bug: TypeError: notice: body is a str, not bytes ("#),
            (
                "in '[request(2**64, \"r\", b\"\")]'",
                r#"fatal "bug: ValueError: request: id is 18446744073709551616, "#,
            ),
            (
                "in '[established(), request(2**64 - 1, \"r\", b\"\")]'",
                r#"request 18446744073709551615 r """#,
            ),
            ("in '[notice(chr(0xd800), b\"\")]'", r#"fatal "bug: UnicodeEncodeError: "#),
            ("in '[log(\"warn\", \"odd\")]'", r#"fatal "bug: TypeError: log: level is a str, not a Level"#),
            (
                "in '[hello(b\"\")]'\nanswer 200 '7'",
                r#"close 0 "bug: TypeError: answer returned 7, not a list of events"#,
            ),
            // Packets.
            ("in '[established()]'\nout notice r 'None'", "none"),
            ("in '[established()]'\nout notice r 'b\"1\"'", r#"packet "1""#),
            ("in '[established()]'\nout notice r '[b\"1\", b\"2\"]'", r#"packet "2""#),
            (
                "in '[established()]'\nout notice r 'bytearray()'",
                r#"fatal "bug: TypeError: encode returned a bytearray, not None, bytes or a list"#,
            ),
            // Exceptions.
            ("in '1 / 0'", r#"fatal "bug: ZeroDivisionError: division by zero (<string>:1)"#),
            ("in 'KeyError'", r#"fatal "bug: KeyError: 'so' (codec.py:"#),
            (
                "in '[established()]'\nout notice r 'write_json(b\"\")'",
                r#"fatal "bug: TypeError: Object of type bytes is not JSON serializable (<string>:1)"#,
            ),
            ("in 'Rejected'", r#"rejected "so""#),
            // Imports that come too late.
            (
                "in '\"x\".encode(\"cp1252\")'",
                r#"fatal "bug: LookupError: the encoding cp1252 is not in the component: "#,
            ),
            (
                "in '__import__(\"mailbox\")'",
                r#"fatal "bug: ImportError: the module mailbox is not in the component: "#,
            ),
        ],
    );
}
