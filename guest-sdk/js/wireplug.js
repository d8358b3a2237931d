// What a codec in JavaScript is written against: a class for the session, exceptions for what is wrong.
//
// Between the contract (`codec.wit`) and the author's class it guarantees:
// - No exception becomes a trap, save in `describe`. One that is neither Rejected nor Fatal is the codec's mistake: it ends the
//   connection, and the log has its text and place.
// - What the class hands over is looked at before the engine converts it, so that a mistake is told by its name.
//
//   import { define, message, Rejected } from './wireplug.js'
//
//   class Session {
//     constructor (peer, nowMs) {}
//     decode (packet, nowMs) { return [message({ id: null, route: 'chat.say', body: packet })] }
//     encode ({ id, route, body, status }, nowMs) { return body }
//   }
//   export const { codec } = define({ description, Session })
//
// What else a session may have is named at `define`. Each needs its interface exported, here and in `wit/world.wit`.

import { decodeUtf8, encodeUtf8 } from './text.js'

export { decodeUtf8, encodeUtf8 }

/** Thrown by `decode` and `encode`: this packet or message is dropped and counted, and the connection lives. */
export class Rejected extends Error {
  name = 'Rejected'
}

/** Thrown by `decode` and `encode`: the connection ends, for this reason. */
export class Fatal extends Error {
  name = 'Fatal'
}

// === events: what decode, answer and tick return a list of ===

/**
 * A message for the application.
 * @param {{ id?: number | null, route: string, body: Uint8Array }} message
 *   `id`: the request's number, a safe integer, or null for a notification. `body`: JSON where the description says `json`.
 */
export function message ({ id = null, route, body }) {
  if (id !== null && !(Number.isSafeInteger(id) && id >= 0)) throw new TypeError(`message: id is ${id}, not a safe integer or null`)
  if (typeof route !== 'string' || !route.isWellFormed()) throw new TypeError('message: route is not a well-formed string')
  return { tag: 'message', val: { id, route, body: bytes('message: body', body), status: 200 } }
}

/** The client has introduced itself; `answer` is called with the application's word on that. */
export const hello = body => ({ tag: 'hello', val: bytes('hello', body) })

/** The handshake is over. */
export const established = () => ({ tag: 'established' })

/** A packet to send straight back. */
export const reply = packet => ({ tag: 'reply', val: bytes('reply', packet) })

/** `tick` is to be called after so many milliseconds, 1 to 2^32 - 1. */
export const wake = ms => ({ tag: 'wake', val: Math.min(Math.max(Math.ceil(ms), 1), 0xffffffff) })

/** The end of the connection, for this reason. */
export const close = reason => ({ tag: 'close', val: String(reason).toWellFormed() })

// === the interfaces ===

/**
 * The interfaces of `codec.wit` over a class.
 *
 * @param {object} parts
 * @param {object} parts.description  As in `codec.wit`, in camelCase: `{ name, version, framing: { tag: 'length', val: { offset, width,
 *   littleEndian, adjust } }, message: 'one', text, json, handshake, merges }`. What is left out is none, `refused` or false.
 * @param {(options: object) => void} [parts.configure]  Takes the options, a parsed JSON object, without the `routes` that the runtime
 *   adds, which come second. An exception is shown to the person who wrote the options. Without it every option is an error.
 * @param {new (peer: object, nowMs: number) => object} parts.Session  Its constructor is `open`, and refuses a client by an exception.
 *   - `decode(packet, nowMs)` returns a list of events.
 *   - `encode({ id, route, body, status }, nowMs)` returns a Uint8Array, or null where the message has no form on the wire.
 *   - `answer(status, body, nowMs)` and `tick(nowMs)` return a list of events.
 *   - `farewell(reason, nowMs)` returns a Uint8Array or null.
 *   - `shareClass()` returns a number or null, and `static encodeShared(class, message)` what `encode` would.
 *   - `save()` returns a Uint8Array, from which `static restore(peer, state, nowMs)` makes a session.
 * @returns the interfaces: `codec`, and `handshake`, `clock`, `farewell`, `broadcast` and `handoff`, of which those that
 *   `wit/world.wit` names are exported.
 */
export function define ({ description, configure = noOptions, Session }) {
  class Handle {
    constructor (session) {
      this.session = session
    }

    static open (peer, nowMs) {
      return orReason(() => new Handle(new Session(peer, nowMs)))
    }

    decode (packet, nowMs) {
      return orFault(() => this.session.decode(packet, nowMs))
    }

    encode (message, nowMs) {
      return orFault(() => packetOf('encode', this.session.encode(message, nowMs)))
    }
  }

  return {
    codec: {
      describe: () => ({ framing: null, message: 'refused', text: false, json: false, handshake: false, merges: false, ...description }),
      configure: options => orReason(() => {
        const { routes, ...own } = JSON.parse(options)
        configure(own, routes)
      }),
      Session: Handle
    },
    handshake: {
      answer: ({ session }, status, body, nowMs) => orClose(() => session.answer(status, body, nowMs))
    },
    clock: {
      tick: ({ session }, nowMs) => orClose(() => session.tick(nowMs))
    },
    farewell: {
      farewell: ({ session }, reason, nowMs) => orNull(() => packetOf('farewell', session.farewell(reason, nowMs)))
    },
    broadcast: {
      shareClass: ({ session }) => orNull(() => session.shareClass()),
      encodeShared: (shareClass, message) => orReason(() => packetOf('encodeShared', Session.encodeShared(shareClass, message)))
    },
    handoff: {
      save: ({ session }) => orReason(() => bytes('save', session.save())),
      restore: (peer, state, nowMs) => orReason(() => new Handle(Session.restore(peer, state, nowMs)))
    }
  }
}

function noOptions (options) {
  const [unknown] = Object.keys(options)
  if (unknown !== undefined) throw new Rejected(`unknown option \`${unknown}\`: this codec has none`)
}

// === what becomes of an exception ===

function orFault (work) {
  try {
    return work()
  } catch (error) {
    throw { tag: error instanceof Rejected ? 'rejected' : 'fatal', val: reasonOf(error) }
  }
}

function orReason (work) {
  try {
    return work()
  } catch (error) {
    throw reasonOf(error)
  }
}

function orClose (work) {
  try {
    return work()
  } catch (error) {
    return [close(reasonOf(error))]
  }
}

function orNull (work) {
  try {
    return work()
  } catch {
    return null
  }
}

/** The text that was meant for people, or all there is to find a mistake by. */
function reasonOf (error) {
  if (error instanceof Rejected || error instanceof Fatal) return error.message.toWellFormed()
  const place = error?.stack ? String(error.stack).trim().split('\n')[0].trim() : ''
  return `${error} ${place}`.trim().toWellFormed()
}

// === what is handed over ===

function bytes (what, value) {
  if (value instanceof Uint8Array) return value
  throw new TypeError(`${what} is not a Uint8Array but ${value === null ? 'null' : typeof value}`)
}

function packetOf (what, value) {
  return value === null ? null : bytes(what, value)
}
