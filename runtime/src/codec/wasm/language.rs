//! Which language a component was written in, as far as it can be told, and how components of it lose their imports.

use wasmparser::{KnownCustom, Parser, Payload, ProducersSectionReader};

/// A language, by how its components are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    Python,
    JavaScript,
    Go,
    Rust,
    C,
}

/// Names that give a language away: of what a component was made by and from, or of the libraries that are linked in it. The
/// first that is found counts: interpreters hold parts in Rust and C, and programs in Rust and Go parts in C.
const SIGNS: &[(Language, &[&str])] = &[
    (Language::Python, &["componentize-py", "componentize_py", "libpython"]),
    (Language::JavaScript, &["componentizejs", "componentize-js", "componentize_qjs", "componentize-qjs", "javascript"]),
    (Language::Go, &["tinygo", "go"]),
    (Language::Rust, &["rust", "rustc", "wit-bindgen-rust"]),
    (Language::C, &["clang", "c11", "c17", "c99", "c_plus_plus", "wit-bindgen-c", "wasi-libc"]),
];

/// What drags an import in, for those who write C: how a name begins, and what it comes from.
const CAUSES: &[(&str, &str)] = &[
    ("wasi:cli/std", "printf, puts and assert"),
    ("wasi:cli/terminal", "printf, puts and assert"),
    ("wasi:filesystem", "fopen and its like"),
    ("wasi:cli/environment", "getenv, or the start files"),
    ("wasi:cli/exit", "exit and abort, or the start files"),
    ("wasi:clocks", "time and clock"),
    ("wasi:random", "rand and arc4random"),
    ("wasi:sockets", "socket and its like"),
];

impl Language {
    /// The language of a component; none if nothing gives it away.
    pub(super) fn of(wasm: &[u8]) -> Option<Self> {
        let mut found: Option<usize> = None;
        let mut sign = |name: &str| {
            let rank = SIGNS.iter().position(|(_, signs)| signs.iter().any(|sign| is_sign(name, sign)));
            found = found.into_iter().chain(rank).min();
        };
        for payload in Parser::new(0).parse_all(wasm) {
            match payload {
                Ok(Payload::CustomSection(section)) => {
                    if let KnownCustom::Producers(producers) = section.as_known() {
                        names(producers, &mut sign);
                    }
                }
                // Libraries are linked by their names.
                Ok(Payload::ImportSection(section)) => {
                    let imports = section.into_imports().map_while(Result::ok);
                    imports.filter(|import| import.name.contains(".so:")).for_each(|import| sign(import.name));
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
        found.map(|rank| SIGNS[rank].0)
    }
}

/// Whether a name gives a language away: it is the sign, or a library's that holds it.
fn is_sign(name: &str, sign: &str) -> bool {
    name.eq_ignore_ascii_case(sign) || (name.contains(".so:") && name.contains(sign))
}

/// The names in a section on producers, whichever field they stand in.
fn names(producers: ProducersSectionReader<'_>, sign: &mut impl FnMut(&str)) {
    for field in producers.into_iter().map_while(Result::ok) {
        field.values.into_iter().map_while(Result::ok).for_each(|value| sign(value.name));
    }
}

/// How the author of a component in this language gets rid of these imports. In an unknown language: how it is done in each.
pub(super) fn remedy(language: Option<Language>, imports: &[String]) -> String {
    match language {
        Some(Language::Rust) => "build it for wasm32-unknown-unknown instead of wasm32-wasip1 or wasm32-wasip2".into(),
        Some(Language::C) => c(imports),
        Some(Language::JavaScript) => {
            "build it with componentize-qjs and --stub-wasi, or with componentize-js and --disable all".into()
        }
        Some(Language::Python) => "build it with `componentize-py componentize --stub-wasi`".into(),
        Some(Language::Go) => "build it with TinyGo for wasm-unknown instead of wasip1 or wasip2".into(),
        None => "for Rust, build for wasm32-unknown-unknown instead of wasm32-wasip2; for JavaScript and Python, build with \
                 --stub-wasi; for C, link with -nostartfiles and without stdio"
            .into(),
    }
}

fn c(imports: &[String]) -> String {
    let mut causes: Vec<String> = Vec::new();
    for (begin, cause) in CAUSES {
        let is_new = !causes.iter().any(|known| known == cause);
        if is_new && imports.iter().any(|name| name.starts_with(begin)) {
            causes.push((*cause).to_owned());
        }
    }
    let link = "link it with -nostartfiles -Wl,--no-entry, and call nothing of the C library that wants a system";
    if causes.is_empty() { link.into() } else { format!("{link}; these come from {}", causes.join("; ")) }
}
