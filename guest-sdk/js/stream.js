// Streams that the codec cuts itself: `cut` and `decode` of a session become `decode-stream`.

import { eventsOf, LEVELS } from './events.js'
import { faultOf } from './faults.js'
import { encodeUtf8 } from './text.js'
import { asU32, isInteger, MAX_U32, wrong } from './values.js'

// A call ends after this many packets or bytes, because an interpreter is slow and a call of 2 ms
// counts as slow. The runtime calls again at once for the packets that are left.
const MAX_PACKETS = 16
const MAX_BYTES = 4096

const FULL = { tag: 'full' }
const START_TLS = { tag: 'start-tls' }
const NOTHING = new Uint8Array()

/** Cuts packets from the front of `bytes`, and decodes each. */
export function decodeStream (session, bytes, now) {
  const ends = []
  const events = new FlatEvents()
  let start = 0
  for (;;) {
    let length = 0
    try {
      const rest = start === 0 ? bytes : bytes.subarray(start)
      const answer = checked(session.cut(rest), rest.length, start > 0)
      if (answer === 'start-tls') return events.framesOf(ends, START_TLS)
      if (answer.packet === undefined) return events.framesOf(ends, { tag: 'need', val: asU32(answer.need) })
      length = answer.packet
    } catch (error) {
      // About the rest. It is fatal even if the codec throws `Rejected`, because a stream without
      // this packet has no next one.
      events.addFault('fatal', faultOf(error).val, ends.length)
      return events.framesOf(ends, FULL)
    }
    // The answer of `cut` was needed: after the last packet, TLS may begin.
    if (ends.length === MAX_PACKETS || start >= MAX_BYTES) return events.framesOf(ends, FULL)
    const mayGoOn = decode(session, bytes.subarray(start, start + length), now, ends.length, events)
    start += length
    ends.push(asU32(start))
    if (!mayGoOn) return events.framesOf(ends, FULL)
  }
}

/** Decodes one packet. Returns false if no packet may follow in this call. */
function decode (session, packet, now, index, events) {
  let list
  try {
    list = eventsOf('decode', session.decode(packet, now))
  } catch (error) {
    const { tag, val } = faultOf(error)
    events.addFault(tag, val, index)
    return tag === 'rejected'
  }
  for (let i = 0; i < list.length; i += 1) {
    events.add(list[i], index)
    // The runtime ignores what comes after a close. After a hello it refuses more events, so the
    // codec must not have any.
    if (list[i].tag === 'close') return false
  }
  return list.at(-1)?.tag !== 'hello'
}

/** Checks the answer of `cut` about a rest of this many bytes. */
function checked (answer, rest, isBehindPacket) {
  if (answer === 'start-tls') {
    if (isBehindPacket) return answer
    throw new TypeError("cut returned 'start-tls' at the beginning of a call, not behind a packet")
  }
  if (isInteger(answer?.packet, 1, rest)) return answer
  if (answer?.packet === undefined && isInteger(answer?.need, rest + 1, MAX_U32)) return answer
  if (answer?.packet !== undefined) {
    throw wrong('cut returned a packet of', answer.packet, `an integer from 1 to ${rest}, the length of the rest`)
  }
  if (answer?.need !== undefined) {
    throw wrong('cut returned a need of', answer.need, `an integer from ${rest + 1} to 2^32 - 1`)
  }
  throw wrong('cut returned', answer, "{ packet }, { need } or 'start-tls'")
}

/** Events in the flat form of the contract. */
class FlatEvents {
  #heads = []
  #parts = []
  #length = 0

  add ({ tag, val }, packet) {
    switch (tag) {
      case 'message':
        return this.#push(tag, packet, val.role, val.id, val.status, encodeUtf8(val.route), val.body)
      case 'timer':
        return this.#push(tag, packet, 'notice', val >>> 0, 200, NOTHING, NOTHING)
      case 'log':
        return this.#push(tag, packet, 'notice', LEVELS.indexOf(val.level), 200, NOTHING, encodeUtf8(val.text))
      case 'close':
        return this.#push(tag, packet, 'notice', val.code, 200, NOTHING, encodeUtf8(val.reason))
      default:
        return this.#push(tag, packet, 'notice', 0, 200, NOTHING, val ?? NOTHING)
    }
  }

  addFault (kind, reason, packet) {
    this.#push(kind, packet, 'notice', 0, 200, NOTHING, encodeUtf8(reason))
  }

  /** Returns `frames` of the contract. */
  framesOf (ends, next) {
    const bytes = new Uint8Array(this.#length)
    let at = 0
    for (const part of this.#parts) {
      bytes.set(part, at)
      at += part.length
    }
    return { ends, events: { bytes, heads: this.#heads }, next }
  }

  #push (kind, packet, role, id, status, route, body) {
    if (route.length > 0) this.#parts.push(route)
    if (body.length > 0) this.#parts.push(body)
    const routeEnd = this.#length + route.length
    this.#length = routeEnd + body.length
    this.#heads.push({ kind, packet, role, id, status, routeEnd: asU32(routeEnd), bodyEnd: asU32(this.#length) })
  }
}
