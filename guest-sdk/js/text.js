// UTF-8 in QuickJS, which knows neither TextEncoder nor TextDecoder.
//
// All work on sound text is done by functions of the engine itself: a loop over bytes in JavaScript takes some 60 ns a byte, these 30 ns and less.

// Arguments of one call, well below what the engine's stack holds.
const CHUNK = 4096

/**
 * Reads UTF-8. A byte order mark stays in the text.
 * @param {Uint8Array | ArrayBufferView | ArrayBuffer} source
 * @returns {string}
 * @throws {URIError} where the bytes are not UTF-8, with surrogates and overlong forms among what is not.
 * @throws {TypeError} where `source` is no bytes.
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
 * Writes UTF-8. A surrogate that stands alone becomes U+FFFD.
 * @param {string} text
 * @returns {Uint8Array}
 * @throws {TypeError} where `text` is no string.
 */
export function encodeUtf8 (text) {
  if (typeof text !== 'string') throw new TypeError(`encodeUtf8: ${text === null ? 'null' : typeof text} is no string`)
  return Uint8Array.fromBase64(btoa(unescape(encodeURIComponent(text.toWellFormed()))))
}

/** The web's TextEncoder, which writes as `encodeUtf8` does. */
class TextEncoder {
  get encoding () {
    return 'utf-8'
  }

  encode (text = '') {
    return encodeUtf8(String(text))
  }

  /** Writes as many whole characters as `target` has room for. */
  encodeInto (text, target) {
    const bytes = encodeUtf8(String(text))
    let written = Math.min(bytes.length, target.length)
    while (isContinuation(bytes[written])) written -= 1
    const fits = bytes.subarray(0, written)
    target.set(fits)
    return { read: decodeUtf8(fits).length, written }
  }
}

// What the web calls UTF-8.
const LABELS = ['utf-8', 'utf8', 'unicode-1-1-utf-8', 'unicode11utf8', 'unicode20utf8', 'x-unicode20utf8']

/**
 * The web's TextDecoder for UTF-8 and whole texts: without `fatal`, what is not UTF-8 becomes U+FFFD. Text that has some of that is read byte by
 * byte: in the time of a call, 16 KiB at the worst.
 */
class TextDecoder {
  #fatal
  #ignoreBOM

  constructor (label = 'utf-8', { fatal = false, ignoreBOM = false } = {}) {
    if (!LABELS.includes(String(label).trim().toLowerCase())) throw new RangeError(`TextDecoder reads utf-8 only, not ${label}`)
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
    if (stream) throw new TypeError('TextDecoder reads whole texts only, and has no `stream`')
    const bytes = bytesOf('TextDecoder', source)
    const text = this.#read(bytes)
    return !this.#ignoreBOM && text.startsWith('\ufeff') ? text.slice(1) : text
  }

  #read (bytes) {
    try {
      return decodeUtf8(bytes)
    } catch {
      if (this.#fatal) throw new TypeError('TextDecoder: the bytes are not UTF-8')
      return decodeUtf8(mended(bytes))
    }
  }
}

/** Any of the web's forms of bytes, as the bytes that it shows. */
function bytesOf (what, source) {
  if (source instanceof Uint8Array) return source
  if (ArrayBuffer.isView(source)) return new Uint8Array(source.buffer, source.byteOffset, source.byteLength)
  if (source instanceof ArrayBuffer) return new Uint8Array(source)
  throw new TypeError(`${what}: ${source === null ? 'null' : typeof source} is no bytes, which are a Uint8Array, another view or an ArrayBuffer`)
}

/** The bytes with U+FFFD in the place of each longest beginning of a character, and of each byte that begins none. */
function mended (bytes) {
  const sound = new Uint8Array(bytes.length * 3)
  let end = 0
  for (let at = 0; at < bytes.length;) {
    const length = character(bytes, at)
    if (length < 0) {
      sound[end++] = 0xef
      sound[end++] = 0xbf
      sound[end++] = 0xbd
      at -= length
    } else {
      for (const next = at + length; at < next;) sound[end++] = bytes[at++]
    }
  }
  return sound.subarray(0, end)
}

/** The length in bytes of the character that begins here, or minus that of its beginning where it is not whole. */
function character (bytes, at) {
  const lead = bytes[at]
  if (lead < 0x80) return 1
  if (lead < 0xc2 || lead > 0xf4) return -1
  const length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
  // Behind some, less may follow: no overlong forms, no surrogates, nothing beyond U+10FFFF.
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

// Packages look for them when they are loaded: import this file before them.
globalThis.TextEncoder ??= TextEncoder
globalThis.TextDecoder ??= TextDecoder
