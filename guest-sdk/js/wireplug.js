// What a codec in JavaScript is written against: a class for the session, exceptions for what is wrong.
//
// Between the contract (`codec.wit`) and the author's class it guarantees:
// - An exception that is neither Rejected nor Fatal is the codec's mistake: it ends the connection with a reason that begins with `bug: `, and
//   has its text and place.
// - What the class hands over is looked at before the engine converts it. What cannot be is a mistake too, and told by the method's name.
// - A description that cannot be, and an interface that the class lacks a method for, fail the build: there this module runs first.
// - The contract takes no reason from `shareClass` and `farewell`. A mistake in the first makes a session that never shares, and is told by whatever
//   the session is asked next. Behind `farewell` nothing is asked: there a mistake is a trap, which `wireplug codec check` finds,
//   and the connection ends as it would have, without a last packet.
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

/** Thrown by `decode` and `encode`: this packet or message is dropped and counted, and the connection lives. Elsewhere it is as Fatal. */
export class Rejected extends Error {
  name = 'Rejected'
}

/**
 * Thrown by `decode`, `encode`, `answer` and `tick`: the connection ends, for this reason. By `configure`, the constructor, `encodeShared`, `save` and
 * `restore`: the answer is no, for this reason. By `shareClass` and `farewell`: null.
 */
export class Fatal extends Error {
  name = 'Fatal'
}

// === events: what decode, answer and tick return a list of ===

/** One event, which only the functions below make: so it is sound. */
class Event {
  constructor (tag, val) {
    this.tag = tag
    this.val = val
  }
}

/**
 * A message for the application.
 * @param {{ id?: number | null, route: string, body: Uint8Array }} message
 *   `id`: the request's number, a safe integer, or null for a notification. `body`: JSON where the description says `json`.
 */
export function message ({ id = null, route, body }) {
  if (id !== null && !isId(id)) throw new TypeError(`message: id is ${shown(id)}, not an integer of 0 to 2^53 - 1, or null`)
  if (typeof route !== 'string' || !route.isWellFormed()) throw new TypeError(`message: route is ${shown(route)}, not a well-formed string`)
  return new Event('message', { id, route, body: bytes('message: body is', body), status: 200 })
}

/** The client has introduced itself; `answer` is called with the application's word on that. */
export const hello = body => new Event('hello', bytes('hello: the body is', body))

/** The handshake is over. */
export const established = () => new Event('established')

/** A packet to send straight back. */
export const reply = packet => new Event('reply', bytes('reply: the packet is', packet))

/** `tick` is to be called after so many milliseconds, 1 to 2^32 - 1; what is outside becomes the nearest of these. */
export function wake (ms) {
  if (typeof ms !== 'number' || Number.isNaN(ms)) throw new TypeError(`wake: the milliseconds are ${shown(ms)}, not a number`)
  return new Event('wake', asU32(Math.min(Math.max(Math.ceil(ms), 1), MAX_U32)))
}

/** The end of the connection, for this reason. */
export function close (reason) {
  if (typeof reason !== 'string') throw new TypeError(`close: the reason is ${shown(reason)}, not a string`)
  return new Event('close', reason.toWellFormed())
}

// === the interfaces ===

/**
 * The interfaces of `codec.wit` over a class. `codec.js` exports those that `wit/world.wit` names:
 * `export const { codec, clock } = define({ description, Session })`.
 *
 * @param {object} parts
 * @param {object} parts.description  As in `codec.wit`, in camelCase: `{ name, version, framing: { tag: 'length', val: { offset, width,
 *   littleEndian, adjust } }, message: 'one', text, json, handshake, merges }`. What is left out is none, `refused` or false.
 * @param {(options: object) => void} [parts.configure]  Takes the options, a parsed JSON object, without the `routes` that the runtime
 *   adds, which come second. An exception is shown to the person who wrote the options. Without it every option is an error.
 * @param {new (peer: object, nowMs: number) => object} parts.Session  Its constructor is `open`, and refuses a client by an exception.
 *   - `decode(packet, nowMs)` returns a list of events.
 *   - `encode({ id, route, body, status }, nowMs)` returns a Uint8Array, or null where the message has no form on the wire. The id is null
 *     or a safe integer: a message with a larger one is rejected before.
 *   - `answer(status, body, nowMs)` and `tick(nowMs)` return a list of events.
 *   - `farewell(reason, nowMs)` returns a Uint8Array or null.
 *   - `shareClass()` returns an integer of 0 to 2^32 - 1 or null, and `static encodeShared(class, message)` what `encode` would.
 *   - `save()` returns a Uint8Array, from which `static restore(peer, state, nowMs)` makes a session.
 * @returns the interfaces: `codec`, and `handshake`, `clock`, `farewell`, `broadcast` and `handoff` for taking, each where the class has
 *   its methods. `batch` is not among them: an interpreter gains nothing by it.
 * @throws {TypeError} at build: what is wrong with the parts.
 */
export function define ({ description, configure = noOptions, Session }) {
  const described = check(description)
  if (typeof configure !== 'function') throw new TypeError(`define: configure is ${shown(configure)}, not a function`)
  if (typeof Session !== 'function') throw new TypeError(`define: Session is ${shown(Session)}, not a class`)
  method('codec', Session.prototype, 'decode')
  method('codec', Session.prototype, 'encode')

  class Handle {
    #session
    /** What `shareClass` threw, until somebody can be told. */
    #mistake = null

    constructor (session) {
      this.#session = session
    }

    static open (peer, nowMs) {
      return orReason(() => new Handle(new Session(peer, nowMs)))
    }

    /** The author's session, or the mistake that was made in it. */
    get session () {
      if (this.#mistake !== null) throw this.#mistake
      return this.#session
    }

    decode (packet, nowMs) {
      return orFault(() => eventsOf('decode', this.session.decode(packet, nowMs)))
    }

    encode (message, nowMs) {
      return orFault(() => {
        if (message.id !== null && !isId(message.id)) throw new Rejected('the id is above 2^53 - 1')
        return packetOf('encode', this.session.encode(message, nowMs))
      })
    }

    shareClass () {
      try {
        return orNull(() => classOf(this.session.shareClass()))
      } catch (mistake) {
        this.#mistake = mistake
        return null
      }
    }
  }

  return {
    codec: {
      describe: () => described,
      configure: options => orReason(() => {
        const { routes, ...own } = JSON.parse(options)
        if (configure(own, routes) instanceof Promise) throw new TypeError('configure returned a Promise, and nothing waits for it')
      }),
      Session: Handle
    },
    get batch () {
      throw new TypeError('batch is not offered to JavaScript: take it out of wit/world.wit, and of the exports')
    },
    get handshake () {
      method('handshake', Session.prototype, 'answer')
      return { answer: (handle, status, body, nowMs) => orClose(() => eventsOf('answer', handle.session.answer(status, body, nowMs))) }
    },
    get clock () {
      method('clock', Session.prototype, 'tick')
      return { tick: (handle, nowMs) => orClose(() => eventsOf('tick', handle.session.tick(nowMs))) }
    },
    get farewell () {
      method('farewell', Session.prototype, 'farewell')
      return { farewell: (handle, reason, nowMs) => orNull(() => packetOf('farewell', handle.session.farewell(reason, nowMs))) }
    },
    get broadcast () {
      method('broadcast', Session.prototype, 'shareClass')
      method('broadcast', Session, 'encodeShared')
      return {
        shareClass: handle => handle.shareClass(),
        encodeShared: (shareClass, message) => orReason(() => packetOf('encodeShared', Session.encodeShared(shareClass >>> 0, message)))
      }
    },
    get handoff () {
      method('handoff', Session.prototype, 'save')
      method('handoff', Session, 'restore')
      return {
        save: handle => orReason(() => bytes('save returned', handle.session.save())),
        restore: (peer, state, nowMs) => orReason(() => {
          const session = Session.restore(peer, state, nowMs)
          if (!(session instanceof Session)) throw new TypeError(`restore returned ${shown(session)}, not a session`)
          return new Handle(session)
        })
      }
    }
  }
}

const MESSAGE_UNITS = ['refused', 'one', 'framed', 'bytes']

/** What the `val` of a framing is, by its tag. */
const FRAMINGS = {
  delimiter: {
    is: val => val instanceof Uint8Array && isInteger(val.length, 1, 16),
    says: 'a Uint8Array of 1 to 16 bytes'
  },
  length: {
    is: val => isInteger(val?.offset, 0, 255) && isInteger(val.width, 1, 4) && typeof val.littleEndian === 'boolean' &&
      isInteger(val.adjust, -(2 ** 31), 2 ** 31 - 1),
    says: '{ offset, width, littleEndian, adjust } with a width of 1 to 4'
  },
  varint: { is: val => isInteger(val, 0, 255), says: 'an integer of 0 to 255' }
}

/** The whole description. */
function check (description) {
  const whole = { framing: null, message: 'refused', text: false, json: false, handshake: false, merges: false, ...description }
  const { name, version, framing, message, ...traits } = whole
  const wrong = what => { throw new TypeError(`description: ${what}`) }
  if (!isText(name, 64) || name === '') wrong(`name is ${shown(name)}, not a text of 1 to 64 bytes`)
  if (!isText(version, 64)) wrong(`version is ${shown(version)}, not a text of at most 64 bytes`)
  if (framing !== null) {
    const known = Object.hasOwn(FRAMINGS, framing?.tag) ? FRAMINGS[framing.tag] : null
    if (known === null) wrong(`framing is not { tag, val } with a tag of ${Object.keys(FRAMINGS).join(', ')}`)
    if (!known.is(framing.val)) wrong(`the val of the framing '${framing.tag}' is not ${known.says}`)
  }
  if (framing === null && message !== 'one') wrong('without framing, message is \'one\'')
  if (!MESSAGE_UNITS.includes(message)) wrong(`message is ${shown(message)}, not one of ${MESSAGE_UNITS.join(', ')}`)
  for (const [trait, value] of Object.entries(traits)) {
    if (!['text', 'json', 'handshake', 'merges'].includes(trait)) wrong(`there is no \`${trait}\``)
    if (typeof value !== 'boolean') wrong(`${trait} is ${shown(value)}, not true or false`)
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

/** Where there is no place for a reason: a mistake is thrown on. */
function orNull (work) {
  try {
    return work()
  } catch (error) {
    if (isMeant(error)) return null
    throw error
  }
}

/** Whether the author meant it: else it is a mistake. */
function isMeant (error) {
  return error instanceof Rejected || error instanceof Fatal
}

/** The text that was meant for people, or all there is to find a mistake by, which `wireplug codec check` takes for one. */
function reasonOf (error) {
  if (isMeant(error)) return error.message.toWellFormed()
  if (!(error instanceof Error)) return `bug: ${shown(error)} was thrown`.toWellFormed()
  const [place] = String(error.stack).trim().split('\n')
  return `bug: ${error} ${place.trim()}`.trim().toWellFormed()
}

// === what is handed over ===

const MAX_U32 = 0xffffffff

function bytes (what, value) {
  if (value instanceof Uint8Array) return value
  throw new TypeError(`${what} ${shown(value)}, not a Uint8Array`)
}

function packetOf (method, value) {
  if (value === null || value instanceof Uint8Array) return value
  throw new TypeError(`${method} returned ${shown(value)}, not a Uint8Array or null`)
}

function eventsOf (method, value) {
  if (!Array.isArray(value)) throw new TypeError(`${method} returned ${shown(value)}, not a list of events`)
  for (const event of value) {
    if (event instanceof Event) continue
    throw new TypeError(`${method} returned a list with ${shown(event)} in it, not only what message, reply and the other events make`)
  }
  return value
}

function classOf (value) {
  if (value === null) return null
  if (isInteger(value, 0, MAX_U32)) return asU32(value)
  throw new TypeError(`shareClass returned ${shown(value)}, not an integer of 0 to 2^32 - 1, or null`)
}

/** A number as the engine takes it for a u32, and gives one: as 32 bits with a sign. What is above 2^31 - 1 it would cut off. */
function asU32 (value) {
  return value | 0
}

/** A number as the contract has it for ids, and the engine can hold it. */
function isId (value) {
  return isInteger(value, 0, Number.MAX_SAFE_INTEGER)
}

function isInteger (value, least, most) {
  return Number.isInteger(value) && value >= least && value <= most
}

function isText (value, most) {
  return typeof value === 'string' && value.isWellFormed() && encodeUtf8(value).length <= most
}

/** What a value is, in a few words. */
function shown (value) {
  if (typeof value === 'object' && value !== null) return `an object (${value.constructor?.name ?? 'of no class'})`
  if (typeof value === 'function') return 'a function'
  return typeof value === 'string' ? `the string ${JSON.stringify(value.slice(0, 32))}` : String(value)
}
