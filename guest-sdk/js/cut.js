// Helpers for `cut`, the method with which a codec cuts its stream:
//
//   cut (bytes) {
//     return cut.line(bytes, LINE_FEED, 512)
//   }
//
// `bytes` is the rest of the stream. It begins at the start of a packet, and may be empty. Most
// helpers return the answer of `cut`: `{ packet }`, the length of the packet with its framing, or
// `{ need }`, how many bytes the rest must have at least. A helper throws `Fatal` if the rest can
// never become a packet of at most `limit` bytes. `noun` names in the reason what the helper reads.
//
// A need must never pass over a length of the rest at which the helper would throw. Otherwise the
// division of the stream would decide whether it throws.

import { Fatal } from './faults.js'
import { isInteger, wrong } from './values.js'

/**
 * A packet of this length. It is also the last step of a codec that has read the length itself.
 * @param {Uint8Array} bytes
 * @param {number} length  In bytes.
 * @param {number} limit  The largest packet, in bytes.
 * @param {string} [noun]
 */
export function fixed (bytes, length, limit, noun = 'packet') {
  if (length > limit) throw tooLong(limit, noun)
  if (length === 0) throw new Fatal(`the ${noun} has 0 bytes`)
  return bytes.length < length ? { need: length } : { packet: length }
}

/**
 * A packet with a length field of fixed width.
 * @param {Uint8Array} bytes
 * @param {{ offset?: number, width: number, littleEndian?: boolean, adjust?: number }} field  As in
 *   the framing 'length' of a description. `offset` is the number of bytes before the field.
 *   `width` is 1 to 4 bytes. `adjust` is added to the value to get the number of bytes behind the
 *   field; a field that counts itself and the bytes before it has `adjust: -(offset + width)`.
 * @param {number} limit  The largest packet, in bytes.
 * @param {string} [noun]
 */
export function lengthField (bytes, { offset = 0, width, littleEndian = false, adjust = 0 }, limit, noun) {
  if (!isInteger(width, 1, 4)) throw wrong('lengthField: the width is', width, 'an integer from 1 to 4')
  const end = offset + width
  if (bytes.length < end) return fixed(bytes, end, limit, noun)
  const value = littleEndian ? littleEndianAt(bytes, offset, width) : bigEndianAt(bytes, offset, width)
  if (value + adjust < 0) throw new Fatal(`the length field is ${value}, and at least ${-adjust} is needed`)
  return fixed(bytes, end + value + adjust, limit, noun)
}

/**
 * A packet that ends with a delimiter.
 * @param {Uint8Array} bytes
 * @param {Uint8Array | number} delimiter  One byte, or several.
 * @param {number} limit  The largest packet, in bytes, with its delimiter.
 * @param {string} [noun]
 */
export function line (bytes, delimiter, limit, noun) {
  if (delimiter.length === 0) throw new TypeError('line: a delimiter has at least one byte')
  const end = endOf(bytes, delimiter)
  return end > 0 ? fixed(bytes, end, limit, noun) : searchOn(bytes, missing(bytes, delimiter), limit, noun)
}

/**
 * A decimal number in ASCII digits at a place, before a delimiter. It is a part of a packet, so
 * this helper does not return the answer of `cut`.
 * @param {Uint8Array} bytes
 * @param {number} at  The place of the first digit.
 * @param {number} delimiter  The byte behind the last digit.
 * @param {number} limit  The largest number. The number has no more digits than this one, and no
 *   sign and no space.
 * @param {string} [noun]
 * @returns {{ value: number, end: number } | { need: number }}  `end` is the place behind the
 *   delimiter. `{ need }` is the answer of `cut`.
 */
export function digits (bytes, at, delimiter, limit, noun = 'length') {
  const mostDigits = String(limit).length
  let value = 0
  for (let i = at; i < bytes.length; i += 1) {
    const byte = bytes[i]
    if (byte === delimiter && i > at) return { value, end: i + 1 }
    value = value * 10 + byte - 0x30
    const isDigit = byte >= 0x30 && byte <= 0x39
    if (!isDigit || value > limit || i - at === mostDigits) {
      throw new Fatal(`the ${noun} is not a decimal number from 0 to ${limit}`)
    }
  }
  return { need: Math.max(bytes.length, at) + 1 }
}

/**
 * A packet that is one element of BER: a tag, a length and a value. The length is definite, and its
 * long form has at most 4 bytes.
 * @param {Uint8Array} bytes
 * @param {number} limit  The largest packet, in bytes.
 * @param {string} [noun]
 */
export function ber (bytes, limit, noun) {
  // A tag with the number 31 goes on in the next bytes, up to the first byte below 128.
  let at = 1
  if ((bytes[0] & 0x1f) === 0x1f) {
    while (at < bytes.length && bytes[at] >= 0x80) at += 1
    if (at > 4) throw new Fatal('the tag has more than 5 bytes')
    if (at === bytes.length) return fixed(bytes, at + 1, limit, noun)
    at += 1
  }
  // At least the length is missing.
  if (bytes.length <= at) return fixed(bytes, at + 1, limit, noun)
  const first = bytes[at]
  if (first < 0x80) return fixed(bytes, at + 1 + first, limit, noun)
  const width = first - 0x80
  if (width === 0) throw new Fatal('the length is indefinite')
  if (width > 4) throw new Fatal('the length has more than 4 bytes')
  const end = at + 1 + width
  if (bytes.length < end) return fixed(bytes, end, limit, noun)
  return fixed(bytes, end + bigEndianAt(bytes, at + 1, width), limit, noun)
}

/**
 * A packet that ends with a delimiter byte. An escape byte makes the byte behind it a part of the
 * packet, whatever it is.
 * @param {Uint8Array} bytes
 * @param {number} delimiter
 * @param {number} escape  Another byte than the delimiter.
 * @param {number} limit  The largest packet, in bytes, with its delimiter.
 * @param {string} [noun]
 */
export function escaped (bytes, delimiter, escape, limit, noun) {
  let end = 0
  for (;;) {
    const place = bytes.indexOf(delimiter, end)
    const run = place < 0 ? bytes.length : place
    // A delimiter is escaped if the number of escape bytes directly before it is odd.
    let escapes = 0
    while (run - escapes > end && bytes[run - escapes - 1] === escape) escapes += 1
    const isEscaped = escapes % 2 === 1
    if (place < 0) return searchOn(bytes, isEscaped ? 2 : 1, limit, noun)
    end = place + 1
    if (!isEscaped) return fixed(bytes, end, limit, noun)
  }
}

/**
 * A packet that begins and ends with the same delimiter byte, which it does not contain otherwise.
 * Further delimiters at the beginning belong to the packet too.
 * @param {Uint8Array} bytes
 * @param {number} delimiter
 * @param {number} limit  The largest packet, in bytes, with both delimiters.
 * @param {string} [noun]
 */
export function enclosed (bytes, delimiter, limit, noun = 'packet') {
  if (bytes.length === 0) return searchOn(bytes, 1, limit, noun)
  if (bytes[0] !== delimiter) {
    throw new Fatal(`the ${noun} begins with ${hex(bytes[0])}, and not with ${hex(delimiter)}`)
  }
  let content = 1
  while (content < bytes.length && bytes[content] === delimiter) content += 1
  // At least another byte and a delimiter are missing.
  if (content === bytes.length) return searchOn(bytes, 2, limit, noun)
  const place = bytes.indexOf(delimiter, content)
  return place < 0 ? searchOn(bytes, 1, limit, noun) : fixed(bytes, place + 1, limit, noun)
}

/**
 * Returns the answer for bytes without an end: at least `missing` bytes follow. The bytes are
 * refused only when they reach the limit, and no need is above the limit.
 */
function searchOn (bytes, missing, limit, noun = 'packet') {
  if (bytes.length >= limit) throw tooLong(limit, noun)
  return { need: Math.min(bytes.length + missing, limit) }
}

function bigEndianAt (bytes, at, width) {
  let value = 0
  for (let i = 0; i < width; i += 1) value = value * 256 + bytes[at + i]
  return value
}

function littleEndianAt (bytes, at, width) {
  let value = 0
  for (let i = width - 1; i >= 0; i -= 1) value = value * 256 + bytes[at + i]
  return value
}

/** Returns the place behind the first delimiter, or 0 if there is none. */
function endOf (bytes, delimiter) {
  if (typeof delimiter === 'number') return bytes.indexOf(delimiter) + 1
  const last = bytes.length - delimiter.length
  for (let at = bytes.indexOf(delimiter[0]); at >= 0 && at <= last; at = bytes.indexOf(delimiter[0], at + 1)) {
    if (isAt(bytes, at, delimiter, delimiter.length)) return at + delimiter.length
  }
  return 0
}

/** Returns how many bytes are missing behind bytes without a delimiter. */
function missing (bytes, delimiter) {
  if (typeof delimiter === 'number') return 1
  // The bytes may end with the beginning of the delimiter.
  let begun = Math.min(delimiter.length - 1, bytes.length)
  while (begun > 0 && !isAt(bytes, bytes.length - begun, delimiter, begun)) begun -= 1
  return delimiter.length - begun
}

/** Reports whether the first `count` bytes of `delimiter` are at this place. */
function isAt (bytes, at, delimiter, count) {
  for (let i = 0; i < count; i += 1) {
    if (bytes[at + i] !== delimiter[i]) return false
  }
  return true
}

function tooLong (limit, noun) {
  return new Fatal(`the ${noun} has more than ${limit} bytes`)
}

function hex (byte) {
  return `0x${byte.toString(16).padStart(2, '0')}`
}
