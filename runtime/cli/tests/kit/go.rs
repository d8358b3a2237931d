//! The SDK for Go, in the component that it becomes: what mistakes of an author look like, and what
//! needs a system.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Folder, answers, codec, folder};

const EVALUATES: &str = include_str!("evaluates.go");

/// Makes a project with `codec new`.
fn project(name: &str) -> (Folder, PathBuf) {
    let folder = folder(name);
    let project = folder.path("evaluates");
    let made = codec(&["new", "evaluates", "--lang", "go"]).current_dir(folder.root()).status();
    assert!(made.expect("it runs").success());
    (folder, project)
}

/// Every panic and every call of the system has an answer: a trap that says where and why, an error
/// of Go's own library, or nothing.
#[test]
fn what_a_codec_does() {
    let (_folder, project) = project("go-evaluates");
    fs::write(project.join("codec.go"), EVALUATES).expect("it can be written");
    let world = project.join("wit/world.wit");
    let text = fs::read_to_string(&world).expect("it is there");
    fs::write(world, text.replace("    export wireplug:codec/handoff@0.2.0;\n", ""))
        .expect("it can be written");
    let built = codec(&["build"]).current_dir(&project).output().expect("it runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));

    answers(
        &project,
        &[
            ("in 'reject'", r#"rejected "not this""#),
            ("in 'fatal'", r#"fatal "wrapped: no more""#),
            ("in 'bye'", r#"close 3000 "said so""#),
            ("in 'recover'", r#"notice recovered "assignment to entry in nil map""#),
            ("in 'chance'", r#"rejected "2920502162, not "#),
            ("in 'now'", r#"rejected "1970-01-01""#),
            ("in 'file'", r#"rejected "open /etc/passwd: Not implemented on wasip1""#),
            ("in 'print'", r#"notice printed """#),
            ("in 'share'", r#"rejected "a goroutine answers""#),
        ],
    );

    let at = |code: &str, reason: &str| {
        let line = EVALUATES.lines().position(|line| line.contains(code)).expect("the codec has the line");
        format!("panicked at codec.go:{}: {reason}", line + 1)
    };
    traps(
        &project,
        &[
            ("index", &at("events.Reply(packet[len", "runtime error: slice bounds out of range [6:5];")),
            ("nil", &at("s.numbers[\"nil\"]", "runtime error: invalid memory address or nil pointer")),
            ("map", &at("s.numbers[\"map\"]", "assignment to entry in nil map;")),
            ("text", &at("panic(\"boom at ", "boom at 4;")),
            ("error", &at("panic(errors.New", "an error;")),
            ("goroutine", r"panicked at panic: somewhere else\n\ngoroutine "),
            ("sleep", "panicked at a call cannot wait: use Events.Timer and Tick;"),
            ("wait", "panicked at fatal error: all goroutines are asleep - deadlock!"),
            ("exit", "panicked at os.Exit;"),
            ("secret", "panicked at crypto/rand has no randomness in a codec: use Peer.RandomSeed;"),
        ],
    );
}

/// Checks that each packet is a trap for this reason, in the function that decodes it.
fn traps(project: &Path, asked: &[(&str, &str)]) {
    let steps: String = asked.iter().map(|(packet, _)| format!("session\nin '{packet}'\n")).collect();
    fs::write(project.join("evaluates.vectors"), steps).expect("it can be written");
    let tested = codec(&["test", "evaluates.wasm"]).current_dir(project).output().expect("it runs");
    let report = String::from_utf8(tested.stdout).expect("it is text");
    let traps: Vec<_> = report.lines().filter_map(|line| line.strip_prefix("!   trap: ")).collect();
    assert_eq!(traps.len(), asked.len(), "{report}");
    for (trap, (packet, reason)) in traps.iter().zip(asked) {
        assert!(trap.starts_with(reason), "{packet}: {trap}");
        let is_elsewhere = *packet == "wait";
        assert!(is_elsewhere || trap.contains("main.__session_.Decode"), "{packet}: {trap}");
        assert!(trap.contains(&format!("; input: packet 1 of 1, {} bytes: ", packet.len())), "{trap}");
    }
}

/// If the world exports an interface, the compiler asks for its methods.
#[test]
fn what_a_world_asks_for() {
    let (_folder, project) = project("go-world");
    let world = project.join("wit/world.wit");
    let text = fs::read_to_string(&world).expect("it is there");
    for (interface, missing) in [
        ("clock", "(missing method Tick)"),
        ("framer", "(missing method Cut)"),
        ("handshake", "(missing method Answer)"),
        ("broadcast", "(missing method "),
    ] {
        let export = format!("    export wireplug:codec/{interface}@0.2.0;\n}}");
        fs::write(&world, text.replace('}', &export)).expect("it can be written");
        let built = codec(&["build"]).current_dir(&project).output().expect("it runs");
        let error = String::from_utf8(built.stderr).expect("it is text");
        assert!(!built.status.success(), "{interface}");
        assert!(error.contains("./codec.go:") && error.contains(missing), "{error}");
    }
}
