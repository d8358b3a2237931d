// Reads and writes MessagePack with the npm package @msgpack/msgpack, within limits.
//
// A call has 10 ms of CPU time and a small stack, and the package itself has no limits. So each
// packet is checked before the package reads it: the packet is complete, its bytes, values and
// levels are within the limits, and its short strings are UTF-8, which the package does not check.

import './strict.js'
import { Decoder, Encoder, EXT_TIMESTAMP, decodeTimestampToTimeSpec } from '@msgpack/msgpack'
import { decodeUtf8, Rejected } from './wireplug/wireplug.js'

/**
 * The most bytes of a packet or a body. The package reads text by the character: this much takes 1
 * ms.
 */
export const MAX_BYTES = 8192

/**
 * The most values in a packet or a body, keys included: they take 1 to 5 ms. Fractions and maps
 * take the most.
 */
export const MAX_VALUES = 512

/** The most levels of arrays and maps in a body. The engine's stack holds several times as many. */
export const MAX_DEPTH = 64

const extensions = {
  tryToEncode: () => null,

  decode (data, type) {
    if (type !== EXT_TIMESTAMP) throw new Rejected(`extension type ${type} has no form in JSON`)
    const { sec, nsec } = decodeTimestampToTimeSpec(data)
    if (nsec >= 1e9) throw new Rejected('a timestamp has 10^9 nanoseconds or more')
    const date = new Date(sec * 1e3 + nsec / 1e6)
    if (Number.isNaN(date.getTime())) throw new Rejected('a timestamp is beyond the years of JavaScript')
    return date
  }
}

// The package's cache of keys is off. It saves no time in this engine, and new keys make it slow.
const decoder = new Decoder({ useBigInt64: true, extensionCodec: extensions, mapKeyConverter: keyOf, keyDecoder: null })
const encoder = new Encoder({ useBigInt64: true, extensionCodec: extensions, maxDepth: MAX_DEPTH + 2 })

/** Returns the value of a packet. Integers of 64 bits are BigInts. */
export function read (packet) {
  try {
    checkLimits(packet)
    return decoder.decode(packet)
  } catch (error) {
    if (error instanceof Rejected) throw error
    throw new Rejected(error instanceof URIError ? 'a string is not UTF-8' : error.message)
  }
}

/**
 * Returns the packet for a value. Integers of more than 32 bits must be BigInts: the package writes
 * larger numbers as floats.
 */
export function write (value) {
  return encoder.encode(value)
}

/** Returns the key of a JSON object for the key of a map. An integer becomes its decimal digits. */
function keyOf (key) {
  if (typeof key === 'string') return key
  if (Number.isSafeInteger(key) || typeof key === 'bigint') return key.toString()
  throw new Rejected('a key of a map is neither a string nor an integer')
}

// For each type from 0xc0 on: the bytes of its length field, and the bytes that the field does not
// count.
const FIELD = [0, 0, 0, 0, 1, 2, 4, 1, 2, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 2, 4]
const UNCOUNTED = [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 2, 3, 5, 9, 17, 0, 0, 0, 0, 0, 0, 0]

const FLOAT_64 = 0xcb

// How many more values a number below 2.2e-308 counts as: its decimal digits take 30 us.
const SUBNORMAL = 15

// The longest string that the package reads without TextDecoder, in bytes. TextDecoder checks
// longer strings itself: see strict.js.
const SHORT = 200

/** Checks a packet value by value. */
function checkLimits (packet) {
  if (packet.length > MAX_BYTES) throw new Rejected(`the packet has more than ${MAX_BYTES} bytes`)
  // How many values are still to come in each open array and map. The packet itself is one value.
  const open = [1]
  let values = 1
  let at = 0
  while (open.length > 0) {
    if (open[open.length - 1]-- === 0) {
      open.pop()
      continue
    }
    const type = packet[at++]
    if (type < 0x80 || type >= 0xe0) continue
    let length = type & 0x1f
    if (type < 0xa0) {
      length = type & 0x0f
    } else if (type >= 0xc0) {
      const end = at + FIELD[type - 0xc0]
      length = 0
      while (at < end) length = length * 256 + packet[at++]
    }
    if (type < 0xa0 || type >= 0xdc) {
      const isMap = type < 0x90 || type >= 0xde
      if (open.length > MAX_DEPTH + 1) throw new Rejected(`the body is nested deeper than ${MAX_DEPTH}`)
      open.push(isMap ? length * 2 : length)
      values += open[open.length - 1]
    } else {
      const start = at
      at += type < 0xc0 ? length : length + UNCOUNTED[type - 0xc0]
      if (type === FLOAT_64 && isSubnormal(packet, start)) values += SUBNORMAL
      const isShortText = (type < 0xc0 || type >= 0xd9) && length <= SHORT
      if (isShortText && at <= packet.length && !isAscii(packet, start, at)) decodeUtf8(packet.subarray(start, at))
    }
    if (values > MAX_VALUES) throw new Rejected(`the packet has more than ${MAX_VALUES} values`)
    // `at` or `values` is NaN if the packet ends before a type or within a length.
    if (!(at <= packet.length) || Number.isNaN(values)) throw new Rejected('the packet is cut short')
  }
}

function isAscii (packet, start, end) {
  while (start < end && packet[start] < 0x80) start++
  return start === end
}

function isSubnormal (packet, start) {
  const isSmall = (packet[start] & 0x7f) === 0 && packet[start + 1] < 0x10
  return isSmall && packet.subarray(start + 1, start + 8).some(byte => byte !== 0)
}
