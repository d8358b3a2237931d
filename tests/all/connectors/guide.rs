//! `docs/connectors.md` quotes the examples word for word.

const GUIDE: &str = include_str!("../../../docs/connectors.md");

const EXAMPLES: [&str; 3] = [
    include_str!("../../../runtime/wireplug/examples/connector.rs"),
    include_str!("../../../runtime/wireplug/examples/codec.rs"),
    include_str!("../../../runtime/wireplug/examples/codec_overrides.rs"),
];

#[test]
fn the_guide_shows_the_examples() {
    let blocks: Vec<_> = GUIDE.split("```rust\n").skip(1).collect();
    assert!(blocks.len() > 5, "the guide has lost its code");
    for block in blocks {
        let (code, _) = block.split_once("```").expect("a block ends");
        assert!(EXAMPLES.iter().any(|example| example.contains(code)), "no example has this:\n{code}");
    }
}

/// The table in the reference lists every built-in connector.
#[test]
fn the_reference_has_every_scheme() {
    let reference = include_str!("../../../docs/configuration.md");
    for scheme in wireplug::connector::Connectors::new().schemes() {
        assert!(reference.contains(&format!("| `{scheme}://")), "{scheme} is not in docs/configuration.md");
    }
}
