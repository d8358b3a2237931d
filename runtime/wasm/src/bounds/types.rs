//! Types of a component, counted without recursion.
//!
//! The type of a component or of an instance contains types itself. The reader of wasmparser
//! follows them by recursion, as deeply as the file demands. A level takes three bytes, so a small
//! file can overflow the stack. So this module checks the depth before wasmparser reads the types.

use std::ops::Range;

use wasmparser::{BinaryReader, ComponentType, ComponentTypeDeclaration};

use super::{NESTING, TYPES, malformed};
use crate::LoadError;
use crate::config::ComponentBounds;

/// The first byte of the type of a component, and of the type of an instance.
const COMPONENT: u8 = 0x41;
const INSTANCE: u8 = 0x42;

/// The first byte of a declaration that is a type.
const DECLARED_TYPE: u8 = 0x01;

/// Counts the types and declarations of a type section, and how deeply they are nested.
pub(super) fn scan(
    wasm: &[u8],
    section: Range<usize>,
    bounds: &ComponentBounds,
) -> Result<(u64, u64), LoadError> {
    let Some(contents) = wasm.get(section.clone()) else { return Ok((0, 0)) };
    let mut reader = BinaryReader::new(contents, section.start);
    let (mut count, mut depth) = (0, 0);
    // The number of items left to read at each level: types at the outermost level, declarations
    // inside.
    let mut left = vec![reader.read_var_u32().map_err(malformed)?];
    while let Some(more) = left.last_mut() {
        if *more == 0 {
            left.pop();
            continue;
        }
        *more -= 1;
        count += 1;
        TYPES.check(count, bounds.types)?;
        if left.len() > 1 {
            if peek(&reader) != Some(DECLARED_TYPE) {
                reader.read::<ComponentTypeDeclaration<'_>>().map_err(malformed)?;
                continue;
            }
            reader.read_u8().map_err(malformed)?;
        }
        if let Some(COMPONENT | INSTANCE) = peek(&reader) {
            reader.read_u8().map_err(malformed)?;
            left.push(reader.read_var_u32().map_err(malformed)?);
            depth = depth.max(left.len() as u64);
            NESTING.check(depth, bounds.nesting)?;
        } else {
            reader.read::<ComponentType<'_>>().map_err(malformed)?;
        }
    }
    Ok((count, depth))
}

fn peek(reader: &BinaryReader<'_>) -> Option<u8> {
    reader.clone().read_u8().ok()
}
