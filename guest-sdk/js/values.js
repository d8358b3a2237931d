// Checks of the values that the engine converts. A wrong value becomes an error that says what was
// expected.

import { encodeUtf8 } from './text.js'

export const MAX_U32 = 0xffffffff

const NO_PACKETS = []

/** Returns the value, which must be a Uint8Array. */
export function bytes (source, noun, value) {
  if (value instanceof Uint8Array) return value
  throw wrong(`${source}: the ${noun} is`, value, 'a Uint8Array')
}

/** Returns the string. U+FFFD replaces each lone surrogate. */
export function wellFormed (source, noun, value) {
  if (typeof value === 'string') return value.toWellFormed()
  throw wrong(`${source}: the ${noun} is`, value, 'a string')
}

/** Returns the packets of a message as a list. */
export function packetsOf (method, value) {
  if (value instanceof Uint8Array) return [value]
  if (value === null || value === undefined) return NO_PACKETS
  if (!Array.isArray(value)) throw wrong(`${method} returned`, value, 'a Uint8Array, a list of them, or nothing')
  for (let i = 0; i < value.length; i += 1) {
    if (!(value[i] instanceof Uint8Array)) throw wrong(`${method} returned a list with`, value[i], 'only Uint8Arrays')
  }
  return value
}

/** Returns the class of a broadcast as the engine takes it. */
export function classOf (value) {
  if (value === null) return null
  if (isInteger(value, 0, MAX_U32)) return asU32(value)
  throw wrong('broadcastClass returned', value, 'an integer from 0 to 2^32 - 1, or null')
}

/** Returns a u32 as the signed number that the engine needs. It changes larger numbers. */
export function asU32 (value) {
  return value | 0
}

/** Reports whether a number is an id that the engine holds exactly. */
export function isId (value) {
  return Number.isSafeInteger(value) && value >= 0
}

export function isInteger (value, least, most) {
  return Number.isInteger(value) && value >= least && value <= most
}

/** Reports whether a value is a string of at most this many bytes of UTF-8. */
export function isText (value, most) {
  return typeof value === 'string' && value.isWellFormed() && encodeUtf8(value).length <= most
}

/** Returns the error for a value. `what` ends with a verb. */
export function wrong (what, value, wanted) {
  return new TypeError(`${what} ${shown(value)}, not ${wanted}`)
}

/** Describes a value in a few words. */
export function shown (value) {
  if (typeof value === 'object' && value !== null) return `an object (${value.constructor?.name ?? 'of no class'})`
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'bigint') return `the BigInt ${value}n`
  return typeof value === 'string' ? `the string ${JSON.stringify(value.slice(0, 32))}` : String(value)
}
