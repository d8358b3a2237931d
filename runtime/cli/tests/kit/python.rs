//! The SDK for Python, in the component that it becomes: how an author's mistakes are reported.

use std::fs;
use std::process::Command;

use super::{answers, codec, folder};

const EVALUATES: &str = include_str!("evaluates.py");

const WORLD: &str = "package local:evaluates;

world evaluates {
    export wireplug:codec/codec@0.1.0;
    export wireplug:codec/handshake@0.1.0;
    export wireplug:codec/clock@0.1.0;
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
            ("in '[b\"\"]'", r#"fatal "bug: TypeError: decode returned a list with a bytes, not only"#),
            ("in '[close(\"end\")]'", r#"close "end""#),
            ("in '[wake(-1), wake(2**40)]'", "wake 4294967295"),
            (
                "in '[wake(0.5)]'",
                r#"fatal "bug: TypeError: wake: the milliseconds are 0.5, not an integer ("#,
            ),
            (
                "in '[message(b\"r\", b\"\")]'",
                r#"fatal "bug: TypeError: message: route is a bytes, not a str ("#,
            ),
            ("in '[message(\"r\", \"\")]'", r#"fatal "bug: TypeError: message: body is a str, not bytes ("#),
            (
                "in '[message(\"r\", b\"\", 2**64)]'",
                r#"fatal "bug: TypeError: message: id is 18446744073709551616, "#,
            ),
            (
                "in '[established(), message(\"r\", b\"\", 2**64 - 1)]'",
                r#"message 18446744073709551615 r """#,
            ),
            ("in '[message(chr(0xd800), b\"\")]'", r#"fatal "bug: UnicodeEncodeError: "#),
            (
                "in '[hello(b\"\")]'\nanswer 200 '7'",
                r#"close "bug: TypeError: answer returned 7, not a list of events"#,
            ),
            // Wrong packets.
            ("in '[established()]'\nout - 'r' 200 'None'", "none"),
            ("in '[established()]'\nout - 'r' 200 'b\"1\"'", r#"packet "1""#),
            (
                "in '[established()]'\nout - 'r' 200 'bytearray()'",
                r#"fatal "bug: TypeError: encode returned a bytearray, not bytes or None"#,
            ),
            // Exceptions.
            ("in '1 / 0'", r#"fatal "bug: ZeroDivisionError: division by zero (<string>:1)"#),
            ("in 'KeyError'", r#"fatal "bug: KeyError: 'so' (codec.py:"#),
            (
                "in '[established()]'\nout - 'r' 200 'write_json(b\"\")'",
                r#"fatal "bug: TypeError: Object of type bytes is not JSON serializable (<string>:1)"#,
            ),
            ("in 'Rejected'", r#"rejected "so""#),
        ],
    );
}
