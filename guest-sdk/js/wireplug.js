// What a codec in JavaScript is written against: a class for the session, exceptions for what is wrong.
//
// Between the contract (`codec.wit`) and the author's class it guarantees:
// - No exception becomes a trap. One that is neither Rejected nor Fatal is the codec's mistake: it ends the connection, and the
//   log has its text and place.
// - What the class hands over is looked at before the engine converts it, so that a mistake is told by its name.
// - A description that cannot be, and an interface that the class lacks a method for, fail the build: there this module runs first.
// What it cannot help:
// - Recursion. The sandbox's stack ends before the engine's own limit, and that is a trap. JSON.parse and JSON.stringify recurse
//   too, so bound the depth of what a client or the application sends; some 100 levels are safe.
// - Time. Date.now(), new Date() and performance.now() are a trap: the time is `nowMs`.
// - Chance. Math.random() gives each session the same numbers: 32 random bytes are in `peer.entropy`.
//
//   import { define, message } from './wireplug.js'
//
//   class Session {
//     constructor (peer, nowMs) {}
//     decode (packet, nowMs) { return [message({ id: null, route: 'chat.say', body: packet })] }
//     encode ({ id, route, body, status }, nowMs) { return body }
//   }
//   export const { codec } = define({ description, Session })
//
// What else a session may have is named at `define`. Each interface must stand in `wit/world.wit` too.

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
 * @returns the interfaces: `codec`, and `handshake`, `clock`, `farewell`, `broadcast` and `handoff` for taking, each where the class has
 *   its methods. Export those that `wit/world.wit` names.
 * @throws {TypeError} at build: what is wrong with the parts.
 */
export function define ({ description, configure = noOptions, Session }) {
  const described = check(description)
  method('codec', Session.prototype, 'decode')
  method('codec', Session.prototype, 'encode')

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
      describe: () => described,
      configure: options => orReason(() => {
        const { routes, ...own } = JSON.parse(options)
        configure(own, routes)
      }),
      Session: Handle
    },
    get handshake () {
      method('handshake', Session.prototype, 'answer')
      return { answer: ({ session }, status, body, nowMs) => orClose(() => session.answer(status, body, nowMs)) }
    },
    get clock () {
      method('clock', Session.prototype, 'tick')
      return { tick: ({ session }, nowMs) => orClose(() => session.tick(nowMs)) }
    },
    get farewell () {
      method('farewell', Session.prototype, 'farewell')
      return { farewell: ({ session }, reason, nowMs) => orNull(() => packetOf('farewell', session.farewell(reason, nowMs))) }
    },
    get broadcast () {
      method('broadcast', Session.prototype, 'shareClass')
      method('broadcast', Session, 'encodeShared')
      return {
        shareClass: ({ session }) => orNull(() => session.shareClass()),
        encodeShared: (shareClass, message) => orReason(() => packetOf('encodeShared', Session.encodeShared(shareClass, message)))
      }
    },
    get handoff () {
      method('handoff', Session.prototype, 'save')
      method('handoff', Session, 'restore')
      return {
        save: ({ session }) => orReason(() => bytes('save', session.save())),
        restore: (peer, state, nowMs) => orReason(() => new Handle(Session.restore(peer, state, nowMs)))
      }
    }
  }
}

const MESSAGE_UNITS = ['refused', 'one', 'framed', 'bytes']
const FRAMINGS = ['delimiter', 'length', 'varint']

/** The whole description. */
function check (description) {
  const whole = { framing: null, message: 'refused', text: false, json: false, handshake: false, merges: false, ...description }
  const { name, version, framing, message, ...traits } = whole
  const wrong = what => { throw new TypeError(`description: ${what}`) }
  if (typeof name !== 'string' || name === '') wrong('name is not a text of 1 to 64 bytes')
  if (typeof version !== 'string') wrong('version is not a text of at most 64 bytes')
  if (framing !== null && !FRAMINGS.includes(framing.tag)) wrong(`framing is not { tag, val } with a tag of ${FRAMINGS.join(', ')}`)
  if (framing === null && message !== 'one') wrong('without framing, message is \'one\'')
  if (!MESSAGE_UNITS.includes(message)) wrong(`message is '${message}', not one of ${MESSAGE_UNITS.join(', ')}`)
  for (const [trait, value] of Object.entries(traits)) {
    if (!['text', 'json', 'handshake', 'merges'].includes(trait)) wrong(`there is no \`${trait}\``)
    if (typeof value !== 'boolean') wrong(`${trait} is not true or false`)
  }
  return whole
}

function method (what, owner, name) {
  if (typeof owner[name] === 'function') return
  const place = typeof owner === 'function' ? 'static ' : ''
  throw new TypeError(`${what} wants a method \`${place}${name}\` of the Session, and there is none`)
}

function noOptions (options) {
  const [unknown] = Object.keys(options)
  if (unknown !== undefined) throw new Fatal(`unknown option \`${unknown}\`: this codec has none`)
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

/** The text that was meant for people, or all there is to find a mistake by, which `wireplug codec check` takes for one. */
function reasonOf (error) {
  if (error instanceof Rejected || error instanceof Fatal) return error.message.toWellFormed()
  const place = error?.stack ? String(error.stack).trim().split('\n')[0].trim() : ''
  return `bug: ${error} ${place}`.trim().toWellFormed()
}

// === what is handed over ===

function bytes (what, value) {
  if (value instanceof Uint8Array) return value
  throw new TypeError(`${what} is not a Uint8Array but ${value === null ? 'null' : typeof value}`)
}

function packetOf (what, value) {
  return value === null ? null : bytes(what, value)
}
