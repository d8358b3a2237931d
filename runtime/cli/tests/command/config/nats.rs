//! NATS and the services behind it.

use wireplug::config::ServiceConfig;

use super::{MINIMAL, added, parse};

#[test]
fn a_service_has_defaults_of_its_own() {
    let config = parse(&format!(
        "{MINIMAL}
[nats]
servers = [\"nats://127.0.0.1:4222\", \"tls://nats.example.com\"]
[services.chat]
"
    ));
    assert_eq!(config.nats.as_ref().map(|nats| nats.prefix.as_str()), Some("wireplug"));
    assert_eq!(config.services["chat"], ServiceConfig::default());
}

#[test]
fn services_and_their_nats_go_together() {
    assert_eq!(
        added("[services.chat]"),
        ["w.toml:8:11: services.chat: it has no `url`, so it is reached over NATS, and there is no [nats]"]
    );
    let nats = "[nats]\nservers = [\"nats://127.0.0.1:4222\"]\n";
    assert_eq!(added(nats), ["w.toml:8:2: nats: without [services.NAME] every request is answered with 404"]);
    assert_eq!(
        added(&format!(
            "{nats}[services.\"a.b\"]\n[services.chat]\nconcurrent-routes = [\"chat.a.b\", \"chats.a.b\"]"
        )),
        [
            "w.toml:10:11: services.\"a.b\": the name of a service is the first segment of its routes: letters, digits, - and _",
            "w.toml:12:34: services.chat.concurrent-routes[1]: \"chats.a.b\" is no route of this service: those begin with `chat.`",
        ]
    );
}

#[test]
fn a_codec_in_an_object_store_needs_nats() {
    let codec = |file: &str| format!("[codecs.other]\nfile = \"{file}\"\n");
    let nats = "[nats]\nservers = [\"nats://127.0.0.1:4222\"]\n[services.chat]\n";
    parse(&format!("{MINIMAL}{}{nats}", codec("nats://codecs/team/chat.wasm")));
    assert_eq!(
        added(&codec("nats://codecs/chat.wasm")),
        ["w.toml:9:1: codecs.other.file: it is in an object store of NATS, and there is no [nats]"]
    );
    assert_eq!(
        added(&format!("{}{nats}", codec("nats://127.0.0.1:4222/chat.wasm"))),
        [
            "w.toml:9:1: codecs.other.file: \"nats://127.0.0.1:4222/chat.wasm\" is not `nats://BUCKET/NAME`: the name of a \
          bucket has letters, digits, - and _ only, and a reference names no server"
        ]
    );
    let [problem] = &added(&format!("{}registry.poll = \"5s\"\n{nats}", codec("nats://codecs/chat")))[..]
    else {
        panic!("there is one")
    };
    assert!(
        problem.contains("codecs.other.registry: it has no effect without `file = \"oci://…\"`"),
        "{problem}"
    );
}

#[test]
fn a_node_shows_in_one_way_who_it_is() {
    let nats = |rest: &str| {
        added(&format!("[services.chat]\n[nats]\nservers = [\"nats://127.0.0.1:4222\"]\n{rest}"))
    };
    assert_eq!(nats("token-file = \"no-such\""), ["w.toml:11:1: nats.token-file: there is no file no-such"]);
    assert_eq!(nats("user = \"ann\""), ["w.toml:11:1: nats.user: it has no effect without `password-file`"]);
    assert_eq!(
        nats("key-file = \"Cargo.toml\""),
        ["w.toml:11:1: nats.key-file: it has no effect without `certificate-file`"]
    );
    assert_eq!(
        nats("token-file = \"Cargo.toml\"\ncredentials-file = \"Cargo.toml\""),
        [
            "w.toml:12:1: nats.credentials-file: a node shows in one way who it is: by credentials, a token, or a user \
             and their password; see nats.token-file, line 11"
        ]
    );
}

#[test]
fn what_could_hold_a_password_or_form_a_subject_is_refused() {
    for (line, key) in [
        ("servers = [\"nats://ann:secret@127.0.0.1\"]", "nats.servers[0]"),
        ("servers = [\"http://127.0.0.1\"]", "nats.servers[0]"),
        ("servers = [\"nats://a\"]\nprefix = \"a.*\"", "nats.prefix"),
        ("servers = [\"nats://a\"]\nnode = \"a.b\"", "nats.node"),
    ] {
        let [problem] = &added(&format!("[services.chat]\n[nats]\n{line}"))[..] else {
            panic!("one: {line}")
        };
        assert!(problem.contains(&format!(": {key}: ")), "{problem}");
    }
}
