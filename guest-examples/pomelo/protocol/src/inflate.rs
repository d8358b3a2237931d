//! Inflates the bodies that Pitaya's clients compress (zlib, RFC 1950), within limits.

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

use crate::Fault;

const FLAGS: u32 = inflate_flags::TINFL_FLAG_PARSE_ZLIB_HEADER
    | inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF
    | inflate_flags::TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY;

/// The number of bytes that any body may inflate to, however short it is. Compression makes short
/// repetitive bodies very short.
const BASE: usize = 4 << 10;

/// The number of bytes that a byte of a longer body may inflate to. JSON seldom exceeds 20. The
/// format allows 1032, with which a client could send an application far more than it may send to
/// the server.
const RATIO: usize = 64;

/// The number of bytes that the events of one call may have with an inflated body, beside twice the
/// largest packet. The runtime takes an answer of this length, and ends a session that exceeds it
/// as if the codec were at fault.
const CALL: usize = 1 << 20;

/// The number of blocks that any body may have, and the number of bytes for each further block. A
/// block has tables, which take longer to prepare than the 10 bits of an empty block to send. zlib
/// begins a block after thousands of symbols.
const BLOCKS: usize = 4;
const BLOCK: usize = 256;

/// Inflates a body. `max_packet` is the largest packet of the listener in bytes, and `written` the
/// number of bytes of the events that the call has so far.
///
/// # Errors
///
/// Returns [`Fault::Fatal`] if the body exceeds a limit, and [`Fault::Rejected`] if it is not zlib.
pub(crate) fn inflate(body: &[u8], max_packet: usize, written: usize) -> Result<Vec<u8>, Fault> {
    let by_ratio = BASE.saturating_add(body.len().saturating_mul(RATIO));
    let by_call = CALL.saturating_add(max_packet.saturating_mul(2)).saturating_sub(written);
    let limit = max_packet.min(by_ratio).min(by_call);
    // One byte more, because a body that fills its buffer may seem to go on.
    let room = limit.saturating_add(1);
    let blocks = BLOCKS + body.len() / BLOCK;

    let mut inflator = Box::<DecompressorOxide>::default();
    let mut inflated = vec![0; room.min(body.len().saturating_mul(2))];
    let (mut input, mut end, mut boundaries) = (body, 0, 0);
    loop {
        let (status, read, added) = decompress(&mut inflator, input, &mut inflated, end, FLAGS);
        input = input.get(read..).unwrap_or_default();
        end += added;
        match status {
            TINFLStatus::Done if end <= limit => {
                inflated.truncate(end);
                return Ok(inflated);
            }
            TINFLStatus::HasMoreOutput if inflated.len() < room => {
                inflated.resize(room.min(inflated.len().saturating_mul(2)), 0);
            }
            TINFLStatus::Done | TINFLStatus::HasMoreOutput => break,
            // There is none behind the last block.
            TINFLStatus::BlockBoundary if boundaries + 1 < blocks => boundaries += 1,
            TINFLStatus::BlockBoundary => {
                return Err(fatal(body, &format!("has more than {blocks} blocks")));
            }
            _ => return Err(Fault::Rejected("compressed body is not zlib, or damaged".into())),
        }
    }
    Err(if limit == max_packet {
        fatal(body, &format!("inflates to more than max-packet, {max_packet} bytes"))
    } else if limit == by_ratio {
        let limit = format!("{limit} bytes, {RATIO} times its length and {BASE} bytes");
        fatal(body, &format!("inflates to more than {limit}"))
    } else {
        fatal(body, "exceeds what the packets of one read may inflate to")
    })
}

fn fatal(body: &[u8], reason: &str) -> Fault {
    Fault::Fatal(format!("compressed body of {} bytes {reason}", body.len()).into())
}
