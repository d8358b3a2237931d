// A codec that cuts its stream itself and evaluates JavaScript: a packet is a line with the
// expression of its events. `next` holds the methods that get no expression. The SDK is global, so
// expressions can use it.

import * as library from './wireplug/wireplug.js'

Object.assign(globalThis, library)

const description = { name: 'evaluates', version: '1.0.0', messages: 'continuous', handshake: true, clientRequests: 8 }

const LINE_FEED = 10

class Session {
  next = { cut: bytes => cut.line(bytes, LINE_FEED, 4096), answer: () => [established()] }
  ids = new Ids({ limit: 2 })

  cut (bytes) {
    return this.next.cut(bytes)
  }

  decode (packet) {
    return Function('next', 'ids', `return ${decodeUtf8(packet)}`)(this.next, this.ids)
  }

  encode ({ role, id, body }) {
    if (role === 'request') return encodeUtf8(`${this.ids.insert(id)}`)
    return body
  }

  answer () {
    return this.next.answer()
  }

  secured (attributes) {
    return this.next.secured(attributes)
  }

  abandoned (id) {
    return [reply(encodeUtf8(`${this.ids.remove(id)}`))]
  }
}

const { define } = library

export const { codec, framer, tlsUpgrade, handshake, requests } = define({ description, Session })
