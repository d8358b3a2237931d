//! Has a module start itself, so that its component is one core module.
//!
//! A linker exports the function that starts a module in C, which runs its constructors. For such
//! an export `wit-component` adds a module that only calls it. The runtime could not call such a
//! component directly, and each sandbox would have one more instance.

use wasm_encoder::{ExportKind, ExportSection, Module, RawSection, StartSection};
use wasmparser::{Parser, Payload};

/// The name of the export.
const START: &str = "_initialize";

/// Replaces the export by the start function of the module. A module without the export stays as it
/// is.
///
/// # Errors
/// Returns an error if the module is malformed.
pub(super) fn of_its_own(core: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut module = Module::new();
    for payload in Parser::new(0).parse_all(core) {
        let payload = payload?;
        if let Payload::ExportSection(section) = payload {
            let mut exports = ExportSection::new();
            let mut start = None;
            for export in section {
                let export = export?;
                if export.name == START {
                    start = Some(export.index);
                } else {
                    let kind = ExportKind::from(export.kind);
                    exports.export(export.name, kind, export.index);
                }
            }
            module.section(&exports);
            // It belongs right behind the exports.
            if let Some(function_index) = start {
                module.section(&StartSection { function_index });
            }
        } else if let Some((id, range)) = payload.as_section() {
            module.section(&RawSection { id, data: &core[range] });
        }
    }
    Ok(module.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the names of the exports, and the start function.
    fn exports_and_start(module: &[u8]) -> (Vec<String>, Option<u32>) {
        wasmparser::validate(module).expect("the module is valid");
        let (mut names, mut start) = (Vec::new(), None);
        for payload in Parser::new(0).parse_all(module) {
            match payload.expect("the module is valid") {
                Payload::ExportSection(section) => {
                    names.extend(
                        section.into_iter().map(|export| export.expect("it is valid").name.to_owned()),
                    );
                }
                Payload::StartSection { func, .. } => start = Some(func),
                _ => {}
            }
        }
        (names, start)
    }

    #[test]
    fn the_export_becomes_the_start_function() {
        let module = wat::parse_str(
            r#"(module
                (func $other) (func $start) (memory (export "memory") 1) (table 1 funcref)
                (export "_initialize" (func $start)) (export "other" (func $other))
                (elem (i32.const 0) $other) (data (i32.const 0) "a"))"#,
        );
        let module = of_its_own(&module.expect("it is text")).expect("it is a module");
        assert_eq!(exports_and_start(&module), (vec!["memory".to_owned(), "other".to_owned()], Some(1)));
    }

    #[test]
    fn a_module_without_the_export_stays_as_it_is() {
        let module = wat::parse_str(r#"(module (func (export "other")))"#).expect("it is text");
        assert_eq!(of_its_own(&module).expect("it is a module"), module);
    }
}
