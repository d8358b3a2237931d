//! Finds the functions of the C library that need an operating system, which no codec has, and
//! names them as C does.

use anyhow::bail;
use wasmparser::{Parser, Payload};

/// The beginnings of functions that a system would have, and what calls them.
const CALLERS: &[(&str, &str)] = &[
    (
        "fd_",
        "printf, snprintf, puts, perror and a failed assert write, which `wp_put_number` and the like do without a system",
    ),
    ("path_", "fopen and its like open files"),
    ("environ_", "getenv reads the environment"),
    ("proc_exit", "exit ends a program"),
    ("clock_", "time and clock read the clock, which comes in as now_ms"),
    ("random_", "arc4random and getentropy want chance, which comes in as the peer's entropy"),
    ("sock_", "sockets are the runtime's"),
];

/// Refuses a module that calls a system.
///
/// # Errors
/// Where it does: with what it calls, and what in C that comes from.
pub(super) fn check(core: &[u8]) -> anyhow::Result<()> {
    let called = wasi(core);
    if called.is_empty() {
        return Ok(());
    }
    let callers = CALLERS.iter().filter(|(begin, _)| called.iter().any(|name| name.starts_with(begin)));
    let callers: Vec<_> = callers.map(|(_, caller)| *caller).collect();
    let why = if callers.is_empty() { String::new() } else { format!(": {}", callers.join("; ")) };
    bail!(
        "it calls {} of the system, and a codec may import nothing. Call nothing of the C library that wants a system{why}",
        called.join(", ")
    );
}

/// The functions of WASI that a module imports.
fn wasi(core: &[u8]) -> Vec<String> {
    let mut called = Vec::new();
    for payload in Parser::new(0).parse_all(core).map_while(Result::ok) {
        let Payload::ImportSection(imports) = payload else { continue };
        let imports = imports.into_imports().map_while(Result::ok);
        called.extend(
            imports.filter(|import| import.module.starts_with("wasi_")).map(|import| import.name.to_owned()),
        );
    }
    called
}
