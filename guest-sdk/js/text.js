// UTF-8 for QuickJS, which has neither TextEncoder nor TextDecoder.
//
// Functions of the engine do all work on valid text: they take at most 30 ns a byte. A loop over
// the bytes in JavaScript takes about 60 ns a byte.

// The number of arguments in one call. The stack of the engine holds many more.
const CHUNK = 4096

/**
 * Reads UTF-8. A byte order mark stays in the text.
 * @param {Uint8Array | ArrayBufferView | ArrayBuffer} source
 * @returns {string}
 * @throws {URIError} if the bytes are not UTF-8. Surrogates and overlong forms are not UTF-8.
 * @throws {TypeError} if `source` has no bytes.
 */
export function decodeUtf8 (source) {
  const bytes = bytesOf('decodeUtf8', source)
  let latin1 = ''
  for (let start = 0; start < bytes.length; start += CHUNK) {
    latin1 += String.fromCharCode.apply(null, bytes.subarray(start, start + CHUNK))
  }
  return decodeURIComponent(escape(latin1))
}

/**
 * Writes UTF-8. A lone surrogate becomes U+FFFD.
 * @param {string} text
 * @returns {Uint8Array}
 * @throws {TypeError} if `text` is not a string.
 */
export function encodeUtf8 (text) {
  if (typeof text !== 'string') throw new TypeError(`encodeUtf8: ${kindOf(text)} is not a string`)
  return Uint8Array.fromBase64(btoa(unescape(encodeURIComponent(text.toWellFormed()))))
}

/** The web's TextEncoder, on `encodeUtf8`. */
class TextEncoder {
  get encoding () {
    return 'utf-8'
  }

  encode (text = '') {
    return encodeUtf8(String(text))
  }

  /** Writes as many whole characters as fit into `target`. */
  encodeInto (text, target) {
    const bytes = encodeUtf8(String(text))
    let written = Math.min(bytes.length, target.length)
    while (isContinuation(bytes[written])) written -= 1
    const whole = bytes.subarray(0, written)
    target.set(whole)
    return { read: decodeUtf8(whole).length, written }
  }
}

// The names of UTF-8 in the web's standard.
const LABELS = ['utf-8', 'utf8', 'unicode-1-1-utf-8', 'unicode11utf8', 'unicode20utf8', 'x-unicode20utf8']

/**
 * The web's TextDecoder, for UTF-8 and whole texts. Without `fatal`, bytes that are not UTF-8
 * become U+FFFD. A text with such bytes is read byte by byte: the time of one call is enough for
 * 16 KiB in the worst case.
 */
class TextDecoder {
  #fatal
  #ignoreBOM

  constructor (label = 'utf-8', { fatal = false, ignoreBOM = false } = {}) {
    const isUtf8 = LABELS.includes(String(label).trim().toLowerCase())
    if (!isUtf8) throw new RangeError(`TextDecoder reads only utf-8, not ${label}`)
    this.#fatal = Boolean(fatal)
    this.#ignoreBOM = Boolean(ignoreBOM)
  }

  get encoding () {
    return 'utf-8'
  }

  get fatal () {
    return this.#fatal
  }

  get ignoreBOM () {
    return this.#ignoreBOM
  }

  decode (source = new Uint8Array(), { stream = false } = {}) {
    if (stream) throw new TypeError('TextDecoder reads only whole texts: `stream` is not supported')
    const bytes = bytesOf('TextDecoder', source)
    const text = this.#read(bytes)
    return !this.#ignoreBOM && text.startsWith('\ufeff') ? text.slice(1) : text
  }

  #read (bytes) {
    try {
      return decodeUtf8(bytes)
    } catch {
      if (this.#fatal) throw new TypeError('TextDecoder: the bytes are not UTF-8')
      return decodeUtf8(repaired(bytes))
    }
  }
}

/** Returns the bytes of a buffer or a view as a Uint8Array. */
function bytesOf (source, value) {
  if (value instanceof Uint8Array) return value
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
  if (value instanceof ArrayBuffer) return new Uint8Array(value)
  throw new TypeError(`${source}: ${kindOf(value)} is not a Uint8Array, another view or an ArrayBuffer`)
}

function kindOf (value) {
  return value === null ? 'null' : typeof value
}

/**
 * Returns valid UTF-8. U+FFFD replaces each incomplete character, at its longest, and each byte
 * that begins no character.
 */
function repaired (bytes) {
  const valid = new Uint8Array(bytes.length * 3)
  let end = 0
  for (let at = 0; at < bytes.length;) {
    const length = lengthAt(bytes, at)
    if (length < 0) {
      valid[end++] = 0xef
      valid[end++] = 0xbf
      valid[end++] = 0xbd
      at -= length
    } else {
      for (const next = at + length; at < next;) valid[end++] = bytes[at++]
    }
  }
  return valid.subarray(0, end)
}

/**
 * Returns the length of the character at this place, in bytes. Negative if the character is
 * incomplete.
 */
function lengthAt (bytes, at) {
  const lead = bytes[at]
  if (lead < 0x80) return 1
  if (lead < 0xc2 || lead > 0xf4) return -1
  const length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
  // These exclude overlong forms, surrogates, and characters above U+10FFFF.
  const second = bytes[at + 1]
  if (lead === 0xe0 && second < 0xa0) return -1
  if (lead === 0xed && second > 0x9f) return -1
  if (lead === 0xf0 && second < 0x90) return -1
  if (lead === 0xf4 && second > 0x8f) return -1
  for (let i = 1; i < length; i += 1) {
    if (!isContinuation(bytes[at + i])) return -i
  }
  return length
}

function isContinuation (byte) {
  return (byte & 0xc0) === 0x80
}

// npm packages look for these when they load, so import this file before the packages.
globalThis.TextEncoder ??= TextEncoder
globalThis.TextDecoder ??= TextDecoder
