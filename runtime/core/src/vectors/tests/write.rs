//! Tests that each step is written as it is read.

use super::vectors;

#[test]
fn each_step_is_written_in_its_one_form() {
    for line in [
        "session",
        "session ws 127.0.0.1:1 path \"/a b\"",
        "in 01 \"ab\"",
        "stream \"ab\\n\"",
        "secured",
        "secured tls-sni example.com tls-alpn \"\"",
        "answer 403 \"\"",
        "abandon 4294967295",
        "tick",
        "out notice on \"x\"",
        "out notice \"a route\" \"\"",
        "out request 4294967295 ask \"x\"",
        "out response 18446744073709551615 on 100 \"x\"",
        "farewell kicked \"for spam\"",
        "farewell displaced \"\"",
        "farewell replaced \"x\"",
        "farewell shutdown \"x\"",
        "handoff",
        "class",
        "share 7 on \"x\"",
    ] {
        let vectors = vectors(&format!("session\n{line}   # why\n"));
        let step = vectors.steps().last().expect("there is a step");
        assert_eq!(step.call.to_string(), line);
    }
}

#[test]
fn other_forms_of_a_step_become_that_form() {
    for (line, written) in [
        ("session tcp", "session"),
        ("session tcp '127.0.0.1:1'", "session"),
        ("in '\\x01a' 62", "in 01 \"ab\""),
        ("out 'notice' \"on\" 'x'", "out notice on \"x\""),
        ("out response 007 on 200 78", "out response 7 on 200 \"x\""),
        ("farewell 'kicked' 'x'", "farewell kicked \"x\""),
    ] {
        let vectors = vectors(&format!("session\n{line}\n"));
        assert_eq!(vectors.steps().last().expect("there is a step").call.to_string(), written);
    }
}
