//! Tests that the language of a component follows from its own metadata, and from its libraries.

use crate::language::{Language, remedy};

const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// Returns the section of a component that names the tools that made it.
fn made_by(names: &[&str]) -> Vec<u8> {
    let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    let mut section = [text("producers"), vec![1], text("processed-by"), vec![names.len() as u8]].concat();
    section.extend(names.iter().flat_map(|name| [text(name), text("1.0")].concat()));
    [&[0, section.len() as u8][..], &section].concat()
}

/// Returns a core module in a component that exports a global by this name.
fn linked_with(name: &str) -> Vec<u8> {
    let export = [&[1, name.len() as u8][..], name.as_bytes(), b"\x03\x00"].concat();
    let module = [&b"\0asm\x01\0\0\0\x07"[..], &[export.len() as u8], &export].concat();
    [&[1, module.len() as u8][..], &module].concat()
}

#[test]
fn a_language_by_what_made_it() {
    for (names, language) in [
        (&["rustc", "clang", "wit-component", "wit-bindgen-rust"][..], Some(Language::Rust)),
        (&["wit-component", "wit-bindgen-rust"], Some(Language::Rust)),
        (&["clang"], Some(Language::C)),
        (&["wit-bindgen-c", "wit-component"], Some(Language::C)),
        (&["clang", "TinyGo", "Go"], Some(Language::Go)),
        (&["clang", "rustc", "ComponentizeJS"], Some(Language::JavaScript)),
        (&["wit-component", "component-init-transform"], None),
        (&[], None),
    ] {
        assert_eq!(Language::of(&[COMPONENT, &made_by(names)].concat()), language, "{names:?}");
    }
}

#[test]
fn a_language_by_its_libraries() {
    for (library, language) in [
        ("libpython3.14.so:PyBytes_Type", Some(Language::Python)),
        ("libcomponentize_py_runtime.so:memory_base", Some(Language::Python)),
        ("componentize_qjs_runtime.wasm:memory_base", Some(Language::JavaScript)),
        ("libc.so:memory_base", None),
        ("libpython", None),
    ] {
        let wasm = [COMPONENT, &linked_with(library), &made_by(&["wit-component"])].concat();
        assert_eq!(Language::of(&wasm), language, "{library}");
    }
    // The interpreter counts, and not the language in which it is written.
    let wasm = [COMPONENT, &made_by(&["rustc", "clang"]), &linked_with("libpython3.14.so:errno")].concat();
    assert_eq!(Language::of(&wasm), Some(Language::Python));
}

#[test]
fn what_is_no_component() {
    assert_eq!(Language::of(b""), None);
    assert_eq!(Language::of(&[COMPONENT, &made_by(&["rustc"])[..20]].concat()), None);
}

#[test]
fn a_remedy_for_each_language() {
    let imports = ["wasi:cli/stdout@0.2.6", "wasi:cli/exit@0.2.6", "wasi:cli/terminal-stdout@0.2.6"];
    for (language, text) in [
        (Some(Language::Rust), "wasm32-unknown-unknown"),
        (Some(Language::JavaScript), "componentize-qjs --stub-wasi"),
        (Some(Language::Python), "--stub-wasi"),
        (Some(Language::Go), "wireplug codec build"),
        (Some(Language::C), "-nostartfiles"),
        (None, "for C, "),
    ] {
        let remedy = remedy(language, &imports);
        assert!(remedy.contains(text), "{remedy}");
    }
    // For C, the remedy names each cause once.
    let remedy = remedy(Some(Language::C), &imports);
    assert!(
        remedy.ends_with("come from printf, puts and assert; exit and abort, or the start files"),
        "{remedy}"
    );
}
