//! The macro `export!` of `wireplug-guest`, which makes a component of a codec.
//!
//! The exports are macros of `wireplug-guest`. This macro picks those of the interfaces that the
//! codec has, and adds the type of the component, from which the linker makes the component.

#[cfg(feature = "component")]
mod component_type;

use std::iter::Peekable;

use proc_macro::{TokenStream, TokenTree, token_stream};

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
    let interfaces: Vec<_> =
        ["codec"].into_iter().chain(abilities.iter().map(|index| ABILITIES[*index].1)).collect();
    let checks: String = interfaces
        .iter()
        .map(|interface| format!("::wireplug_guest::__private::is::{}::<{codec}>();", in_rust(interface)))
        .collect();
    format!(
        "#[cfg(not(target_family = \"wasm\"))]
        const _: () = {{ {checks} }};
        {}",
        exports(codec, &interfaces)
    )
}

/// Returns the exports of a component.
#[cfg(feature = "component")]
fn exports(codec: &str, interfaces: &[&str]) -> String {
    let exports: String = interfaces
        .iter()
        .map(|interface| format!("::wireplug_guest::__export_{}!({codec});", in_rust(interface)))
        .collect();
    let component_type = component_type::of(interfaces);
    format!(
        "#[cfg(target_family = \"wasm\")]
        #[allow(unsafe_code, reason = \"exports are unsafe, and read their arguments through addresses\")]
        const _: () = {{
            {exports}
            #[unsafe(link_section = \"component-type:wireplug\")]
            static COMPONENT_TYPE: [u8; {}] = *b\"{}\";
        }};",
        component_type.len(),
        component_type.escape_ascii()
    )
}

/// Native builds export nothing.
#[cfg(not(feature = "component"))]
fn exports(_codec: &str, _interfaces: &[&str]) -> String {
    String::new()
}
