//! A codec beside parts that each have a few components, instances, types, adapters or names.

use std::sync::LazyLock;

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use wireplug_tests::hostile::components::{
    adapters, aliases, beside, doubled_type, fan_out, imports, instances, nested, types,
};
use wireplug_tests::hostile::{Guest, modules};

/// The most parts beside the codec.
const PARTS: usize = 3;

static HONEST: LazyLock<Vec<u8>> = LazyLock::new(|| Guest::new("composed").build());

/// Returns an honest codec with a few parts beside it.
pub fn component(input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut component = HONEST.clone();
    for _ in 0..input.int_in_range(1..=PARTS)? {
        component = beside(&component, &part(input)?);
    }
    Ok(component)
}

fn part(input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut few = |most: u32| input.int_in_range(0..=most);
    Ok(match few(8)? {
        0 => nested(few(30)? as usize),
        1 => types(few(40)?),
        2 => doubled_type(few(24)?),
        3 => adapters(few(3)?, few(20)?),
        4 => aliases(few(40)?),
        5 => imports(few(2)?, few(200)? as usize),
        6 => {
            let (width, depth) = (few(4)?, few(4)?);
            fan_out(&instances(&module(input)?, 1), width, depth)
        }
        7 => beside(&nested(few(4)? as usize), &instances(&module(input)?, 2)),
        _ => {
            let count = few(6)?;
            instances(&module(input)?, count)
        }
    })
}

fn module(input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut few = |most: u32| input.int_in_range(0..=most);
    Ok(match few(9)? {
        0 => modules::globals(few(2_000)?),
        1 => modules::tables(few(4)?, few(12_000)?.into()),
        2 => modules::memory(few(80)?.into()),
        3 => modules::functions(few(40)?, few(40)?),
        4 => modules::locals(few(4)?, few(500)?),
        5 => modules::blocks(few(300)?),
        6 => modules::branch_tables(few(4)?, few(40)? as usize),
        7 => modules::function_types(few(40)?),
        8 => modules::data_segments(few(40)?),
        _ => modules::element_segments(few(40)?),
    })
}
