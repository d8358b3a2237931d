//! Errors in the options. Each one says what is wrong and what is allowed.

use wireplug_pomelo::Options;

#[test]
fn wrong_options_are_refused_with_a_reason() {
    for (options, words) in [
        ("", &["JSON object"][..]),
        ("[]", &["JSON object", "heartbeat, timeout, dictionary, routes, protos, checkClient"]),
        ("null", &["JSON object"]),
        (
            r#"{"heartbeats":3}"#,
            &["`heartbeats`", "heartbeat, timeout, dictionary, routes, protos, checkClient"],
        ),
        (
            r#"{"useDict":true}"#,
            &["`useDict`", "heartbeat, timeout, dictionary, routes, protos, checkClient"],
        ),
        (r#"{"heartbeat":0}"#, &["`heartbeat`", "from 0.001 to 2000000"]),
        (r#"{"heartbeat":-1}"#, &["`heartbeat`", "from 0.001 to 2000000"]),
        (r#"{"heartbeat":"3"}"#, &["`heartbeat`", "number of seconds"]),
        (r#"{"heartbeat":1e300}"#, &["`heartbeat`", "from 0.001 to 2000000"]),
        (r#"{"heartbeat":null}"#, &["`heartbeat`", "number of seconds"]),
        (r#"{"timeout":3}"#, &["`timeout` needs `heartbeat`"]),
        (r#"{"heartbeat":3,"timeout":3}"#, &["`timeout` must be more than `heartbeat`", "3 s"]),
        (r#"{"heartbeat":3,"timeout":5000000}"#, &["`timeout`", "from 0.001 to 4000000"]),
        (r#"{"dictionary":1}"#, &["`dictionary`", "true, false, an array of routes, or an object"]),
        (r#"{"dictionary":["a",1]}"#, &["`dictionary`", "array of routes"]),
        (r#"{"dictionary":[""]}"#, &["`dictionary`", "not empty"]),
        (r#"{"dictionary":{"a":0}}"#, &["`dictionary`", "`a`", "from 1 to 65535"]),
        (r#"{"dictionary":{"a":65536}}"#, &["`dictionary`", "`a`", "from 1 to 65535"]),
        (r#"{"dictionary":{"a":1.5}}"#, &["`dictionary`", "`a`", "whole number"]),
        (r#"{"dictionary":{"":1}}"#, &["`dictionary`", "not be empty"]),
        (r#"{"dictionary":{"a":1,"b":2,"c":1}}"#, &["`dictionary`", "1 stands for `a` and `c`"]),
        (r#"{"routes":"a"}"#, &["`routes`", "array of routes"]),
        (r#"{"routes":[1],"dictionary":false}"#, &["`routes`", "array of routes"]),
    ] {
        let error = Options::parse(options).expect_err(options);
        for word in words {
            assert!(error.contains(word), "{options}: {error:?} does not say {word:?}");
        }
    }
    let routes: Vec<_> = (0..65_536).map(|route| route.to_string()).collect();
    let options = serde_json::json!({ "dictionary": routes }).to_string();
    assert!(Options::parse(&options).unwrap_err().contains("65535"));
}
