//! Finds calls of C library functions that need an operating system, which no codec has. The errors
//! name the functions as C does.

use anyhow::bail;
use wasmparser::{Parser, Payload};

/// The beginnings of the names of system functions, each with the C functions that call them.
const CALLERS: &[(&str, &str)] = &[
    (
        "fd_",
        "printf, snprintf, puts, perror and a failed assert write, which `wp_put_number`, `wp_assert` and the like do without a system",
    ),
    ("path_", "fopen and its like open files"),
    ("environ_", "getenv reads the environment"),
    ("proc_exit", "exit ends a program"),
    ("clock_", "time and clock read the clock, which comes in as `now`"),
    ("random_", "arc4random and getentropy want random bytes, which come in as the peer's random seed"),
    ("sock_", "sockets are the runtime's"),
];

/// Checks that a module does not call an operating system.
///
/// # Errors
/// Returns an error if it does. The error names the calls and the C functions that cause them.
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

/// Returns the WASI functions that a module imports.
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
