// Replaces TextDecoder, with which the npm package reads long strings. The default one changes
// bytes that are not UTF-8 and removes a byte order mark. This one throws and keeps it.

import { decodeUtf8 } from './wireplug/wireplug.js'

globalThis.TextDecoder = class {
  decode (bytes) {
    return decodeUtf8(bytes)
  }
}
