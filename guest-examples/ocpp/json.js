// JSON within limits.

import { decodeUtf8, encodeUtf8, Rejected } from './wireplug/wireplug.js'

// JSON.parse recurses, and the stack of the sandbox is small. No message of OCPP has more than ten
// levels, apart from data of a vendor.
const MAX_DEPTH = 64

// The engine takes 5 us for a number such as 1e-308. So many take a quarter of the time that a call
// has. Texts that look like such numbers count too: a certificate in hex digits has 150.
const MAX_EXPONENTS = 500
const EXPONENT = /\d[eE][-+]?\d{3}/g

/**
 * Reads a JSON text.
 * @throws {SyntaxError} if the text is not JSON, or is beyond the limits.
 */
export function parse (text) {
  if (isDeep(text)) throw new SyntaxError(`nested deeper than ${MAX_DEPTH} levels`)
  const isCostly = text.match(EXPONENT)?.length > MAX_EXPONENTS
  if (isCostly) throw new SyntaxError(`more than ${MAX_EXPONENTS} numbers with exponents of three digits`)
  return JSON.parse(text)
}

/** Returns the bytes of a value as JSON. */
export function toJson (value) {
  return encodeUtf8(JSON.stringify(value))
}

/**
 * Returns a JSON object, and its text.
 * @param {Uint8Array} bytes
 * @param {string} what  What a reason calls the bytes.
 * @throws {Rejected} if the bytes are not a JSON object in UTF-8.
 */
export function readObject (bytes, what) {
  const text = readUtf8(bytes, what)
  const object = readText(text, what)
  if (!isObject(object)) throw new Rejected(`${what} is not an object`)
  return { object, text }
}

/** Reports whether a value is what `{…}` stands for. */
export function isObject (value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function readUtf8 (bytes, what) {
  try {
    return decodeUtf8(bytes)
  } catch {
    throw new Rejected(`${what} is not UTF-8`)
  }
}

function readText (text, what) {
  try {
    return parse(text)
  } catch (error) {
    throw error instanceof SyntaxError ? new Rejected(`${what} is not JSON: ${error.message}`) : error
  }
}

function isDeep (text) {
  // Most texts have so few brackets that no exact look is needed.
  if (!hasMore(text, '[', MAX_DEPTH / 2) && !hasMore(text, '{', MAX_DEPTH / 2)) return false
  // What is left are the brackets outside of strings. Where a string is broken, JSON.parse stops.
  const brackets = text.replace(/"[^"\\]*(?:\\.[^"\\]*)*"?|[^[\]{}"]+/g, '')
  let depth = 0
  for (const bracket of brackets) {
    depth += bracket === '[' || bracket === '{' ? 1 : -1
    if (depth > MAX_DEPTH) return true
  }
  return false
}

/** Reports whether a text has a character more often than so many times. */
function hasMore (text, character, most) {
  let at = -1
  for (let count = 0; count <= most; count += 1) {
    at = text.indexOf(character, at + 1)
    if (at < 0) return false
  }
  return true
}
