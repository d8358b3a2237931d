// A codec that does as it is told: a packet, a body and a state are the expression of what is returned. `next` has the methods that get
// neither. The library is global, so that expressions can use it.

import * as library from './wireplug/wireplug.js'

Object.assign(globalThis, library)

const description = { name: 'evaluates', version: '1.0.0', framing: { tag: 'varint', val: 0 }, message: 'one', handshake: true }

function evaluate (bytes, known) {
  return Function(...Object.keys(known), `return ${decodeUtf8(bytes)}`)(...Object.values(known))
}

class Session {
  next = { tick: () => [] }

  decode (packet) {
    return evaluate(packet, { next: this.next })
  }

  encode ({ id, body }) {
    return evaluate(body, { id })
  }

  answer () {
    return this.next.answer()
  }

  tick () {
    return this.next.tick()
  }

  farewell () {
    return this.next.farewell()
  }

  shareClass () {
    return this.next.shareClass()
  }

  static encodeShared (shareClass, { body }) {
    return evaluate(body, { shareClass })
  }

  save () {
    return this.next.save()
  }

  static restore (peer, state) {
    return evaluate(state, { Session })
  }
}

const { define } = library

export const { codec, handshake, clock, farewell, broadcast, handoff } = define({ description, Session })
