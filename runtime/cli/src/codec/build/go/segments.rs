//! The data segments of a linked module.

use std::borrow::Cow;

use anyhow::{bail, ensure};
use wasm_encoder::{ConstExpr, DataSection};
use wasmparser::{Data, DataKind, Operator};

/// The first address that the Go toolchain uses for data.
const FIRST_DATA: u32 = 12_288;

/// Two segments become one if at most this many zeros are between them.
///
/// The toolchain ends a segment at each run of zeros, and most runs have 16. A program with
/// `encoding/xml`, `encoding/json` and `regexp` then has more than the 50,000 segments that
/// `[compile.bounds]` allows. Joined it has a few hundred, and is a tenth larger.
const MAX_GAP: usize = 24;

/// Returns the segments of the system, and those of the Go program.
///
/// # Errors
/// Returns an error if a segment has no fixed address, or if the program has data where the system
/// has its own.
pub(super) fn joined(system: &[Data<'_>], go: &[Data<'_>]) -> anyhow::Result<DataSection> {
    let mut joined = DataSection::new();
    let mut add = |Segment { at, bytes }: Segment<'_>| {
        joined.active(0, &ConstExpr::i32_const(at.cast_signed()), bytes.iter().copied());
    };
    for data in system {
        add(Segment::of(data)?);
    }
    let mut last: Option<Segment<'_>> = None;
    for data in go {
        let next = Segment::of(data)?;
        ensure!(
            next.at >= FIRST_DATA,
            "it has data at the address {}, which no release of Go up to 1.27 uses",
            next.at
        );
        match &mut last {
            Some(last) if last.is_followed_by(&next) => last.extend(&next),
            _ => last.replace(next).into_iter().for_each(&mut add),
        }
    }
    last.into_iter().for_each(add);
    Ok(joined)
}

/// Bytes at an address of the memory.
struct Segment<'a> {
    at: u32,
    bytes: Cow<'a, [u8]>,
}

impl<'a> Segment<'a> {
    fn of(data: &Data<'a>) -> anyhow::Result<Self> {
        let DataKind::Active { memory_index: 0, offset_expr } = &data.kind else {
            bail!("it has a data segment that is not loaded when it starts");
        };
        let Operator::I32Const { value } = offset_expr.get_operators_reader().read()? else {
            bail!("it has a data segment without a fixed address");
        };
        Ok(Self { at: value.cast_unsigned(), bytes: data.data.into() })
    }

    /// Returns whether another segment begins shortly after the end of this one.
    fn is_followed_by(&self, next: &Self) -> bool {
        let end = self.at as usize + self.bytes.len();
        (next.at as usize).checked_sub(end).is_some_and(|gap| gap <= MAX_GAP)
    }

    /// Appends a segment behind this one, and zeros between them.
    fn extend(&mut self, next: &Self) {
        let bytes = self.bytes.to_mut();
        bytes.resize((next.at - self.at) as usize, 0);
        bytes.extend_from_slice(&next.bytes);
    }
}
