//! The language in which a component was written, as far as the file shows it, and how authors in
//! that language remove imports.

use wasmparser::{ExportSectionReader, KnownCustom, Parser, Payload, ProducersSectionReader};

/// A language, recognized by how its components are built. If a component shows several, the first
/// in this order counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Language {
    Python,
    JavaScript,
    Go,
    Rust,
    C,
}

/// The tools and sources of a component as it names them itself, in lower case. Interpreters
/// contain parts in Rust and C, and programs in Rust and Go contain parts in C.
const PRODUCERS: &[(Language, &[&str])] = &[
    (Language::Python, &["componentize-py", "python"]),
    (Language::JavaScript, &["componentizejs", "componentize-js", "componentize-qjs", "javascript"]),
    (Language::Go, &["tinygo", "go"]),
    (Language::Rust, &["rust", "rustc", "wit-bindgen-rust"]),
    (Language::C, &["clang", "c_plus_plus", "c99", "c11", "c17", "wit-bindgen-c"]),
];

/// Libraries from which a component is linked, by a part of their names. They identify interpreters
/// whose components contain no other sign.
const LIBRARIES: &[(Language, &str)] = &[
    (Language::Python, "componentize_py"),
    (Language::Python, "libpython"),
    (Language::JavaScript, "componentize_qjs"),
];

/// The causes of imports, for authors in C: the prefix of an import's name, and what causes it.
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
    /// Returns the language of a component, or `None` if the file does not show it.
    pub(super) fn of(wasm: &[u8]) -> Option<Self> {
        let mut found: Option<Self> = None;
        for payload in Parser::new(0).parse_all(wasm).map_while(Result::ok) {
            let language = match payload {
                Payload::CustomSection(section) => match section.as_known() {
                    KnownCustom::Producers(producers) => of_producers(producers),
                    _ => None,
                },
                Payload::ExportSection(exports) => of_libraries(exports),
                _ => None,
            };
            found = found.into_iter().chain(language).min();
        }
        found
    }
}

fn of_producers(producers: ProducersSectionReader<'_>) -> Option<Language> {
    let fields = producers.into_iter().map_while(Result::ok);
    let names =
        fields.flat_map(|field| field.values.into_iter().map_while(Result::ok).map(|value| value.name));
    let language = |name: &str| {
        let name = name.to_ascii_lowercase();
        PRODUCERS.iter().find(|(_, signs)| signs.contains(&&*name)).map(|(language, _)| *language)
    };
    names.filter_map(language).min()
}

/// Returns the language of linked libraries. Their exports have names such as
/// `libpython3.14.so:memory_base`.
fn of_libraries(exports: ExportSectionReader<'_>) -> Option<Language> {
    let exports = exports.into_iter().map_while(Result::ok);
    let libraries = exports.filter_map(|export| export.name.split_once(':').map(|(library, _)| library));
    let language = |library: &str| LIBRARIES.iter().find(|(_, part)| library.contains(part));
    libraries.filter_map(language).map(|(language, _)| *language).min()
}

/// Returns how the author of a component in this language removes these imports. For an unknown
/// language, returns the way for each language.
pub(super) fn remedy(language: Option<Language>, imports: &[&str]) -> String {
    match language {
        Some(Language::Rust) => "build it for wasm32-unknown-unknown instead of wasm32-wasip1 or wasm32-wasip2".into(),
        Some(Language::C) => c(imports),
        Some(Language::JavaScript) => {
            "build it with `componentize-qjs --stub-wasi`, or with `jco componentize --disable all`".into()
        }
        Some(Language::Python) => "build it with `componentize-py componentize --stub-wasi`".into(),
        Some(Language::Go) => "build it with `wireplug codec build`, which answers the calls of the system itself".into(),
        None => "for Rust, build for wasm32-unknown-unknown instead of wasm32-wasip2; for JavaScript and Python, build with \
                 --stub-wasi; for C, link with -nostartfiles and without stdio"
            .into(),
    }
}

fn c(imports: &[&str]) -> String {
    let mut causes: Vec<String> = Vec::new();
    for (begin, cause) in CAUSES {
        let is_new = !causes.iter().any(|known| known == cause);
        if is_new && imports.iter().any(|name| name.starts_with(begin)) {
            causes.push((*cause).to_owned());
        }
    }
    let link =
        "link it with -nostartfiles -Wl,--no-entry, and call nothing of the C library that wants a system";
    if causes.is_empty() { link.into() } else { format!("{link}; these come from {}", causes.join("; ")) }
}
