// The package reads long strings by TextDecoder, which by default changes what is not UTF-8, and takes a byte order mark away. This one does neither.

import { decodeUtf8 } from './wireplug/wireplug.js'

globalThis.TextDecoder = class {
  decode (bytes) {
    return decodeUtf8(bytes)
  }
}
