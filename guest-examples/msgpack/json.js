// Between MessagePack's values and the JSON that the application reads and writes.

import { decodeUtf8, encodeUtf8, Rejected } from './wireplug/wireplug.js'
import { MAX_BYTES, MAX_DEPTH, MAX_VALUES } from './pack.js'

// What JSON has no form for, and JSON.stringify asks here. Nobody else lives in this engine.
// An integer keeps all its digits; bytes are base64. A Date knows its own form.
Object.defineProperty(BigInt.prototype, 'toJSON', { value () { return JSON.rawJSON(this.toString()) } })
Object.defineProperty(Uint8Array.prototype, 'toJSON', { value () { return this.toBase64() } })

// The range of MessagePack's integers.
const MIN_INTEGER = -(2n ** 63n)
const MAX_INTEGER = 2n ** 64n - 1n

/** The JSON of a value that `read` made: its depth is bounded, so the engine's stack holds it. */
export function toJson (value) {
  return encodeUtf8(JSON.stringify(value))
}

/** The value of a JSON text, for `write`. No text is null, which is how the runtime's own answers come. */
export function fromJson (body) {
  if (body.length === 0) return null
  if (body.length > MAX_BYTES) throw new Rejected(`the body has more than ${MAX_BYTES} bytes`)
  try {
    const text = decodeUtf8(body)
    measure(text)
    // Of what needs a second look, a text with none of these signs has nothing.
    return /\d{10}|[eE]\+?\d{3}|\\u[dD]/.test(text) ? JSON.parse(text, exactly) : JSON.parse(text)
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof URIError) throw new Rejected(`the body is no JSON: ${error.message}`)
    throw error
  }
}

/**
 * An integer of more than 32 bits becomes a BigInt, while MessagePack has a form for it: JSON.parse rounds those of more than 53, and
 * the package writes no `number` of more than 32 as an integer. JSON.parse also makes infinity of what is too large for a float. Half a
 * surrogate pair, which JSON can escape, has no UTF-8.
 */
function exactly (key, value, { source }) {
  if (!key.isWellFormed() || (typeof value === 'string' && !value.isWellFormed())) throw new Rejected('a string has half a surrogate pair')
  if (value === Infinity || value === -Infinity) throw new Rejected('a number is beyond float 64')
  if (!Number.isInteger(value) || (value >= -0x80000000 && value <= 0xffffffff) || !/^-?\d{10,20}$/.test(source)) return value
  const integer = BigInt(source)
  return integer >= MIN_INTEGER && integer <= MAX_INTEGER ? integer : value
}

// So many values more does a number with three digits of exponent count: to read it takes 20 us.
const EXPONENT = 7

/** Refuses what would overflow the engine's stack or run out of time. What is no JSON is left to JSON.parse. */
function measure (text) {
  // Every sign counts, in strings too: mostly there are few, and that is enough.
  const openers = count(text, '[', '{')
  if (openers <= MAX_DEPTH && (openers + count(text, ',', ':')) * (1 + EXPONENT) < MAX_VALUES) return
  const bare = text.replace(/"[^"\\]*(?:\\.[^"\\]*)*"/g, '0')
  const containers = count(bare, '[', '{')
  const separators = count(bare, ',', ':')
  // Each container that is not empty has one value more than commas, and each is a value itself.
  const tooMany = Math.max(containers, separators + 1) > MAX_VALUES ||
    1 + separators + containers - matches(bare, /[[{]\s*[\]}]/g) + EXPONENT * matches(bare, /[eE][-+]?\d{3}/g) > MAX_VALUES
  if (tooMany) throw new Rejected(`the body has more than ${MAX_VALUES} values`)
  let depth = 0
  for (const bracket of bare.replace(/[^[\]{}]+/g, '')) {
    depth += bracket === '[' || bracket === '{' ? 1 : -1
    if (depth > MAX_DEPTH) throw new Rejected(`the body is nested deeper than ${MAX_DEPTH}`)
  }
}

function count (text, ...signs) {
  return signs.reduce((sum, sign) => sum + text.split(sign).length - 1, 0)
}

function matches (text, pattern) {
  return text.match(pattern)?.length ?? 0
}
