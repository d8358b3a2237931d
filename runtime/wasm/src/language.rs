//! Which language a component was written in, as far as the file shows it, and how components of it
//! lose their imports.

use wasmparser::{ExportSectionReader, KnownCustom, Parser, Payload, ProducersSectionReader};

/// A language, by how its components are built. In the order in which they count, where a component
/// shows several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Language {
    Python,
    JavaScript,
    Go,
    Rust,
    C,
}

/// What a component is made by and from, as it says itself, in lower case. Interpreters hold parts
/// in Rust and C, and programs in Rust and Go hold parts in C.
const PRODUCERS: &[(Language, &[&str])] = &[
    (Language::Python, &["componentize-py", "python"]),
    (Language::JavaScript, &["componentizejs", "componentize-js", "componentize-qjs", "javascript"]),
    (Language::Go, &["tinygo", "go"]),
    (Language::Rust, &["rust", "rustc", "wit-bindgen-rust"]),
    (Language::C, &["clang", "c_plus_plus", "c99", "c11", "c17", "wit-bindgen-c"]),
];

/// Libraries that a component is linked from, by a part of their names: those of interpreters,
/// which say nothing else.
const LIBRARIES: &[(Language, &str)] = &[
    (Language::Python, "componentize_py"),
    (Language::Python, "libpython"),
    (Language::JavaScript, "componentize_qjs"),
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

/// What libraries are linked by is exported under names such as `libpython3.14.so:memory_base`.
fn of_libraries(exports: ExportSectionReader<'_>) -> Option<Language> {
    let exports = exports.into_iter().map_while(Result::ok);
    let libraries = exports.filter_map(|export| export.name.split_once(':').map(|(library, _)| library));
    let language = |library: &str| LIBRARIES.iter().find(|(_, part)| library.contains(part));
    libraries.filter_map(language).map(|(language, _)| *language).min()
}

/// How the author of a component in this language gets rid of these imports. In an unknown
/// language: how it is done in each.
pub(super) fn remedy(language: Option<Language>, imports: &[&str]) -> String {
    match language {
        Some(Language::Rust) => "build it for wasm32-unknown-unknown instead of wasm32-wasip1 or wasm32-wasip2".into(),
        Some(Language::C) => c(imports),
        Some(Language::JavaScript) => {
            "build it with `componentize-qjs --stub-wasi`, or with `jco componentize --disable all`".into()
        }
        Some(Language::Python) => "build it with `componentize-py componentize --stub-wasi`".into(),
        Some(Language::Go) => "build it with TinyGo and -target=wasm-unknown instead of wasip1 or wasip2".into(),
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
