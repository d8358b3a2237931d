//! An honest component with some of its bytes and sections changed.
//!
//! Most random changes of bytes make a component invalid at once. So most changes here may keep it
//! valid: another operator of the same type, another immediate, or other data.

use std::ops::Range;
use std::sync::LazyLock;

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use wasmparser::{FunctionBody, Parser, Payload};
use wireplug_tests::hostile::{Function, Guest};

/// A codec made by a compiler, which exports every interface and does nothing.
const COMPILED: &[u8] = include_bytes!("../../../../runtime/codec-tools/nothing.wasm");

/// The most changes to a component.
const CHANGES: usize = 4;

/// Groups of operators with the same operand and result types.
const ALIKE: &[&[u8]] = &[
    // Operators of i32: arithmetic, comparisons, unary operators, loads and stores.
    &[0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f, 0x70, 0x71, 0x72, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78],
    &[0x46, 0x47, 0x48, 0x49, 0x4a, 0x4b, 0x4c, 0x4d, 0x4e, 0x4f],
    &[0x45, 0x67, 0x68, 0x69, 0xc0, 0xc1],
    &[0x28, 0x2c, 0x2d, 0x2e, 0x2f],
    &[0x36, 0x3a, 0x3b],
    // The same groups of i64, except the unary operators.
    &[0x7c, 0x7d, 0x7e, 0x7f, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a],
    &[0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a],
    &[0x29, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35],
    &[0x37, 0x3c, 0x3d, 0x3e],
    // A block and a loop; `unreachable`, `nop` and `return`.
    &[0x02, 0x03],
    &[0x00, 0x01, 0x0f],
];

/// Operators followed by an immediate: branches, calls, locals, globals and constants.
const WITH_IMMEDIATE: &[u8] = &[0x0c, 0x0d, 0x10, 0x20, 0x21, 0x22, 0x23, 0x24, 0x41, 0x42];

static HONEST: LazyLock<[Parts; 2]> = LazyLock::new(|| {
    let all = Function::ALL
        .into_iter()
        .fold(Guest::new("mutant"), |guest, function| guest.with(function, function.honest()));
    [Parts::of(all.build()), Parts::of(COMPILED.to_vec())]
});

/// A component, and the positions of its parts.
struct Parts {
    bytes: Vec<u8>,
    /// The sections of the component itself, with their heads.
    sections: Vec<Range<usize>>,
    /// The contents of all sections, including those of nested modules and components.
    contents: Vec<Range<usize>>,
    /// The contents of data sections.
    data: Vec<Range<usize>>,
    /// The positions of operators that can be replaced by another one.
    operators: Vec<usize>,
    /// The positions of immediates.
    immediates: Vec<usize>,
}

impl Parts {
    fn of(bytes: Vec<u8>) -> Self {
        let mut parts = Self {
            bytes,
            sections: Vec::new(),
            contents: Vec::new(),
            data: Vec::new(),
            operators: Vec::new(),
            immediates: Vec::new(),
        };
        let (mut depth, mut end) = (0, 8);
        for payload in Parser::new(0).parse_all(&parts.bytes) {
            let payload = payload.expect("an honest component");
            match &payload {
                Payload::CodeSectionEntry(body) => {
                    for at in operators(body) {
                        let operator = parts.bytes[at];
                        if alike(operator).is_some() {
                            parts.operators.push(at);
                        }
                        if WITH_IMMEDIATE.contains(&operator) {
                            parts.immediates.push(at + 1);
                        }
                    }
                }
                Payload::DataSection(data) => parts.data.push(data.range()),
                _ => {}
            }
            if let Some((_, range)) = payload.as_section() {
                if depth == 0 {
                    parts.sections.push(end..range.end);
                    end = range.end;
                }
                parts.contents.push(range);
            }
            match payload {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) if depth > 0 => depth -= 1,
                _ => {}
            }
        }
        parts
    }
}

/// Returns the positions of the operators of a function.
fn operators(body: &FunctionBody<'_>) -> Vec<usize> {
    let reader = body.get_operators_reader().expect("an honest component");
    let found = reader.into_iter_with_offsets().map(|found| found.expect("an honest component").1);
    found.collect()
}

fn alike(operator: u8) -> Option<&'static [u8]> {
    ALIKE.iter().copied().find(|alike| alike.contains(&operator))
}

/// Returns a component with a few changes.
pub fn component(input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    // The component that a compiler made takes ten times as long to compile, so it is rarely used.
    let honest = &HONEST[usize::from(!input.ratio(15, 16)?)];
    let mut bytes = honest.bytes.clone();
    let mut order: Vec<&Range<usize>> = honest.sections.iter().collect();
    for _ in 0..input.int_in_range(1..=CHANGES)? {
        match input.int_in_range(0..=15)? {
            0..=5 => {
                let at = *input.choose(&honest.operators)?;
                // An earlier change may have replaced this operator by one without an alternative.
                if let Some(alike) = alike(bytes[at]) {
                    bytes[at] = *input.choose(alike)?;
                }
            }
            6..=9 => {
                let at = *input.choose(&honest.immediates)?;
                // The bit that says whether another byte follows stays as it is.
                bytes[at] = bytes[at] & 0x80 | input.arbitrary::<u8>()? & 0x7f;
            }
            10..=12 => poke(&mut bytes, &honest.data, input)?,
            13 | 14 => poke(&mut bytes, &honest.contents, input)?,
            _ => rearrange(&mut order, input)?,
        }
    }
    let mut component = bytes[..8].to_vec();
    order.into_iter().for_each(|section| component.extend_from_slice(&bytes[section.clone()]));
    if !input.ratio(31, 32)? {
        component.truncate(input.choose_index(component.len())?);
    }
    Ok(component)
}

/// Changes one byte in one of these ranges.
fn poke(bytes: &mut [u8], places: &[Range<usize>], input: &mut Unstructured<'_>) -> Result<()> {
    let place = input.choose(places)?.clone();
    if !place.is_empty() {
        let at = input.int_in_range(place.start..=place.end - 1)?;
        bytes[at] = input.arbitrary()?;
    }
    Ok(())
}

/// Swaps two sections, repeats one, or leaves one out.
fn rearrange(order: &mut Vec<&Range<usize>>, input: &mut Unstructured<'_>) -> Result<()> {
    let (one, other) = (input.choose_index(order.len())?, input.choose_index(order.len())?);
    match input.int_in_range(0..=2)? {
        0 => order.swap(one, other),
        1 => order.insert(one, order[other]),
        _ if order.len() > 1 => drop(order.remove(one)),
        _ => {}
    }
    Ok(())
}
