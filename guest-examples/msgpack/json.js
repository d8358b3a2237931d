// Converts between the values of MessagePack and the JSON that the application reads and writes.

import { decodeUtf8, encodeUtf8, Rejected } from './wireplug/wireplug.js'
import { MAX_BYTES, MAX_DEPTH, MAX_VALUES } from './pack.js'

// JSON.stringify calls these for values that JSON has no form for. An integer keeps all its digits,
// and bytes become base64. A Date has a `toJSON` already. No other code runs in this engine.
Object.defineProperty(BigInt.prototype, 'toJSON', { value () { return JSON.rawJSON(this.toString()) } })
Object.defineProperty(Uint8Array.prototype, 'toJSON', { value () { return this.toBase64() } })

// The range of MessagePack's integers.
const MIN_INTEGER = -(2n ** 63n)
const MAX_INTEGER = 2n ** 64n - 1n

/**
 * Returns the JSON of a value from `read`. `read` limits the depth, so the engine's stack is large
 * enough.
 */
export function toJson (value) {
  return encodeUtf8(JSON.stringify(value))
}

/**
 * Returns the value of a JSON text, for `write`. The runtime's own answers have an empty body,
 * which becomes null.
 */
export function fromJson (body) {
  if (body.length === 0) return null
  if (body.length > MAX_BYTES) throw new Rejected(`the body has more than ${MAX_BYTES} bytes`)
  try {
    const text = decodeUtf8(body)
    checkLimits(text)
    // A text without these characters has no value that `exact` would change or reject.
    return /\d{10}|[eE]\+?\d{3}|\\u[dD]/.test(text) ? JSON.parse(text, exact) : JSON.parse(text)
  } catch (error) {
    const isNotJson = error instanceof SyntaxError || error instanceof URIError
    throw isNotJson ? new Rejected(`the body is not JSON: ${error.message}`) : error
  }
}

/**
 * Returns the exact value, as a reviver of JSON.parse.
 *
 * An integer of more than 32 bits becomes a BigInt if MessagePack has a form for it: JSON.parse
 * rounds integers of more than 53 bits, and the package writes a `number` of more than 32 bits as a
 * float. JSON.parse makes Infinity from a number that is too large for a float. JSON can escape
 * half a surrogate pair, which UTF-8 cannot hold.
 */
function exact (key, value, { source }) {
  const isWellFormed = key.isWellFormed() && (typeof value !== 'string' || value.isWellFormed())
  if (!isWellFormed) throw new Rejected('a string has half a surrogate pair')
  if (value === Infinity || value === -Infinity) throw new Rejected('a number is too large for float 64')
  const isLong = Number.isInteger(value) && (value < -0x80000000 || value > 0xffffffff)
  if (!isLong || !/^-?\d{10,20}$/.test(source)) return value
  const integer = BigInt(source)
  return integer >= MIN_INTEGER && integer <= MAX_INTEGER ? integer : value
}

// How many more values a number with an exponent of three digits counts as: reading it takes 20 us.
const EXPONENT = 7

/**
 * Checks that a text cannot exhaust the engine's stack or the time of a call. JSON.parse finds what
 * is not JSON.
 */
function checkLimits (text) {
  // This counts characters in strings too. Most texts have so few that no exact count is needed.
  const openers = count(text, '[', '{')
  if (openers <= MAX_DEPTH && (openers + count(text, ',', ':')) * (1 + EXPONENT) < MAX_VALUES) return
  const bare = text.replace(/"[^"\\]*(?:\\.[^"\\]*)*"/g, '0')
  const containers = count(bare, '[', '{')
  const separators = count(bare, ',', ':')
  const empty = matches(bare, /[[{]\s*[\]}]/g)
  const exponents = matches(bare, /[eE][-+]?\d{3}/g)
  // A container that is not empty has one value more than commas, and is itself a value.
  const values = 1 + separators + containers - empty + EXPONENT * exponents
  if (Math.max(containers, separators + 1, values) > MAX_VALUES) throw new Rejected(`the body has more than ${MAX_VALUES} values`)
  let depth = 0
  for (const bracket of bare.replace(/[^[\]{}]+/g, '')) {
    depth += bracket === '[' || bracket === '{' ? 1 : -1
    if (depth > MAX_DEPTH) throw new Rejected(`the body is nested deeper than ${MAX_DEPTH}`)
  }
}

function count (text, ...characters) {
  return characters.reduce((sum, character) => sum + text.split(character).length - 1, 0)
}

function matches (text, pattern) {
  return text.match(pattern)?.length ?? 0
}
