//! The macro `export!` of `wireplug-guest`, which makes a component of a codec.
//!
//! The bindings are generated from the text of the contract, and only for the interfaces that the
//! codec has. Only a procedural macro can put that text together.

use std::iter::Peekable;

use proc_macro::{TokenStream, TokenTree, token_stream};

/// The contract. For each codec, a world is added to it.
const CONTRACT: &str = include_str!("../../wit/codec.wit");

/// The traits that add an ability to a codec, each with its interface.
const ABILITIES: &[(&str, &str)] = &[
    ("Framer", "framer"),
    ("TlsUpgrade", "tls-upgrade"),
    ("Handshake", "handshake"),
    ("Requests", "requests"),
    ("Clock", "clock"),
    ("Farewell", "farewell"),
    ("Broadcast", "broadcast"),
    ("Handoff", "handoff"),
];

/// Exports a codec from the component that this crate becomes. Stands once, at the root of the
/// crate.
///
/// ```ignore
/// // The interfaces `codec` and `batch`.
/// wireplug_guest::export!(Lines);
/// // The same, and the interfaces of these traits.
/// wireplug_guest::export!(Chat: Clock + Handoff);
/// ```
///
/// In a native build, for example for tests, the macro only checks that the codec implements the
/// traits.
#[proc_macro]
pub fn export(arguments: TokenStream) -> TokenStream {
    match parse(arguments) {
        Ok((codec, abilities)) => expand(&codec, &abilities),
        Err(problem) => format!("::core::compile_error!({problem:?});"),
    }
    .parse()
    .expect("the expansion is Rust")
}

/// Returns the name of the codec, and the index of each of its abilities.
fn parse(arguments: TokenStream) -> Result<(String, Vec<usize>), String> {
    let mut tokens = arguments.into_iter().peekable();
    let codec = name(&mut tokens).ok_or(
        "the name of the codec is missing: write `export!(Name)` or `export!(Name: Clock + Handoff)`",
    )?;
    let mut abilities = Vec::new();
    let mut before = ':';
    while let Some(token) = tokens.next() {
        if token.to_string() != before.to_string() {
            return Err(format!("`{token}` is not expected here: write `export!({codec}: Clock + Handoff)`"));
        }
        before = '+';
        let ability =
            name(&mut tokens).ok_or_else(|| format!("the name of a trait must follow `{token}`"))?;
        let Some(index) = ABILITIES.iter().position(|(name, _)| *name == ability) else {
            let known: Vec<_> = ABILITIES.iter().map(|(name, _)| *name).collect();
            return Err(format!(
                "`{ability}` is not an ability of a codec: allowed are {}",
                known.join(", ")
            ));
        };
        if abilities.contains(&index) {
            return Err(format!("`{ability}` is named twice"));
        }
        abilities.push(index);
    }
    Ok((codec, abilities))
}

fn name(tokens: &mut Peekable<token_stream::IntoIter>) -> Option<String> {
    match tokens.next()? {
        TokenTree::Ident(name) => Some(name.to_string()),
        _ => None,
    }
}

/// Returns the name of an interface as Rust writes it.
fn in_rust(interface: &str) -> String {
    interface.replace('-', "_")
}

fn expand(codec: &str, abilities: &[usize]) -> String {
    let interfaces = abilities.iter().map(|index| ABILITIES[*index].1);
    let exports: String = ["codec", "batch"]
        .into_iter()
        .chain(interfaces.clone())
        .map(|name| format!("export {name};"))
        .collect();
    let contract = format!("{CONTRACT}\nworld exported {{ {exports} }}");
    let glue: String = interfaces
        .clone()
        .map(|interface| format!("::wireplug_guest::__export_{}!(Exported);", in_rust(interface)))
        .collect();
    let checks: String = ["codec"]
        .into_iter()
        .chain(interfaces)
        .map(|interface| format!("::wireplug_guest::__private::is::{}::<{codec}>();", in_rust(interface)))
        .collect();
    format!(
        "#[cfg(not(target_family = \"wasm\"))]
        const _: () = {{ {checks} }};

        #[cfg(target_family = \"wasm\")]
        #[allow(missing_docs, unreachable_pub)]
        mod __wireplug_exported {{
            use super::{codec} as Exported;
            ::wireplug_guest::__private::wit_bindgen::generate!({{
                inline: {contract:?},
                world: \"exported\",
                runtime_path: \"::wireplug_guest::__private::wit_bindgen::rt\",
            }});
            ::wireplug_guest::__export_codec!(Exported);
            {glue}
            export!(Component);
        }}"
    )
}
