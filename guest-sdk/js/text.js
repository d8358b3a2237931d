// UTF-8 in QuickJS, which knows neither TextEncoder nor TextDecoder.
//
// All work is done by functions of the engine itself: a loop over bytes in JavaScript takes some 60 ns a byte, these 30 ns and less.

// Arguments of one call, well below what the engine's stack holds.
const CHUNK = 4096

/**
 * Reads UTF-8.
 * @param {Uint8Array} bytes
 * @returns {string}
 * @throws {URIError} where the bytes are not UTF-8, with surrogates and overlong forms among what is not.
 */
export function decodeUtf8 (bytes) {
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
 */
export function encodeUtf8 (text) {
  return Uint8Array.fromBase64(btoa(unescape(encodeURIComponent(text.toWellFormed()))))
}

/** As much of the web's TextEncoder as npm packages use. */
class TextEncoder {
  get encoding () {
    return 'utf-8'
  }

  encode (text = '') {
    return encodeUtf8(String(text))
  }

  /** Throws a RangeError where `target` is too short; the web's would write what fits. */
  encodeInto (text, target) {
    const bytes = encodeUtf8(text)
    target.set(bytes)
    return { read: text.length, written: bytes.length }
  }
}

/** As much of the web's TextDecoder as npm packages use: UTF-8, always `fatal`, whole texts only. */
class TextDecoder {
  constructor (label = 'utf-8') {
    if (!/^utf-?8$/i.test(label)) throw new RangeError(`TextDecoder reads utf-8 only, not ${label}`)
  }

  get encoding () {
    return 'utf-8'
  }

  decode (bytes = new Uint8Array()) {
    return decodeUtf8(bytes)
  }
}

// Packages look for them when they are loaded: import this file before them.
globalThis.TextEncoder ??= TextEncoder
globalThis.TextDecoder ??= TextDecoder
