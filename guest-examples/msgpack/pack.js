// MessagePack, read and written by the npm package @msgpack/msgpack, within bounds.
//
// A call has 10 ms of CPU and a small stack, and the package takes what it is given, so each packet is looked over first:
// it is whole, not too long, not too many values, not too deep, and its strings are UTF-8, which the package itself does not insist on.

import './strict.js'
import { Decoder, Encoder, EXT_TIMESTAMP, decodeTimestampToTimeSpec } from '@msgpack/msgpack'
import { decodeUtf8, Rejected } from './wireplug/wireplug.js'

/** Bytes of a packet or a body: a text of so many takes 1 ms, for the package goes through it a character at a time. */
export const MAX_BYTES = 8192

/** Values in a packet or a body, keys counted: 1 to 5 ms, most for fractions and maps. */
export const MAX_VALUES = 512

/** Arrays and maps within each other in a body; the engine's stack holds several times as many. */
export const MAX_DEPTH = 64

const extensions = {
  tryToEncode: () => null,

  decode (data, type) {
    if (type !== EXT_TIMESTAMP) throw new Rejected(`extension type ${type} has no form in JSON`)
    const { sec, nsec } = decodeTimestampToTimeSpec(data)
    if (nsec >= 1e9) throw new Rejected('a timestamp with a whole second of nanoseconds')
    const date = new Date(sec * 1e3 + nsec / 1e6)
    if (Number.isNaN(date.getTime())) throw new Rejected('a timestamp beyond the years of JavaScript')
    return date
  }
}

// Without the package's cache of keys: it gains nothing in this engine, and keys that are always new make it slow.
const decoder = new Decoder({ useBigInt64: true, extensionCodec: extensions, mapKeyConverter: keyOf, keyDecoder: null })
const encoder = new Encoder({ useBigInt64: true, extensionCodec: extensions, maxDepth: MAX_DEPTH + 2 })

/** The value that a packet is; integers of 64 bits as BigInt. */
export function read (packet) {
  try {
    lookOver(packet)
    return decoder.decode(packet)
  } catch (error) {
    if (error instanceof Rejected) throw error
    throw new Rejected(error instanceof URIError ? 'a string is not UTF-8' : error.message)
  }
}

/** The packet for a value, whose integers of more than 32 bits are BigInt: the package writes such a `number` as a float. */
export function write (value) {
  return encoder.encode(value)
}

/** Keys of maps: JSON's are strings, so an integer becomes its decimal digits. */
function keyOf (key) {
  if (typeof key === 'string') return key
  if (Number.isSafeInteger(key) || typeof key === 'bigint') return key.toString()
  throw new Rejected('a key of a map is neither a string nor an integer')
}

// Of the types from 0xc0 on: how many bytes of length field follow, and how many bytes besides what that field counts.
const FIELD = [0, 0, 0, 0, 1, 2, 4, 1, 2, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 2, 4]
const BESIDES = [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 2, 3, 5, 9, 17, 0, 0, 0, 0, 0, 0, 0]

const FLOAT_64 = 0xcb

// So many values more does a number below 2.2e-308 count: to find its decimal digits takes 30 us.
const SUBNORMAL = 15

// Longer strings the package reads by TextDecoder, and ours is strict.
const SHORT = 200

/** Walks from value to value, and refuses what is out of bounds. */
function lookOver (packet) {
  if (packet.length > MAX_BYTES) throw new Rejected(`the packet has more than ${MAX_BYTES} bytes`)
  // How many values are still to come in each array and map that is open; the packet itself is one.
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
      at += type < 0xc0 ? length : length + BESIDES[type - 0xc0]
      if (type === FLOAT_64 && isSubnormal(packet, start)) values += SUBNORMAL
      const isText = type < 0xc0 || type >= 0xd9
      if (isText && length <= SHORT && at <= packet.length && !isAscii(packet, start, at)) decodeUtf8(packet.subarray(start, at))
    }
    if (values > MAX_VALUES) throw new Rejected(`the packet has more than ${MAX_VALUES} values`)
    // Not a number: the length itself is cut short, or the type.
    if (!(at <= packet.length) || Number.isNaN(values)) throw new Rejected('the packet is cut short')
  }
}

function isAscii (packet, start, end) {
  while (start < end && packet[start] < 0x80) start++
  return start === end
}

function isSubnormal (packet, start) {
  return (packet[start] & 0x7f) === 0 && packet[start + 1] < 0x10 && packet.subarray(start + 1, start + 8).some(byte => byte !== 0)
}
