// The API for codecs in JavaScript. The author writes a class whose instances are the sessions of
// clients. `define` makes the interfaces of the contract (`codec.wit`) from this class:
//
//   import { define, notice } from './wireplug.js'
//
//   class Session {
//     constructor (peer, now) {}
//     decode (packet, now) { return [notice('chat.say', packet)] }
//     encode ({ role, id, route, body, status }, now) { return body }
//   }
//   export const { codec } = define({ description, Session })
//
// The SDK guarantees:
// - A codec refuses on purpose by throwing `Rejected` or `Fatal`. Any other exception is a mistake
//   of the codec. It ends the connection with a reason that begins with `bug: ` and gives the text
//   and the place of the exception.
// - The SDK checks every value that a method returns before the engine converts the value. The
//   error names the method.
// - The build runs this module once. It fails if the description is wrong, or if the class lacks a
//   method of an exported interface.
// - `broadcastClass` cannot report a mistake to the runtime. The session then shares no packets,
//   and its next call reports the mistake.
//
// The sandbox limits a codec:
// - Recursion: the stack of the sandbox is smaller than the engine's limit, so deep recursion
//   traps. JSON.parse and JSON.stringify recurse too. About 100 levels are safe: limit the depth of
//   bodies.
// - Time: Date.now(), new Date() and performance.now() trap. Use the argument `now`.
// - Random numbers: Math.random() gives the same numbers in every session. Use `peer.randomSeed`.

import { decodeUtf8, encodeUtf8 } from './text.js'

export { decodeUtf8, encodeUtf8 }

/**
 * Thrown by `decode` and `encode`: the runtime drops and counts this packet or message, and the
 * connection stays open. In other methods it has the same effect as `Fatal`.
 */
export class Rejected extends Error {
  name = 'Rejected'
}

/**
 * Thrown to refuse, for a reason. In `decode`, `encode`, `answer`, `tick` and `farewell` it ends
 * the connection. In `configure`, the constructor, `encodeShared`, `save` and `restore` it is the
 * error of the call. In `broadcastClass` it has the same effect as null.
 */
export class Fatal extends Error {
  name = 'Fatal'
}

// === events ===

/** One event. Only the functions below make events, so an event is always valid. */
class Event {
  constructor (tag, val) {
    this.tag = tag
    this.val = val
  }
}

/**
 * A message that expects no response.
 * @param {string} route
 * @param {Uint8Array} body  JSON if the description says `json`.
 */
export function notice (route, body) {
  return message('notice', 0, route, body, 200)
}

/**
 * A message that expects one response with the same id.
 * @param {number} id  An integer from 0 to 2^53 - 1. `encode` gets it back in the response.
 * @param {string} route
 * @param {Uint8Array} body  JSON if the description says `json`.
 */
export function request (id, route, body) {
  return message('request', id, route, body, 200)
}

/**
 * The client's response to a request of the application. Needs `clientRequests` in the description.
 * @param {number} id  The id that `encode` got with the request.
 * @param {number} status  100 to 599.
 * @param {Uint8Array} body  JSON if the description says `json`.
 */
export function response (id, status, body) {
  if (!isInteger(status, 100, 599)) throw wrong('response: the status is', status, 'an integer from 100 to 599')
  return message('response', id, '', body, status)
}

/**
 * The client has introduced itself with this body. The runtime calls `answer` next, so this event
 * is the last one of a list.
 */
export function hello (body) {
  return new Event('hello', bytes('hello', 'body', body))
}

/** The handshake is complete. */
export function established () {
  return new Event('established')
}

/** A packet to send back at once. */
export function reply (packet) {
  return new Event('reply', bytes('reply', 'packet', packet))
}

/**
 * Starts the timer, and replaces the timer before it. The runtime calls `tick` when it fires.
 * @param {number} ms  Milliseconds, rounded up, and moved into the range from 1 to 2^32 - 1.
 */
export function timer (ms) {
  if (typeof ms !== 'number' || Number.isNaN(ms)) throw wrong('timer: the milliseconds are', ms, 'a number')
  return new Event('timer', asU32(Math.min(Math.max(Math.ceil(ms), 1), MAX_U32)))
}

/** The client has shown that it receives what is sent to its address. */
export function addressVerified () {
  return new Event('address-verified')
}

/**
 * A line for the log of the server.
 * @param {'debug' | 'info' | 'warn' | 'error'} level
 * @param {string} text
 */
export function log (level, text) {
  if (!LEVELS.includes(level)) throw wrong('log: the level is', level, `one of ${LEVELS.join(', ')}`)
  return new Event('log', { level, text: wellFormed('log', 'text', text) })
}

/**
 * Ends the connection.
 * @param {string} reason
 * @param {number} [code]  A WebSocket close code: 1000 to 1003, 1007 to 1014 or 3000 to 4999. With
 *   0 the runtime chooses one.
 */
export function close (reason, code = 0) {
  if (!isCloseCode(code)) throw wrong('close: the code is', code, '0, 1000 to 1003, 1007 to 1014 or 3000 to 4999')
  return new Event('close', { code, reason: wellFormed('close', 'reason', reason) })
}

const LEVELS = ['debug', 'info', 'warn', 'error']

function message (role, id, route, body, status) {
  if (!isId(id)) throw wrong(`${role}: the id is`, id, 'an integer from 0 to 2^53 - 1')
  const isRoute = typeof route === 'string' && route.isWellFormed()
  if (!isRoute) throw wrong(`${role}: the route is`, route, 'a well-formed string')
  return new Event('message', { role, id, route, body: bytes(role, 'body', body), status })
}

function isCloseCode (code) {
  return code === 0 || isInteger(code, 1000, 1003) || isInteger(code, 1007, 1014) || isInteger(code, 3000, 4999)
}

// === interfaces ===

/**
 * Makes the interfaces of `codec.wit` from a class. `codec.js` exports those that `wit/world.wit`
 * names: `export const { codec, clock } = define({ description, Session })`.
 *
 * Names are those of `codec.wit`, in camelCase. So `now` is `{ sessionMs, unixMs }`, and a peer is
 * `{ carrier, transport, address, dialed, maxPacket, randomSeed, attributes }`. `attributes` is a
 * Map from names to values: `peer.attributes.get('path')`.
 *
 * @param {object} parts
 * @param {object} parts.description  `{ name, version, framing, messages, payload, json, handshake,
 *   clientRequests, maxPacket }`. A framing has a tag and a value, for example
 *   `{ tag: 'length', val: { offset: 0, width: 4, littleEndian: false, adjust: 0 } }`.
 *   `name` and `version` are required. The others are by default null, 'none', 'binary', or false.
 *   `coalesces` is false, because it needs `batch`.
 * @param {(options: object, routes: string[]) => void} [parts.configure]  Takes the options of the
 *   codec and the routes of the application. An exception is shown to the person who wrote the
 *   options. Without this function every option is an error.
 * @param {new (peer: object, now: object) => object} parts.Session  The class of sessions:
 *   - The constructor opens a session. An exception refuses the client.
 *   - `decode(packet, now)` returns a list of events.
 *   - `encode({ role, id, route, body, status }, now)` returns a Uint8Array, a list of them, or
 *     nothing if the message has no form in the protocol. The role is 'notice', 'request' or
 *     'response'. The id is 0 in a notice. The SDK rejects messages with an id above 2^53 - 1.
 *   - `answer(status, body, now)` and `tick(now)` return a list of events.
 *   - `farewell(cause, reason, now)` returns a list of the events `reply`, `log` and `close`. The
 *     cause is 'kicked', 'displaced', 'replaced' or 'shutdown'.
 *   - `broadcastClass()` returns an integer from 0 to 2^32 - 1, or null.
 *   - `static encodeShared(broadcastClass, message)` returns what `encode` would.
 *   - `save()` returns a Uint8Array, from which `static restore(peer, state, now)` makes a session.
 * @returns {object} The interfaces: `codec`, `handshake`, `clock`, `farewell`, `broadcast` and
 *   `handoff`. `batch` is not offered: a batch of 256 packets takes an interpreter 2 ms or more,
 *   which is a slow call.
 * @throws {TypeError} if a part is wrong, or if the class lacks a method of an interface that
 *   `codec.js` exports.
 */
export function define ({ description, configure = noOptions, Session }) {
  const described = check(description)
  if (typeof configure !== 'function') throw wrong('define: configure is', configure, 'a function')
  if (typeof Session !== 'function') throw wrong('define: Session is', Session, 'a class')
  requireMethod('codec', Session.prototype, 'decode')
  requireMethod('codec', Session.prototype, 'encode')

  /** The resource of the contract, around the author's session. */
  class Resource {
    constructor (session) {
      this.session = session
    }

    static open (peer, now) {
      return orReason(() => new Resource(new Session(prepared(peer), now)))
    }

    // `decode` and `encode` run for every packet. So they catch exceptions themselves: `orReason`
    // would need a new function for each call.
    decode (packet, now) {
      try {
        return eventsOf('decode', this.session.decode(packet, now))
      } catch (error) {
        throw faultOf(error)
      }
    }

    encode (message, now) {
      try {
        // The engine gives ids above 2^63 - 1 as negative numbers.
        if (message.id < 0 || message.id > Number.MAX_SAFE_INTEGER) throw new Rejected('the id is above 2^53 - 1')
        return packetsOf('encode', this.session.encode(message, now))
      } catch (error) {
        throw faultOf(error)
      }
    }
  }

  return {
    codec: {
      describe: () => described,
      configure: options => orReason(() => {
        const { routes, ...own } = JSON.parse(options)
        const returned = configure(own, routes)
        if (returned instanceof Promise) throw wrong('configure returned', returned, 'undefined')
      }),
      Session: Resource
    },
    get batch () {
      throw new TypeError('batch is not offered to JavaScript: take it out of wit/world.wit and out of the exports')
    },
    get handshake () {
      requireMethod('handshake', Session.prototype, 'answer')
      return {
        answer: ({ session }, status, body, now) => orClose(() => eventsOf('answer', session.answer(status, body, now)))
      }
    },
    get clock () {
      requireMethod('clock', Session.prototype, 'tick')
      return { tick: ({ session }, now) => orClose(() => eventsOf('tick', session.tick(now))) }
    },
    get farewell () {
      requireMethod('farewell', Session.prototype, 'farewell')
      return {
        farewell: ({ session }, cause, reason, now) => orClose(() => {
          return eventsOf('farewell', session.farewell(cause, reason, now))
        })
      }
    },
    get broadcast () {
      requireMethod('broadcast', Session.prototype, 'broadcastClass')
      requireMethod('broadcast', Session, 'encodeShared')
      return {
        broadcastClass: resource => {
          try {
            return classOf(resource.session.broadcastClass())
          } catch (error) {
            if (!isIntended(error)) resource.session = broken(error)
            return null
          }
        },
        encodeShared: (broadcastClass, message) => orReason(() => {
          return packetsOf('encodeShared', Session.encodeShared(broadcastClass >>> 0, message))
        })
      }
    },
    get handoff () {
      requireMethod('handoff', Session.prototype, 'save')
      requireMethod('handoff', Session, 'restore')
      return {
        save: ({ session }) => orReason(() => bytes('save', 'state', session.save())),
        restore: (peer, state, now) => orReason(() => {
          const session = Session.restore(prepared(peer), state, now)
          if (!(session instanceof Session)) throw wrong('restore returned', session, 'a session')
          return new Resource(session)
        })
      }
    }
  }
}

/** Converts the peer from the engine's form into the author's. */
function prepared (peer) {
  peer.maxPacket >>>= 0
  peer.attributes = new Map(peer.attributes)
  return peer
}

/** A session that throws this mistake from every method. */
function broken (mistake) {
  return new Proxy({}, { get () { throw mistake } })
}

function requireMethod (what, owner, name) {
  if (typeof owner[name] === 'function') return
  const place = typeof owner === 'function' ? 'static ' : ''
  throw new TypeError(`${what} needs the method \`${place}${name}\` of the Session, which is missing`)
}

function noOptions (options) {
  const [unknown] = Object.keys(options)
  if (unknown !== undefined) throw new Fatal(`unknown option \`${unknown}\`: this codec has none`)
}

// === the description ===

const DEFAULTS = {
  framing: null,
  messages: 'none',
  payload: 'binary',
  json: false,
  handshake: false,
  clientRequests: false,
  maxPacket: null
}

const MESSAGE_FRAMINGS = ['none', 'one', 'framed', 'continuous']
const PAYLOADS = ['binary', 'text', 'tagged']

/** For each tag of a framing: which `val` it accepts. */
const FRAMINGS = {
  delimiter: {
    accepts: val => val instanceof Uint8Array && isInteger(val.length, 1, 16),
    form: 'a Uint8Array of 1 to 16 bytes'
  },
  length: {
    accepts: val => isInteger(val?.offset, 0, 255) && isInteger(val.width, 1, 4) &&
      typeof val.littleEndian === 'boolean' && isInteger(val.adjust, -(2 ** 31), 2 ** 31 - 1),
    form: '{ offset, width, littleEndian, adjust } with a width of 1 to 4'
  },
  varint: { accepts: val => isInteger(val, 0, 255), form: 'an integer of 0 to 255' }
}

/** Checks the author's description. Returns the whole description, as the engine takes it. */
function check (description) {
  const whole = { ...DEFAULTS, ...description }
  const { name, version, framing, messages, payload, maxPacket, ...flags } = whole
  expect(isText(name, 64) && name !== '', 'name is', name, 'a text of 1 to 64 bytes')
  expect(isText(version, 64), 'version is', version, 'a text of at most 64 bytes')
  if (framing !== null) checkFraming(framing)
  expect(MESSAGE_FRAMINGS.includes(messages), 'messages is', messages, `one of ${MESSAGE_FRAMINGS.join(', ')}`)
  expect(framing !== null || messages === 'one', 'without framing, messages is', messages, "'one'")
  expect(PAYLOADS.includes(payload), 'payload is', payload, `one of ${PAYLOADS.join(', ')}`)
  expect(payload !== 'tagged' || messages === 'one', "with payload 'tagged', messages is", messages, "'one'")
  if (maxPacket !== null) {
    expect(isInteger(maxPacket, 1, MAX_U32), 'maxPacket is', maxPacket, 'an integer from 1 to 2^32 - 1, or null')
    whole.maxPacket = asU32(maxPacket)
  }
  for (const [flag, value] of Object.entries(flags)) {
    if (!Object.hasOwn(DEFAULTS, flag)) throw new TypeError(`description: there is no \`${flag}\``)
    expect(typeof value === 'boolean', `${flag} is`, value, 'true or false')
  }
  return { ...whole, coalesces: false }
}

function checkFraming (framing) {
  const known = Object.hasOwn(FRAMINGS, framing?.tag) ? FRAMINGS[framing.tag] : null
  expect(known !== null, 'framing is', framing, `{ tag, val } with a tag of ${Object.keys(FRAMINGS).join(', ')}`)
  expect(known.accepts(framing.val), `the val of the framing '${framing.tag}' is`, framing.val, known.form)
}

function expect (holds, what, value, wanted) {
  if (!holds) throw wrong(`description: ${what}`, value, wanted)
}

// === exceptions ===

/** Converts an exception into a `fault` of the contract. */
function faultOf (error) {
  return { tag: error instanceof Rejected ? 'rejected' : 'fatal', val: reasonOf(error) }
}

/** Does the work. An exception becomes the error of the call. */
function orReason (work) {
  try {
    return work()
  } catch (error) {
    throw reasonOf(error)
  }
}

/** Does the work. An exception becomes the event `close`. */
function orClose (work) {
  try {
    return work()
  } catch (error) {
    return [close(reasonOf(error))]
  }
}

/** Reports whether the codec refused on purpose. Any other exception is a mistake. */
function isIntended (error) {
  return error instanceof Rejected || error instanceof Fatal
}

/** Returns the reason of a refusal, or the text and the place of a mistake after `bug: `. */
function reasonOf (error) {
  if (isIntended(error)) return error.message.toWellFormed()
  if (!(error instanceof Error)) return `bug: ${shown(error)} was thrown`.toWellFormed()
  const [place] = String(error.stack).trim().split('\n')
  return `bug: ${error} ${place.trim()}`.trim().toWellFormed()
}

// === values that the engine converts ===

const MAX_U32 = 0xffffffff
const NO_PACKETS = []

function bytes (source, noun, value) {
  if (value instanceof Uint8Array) return value
  throw wrong(`${source}: the ${noun} is`, value, 'a Uint8Array')
}

function wellFormed (source, noun, value) {
  if (typeof value === 'string') return value.toWellFormed()
  throw wrong(`${source}: the ${noun} is`, value, 'a string')
}

function packetsOf (method, value) {
  if (value instanceof Uint8Array) return [value]
  if (value === null || value === undefined) return NO_PACKETS
  if (!Array.isArray(value)) throw wrong(`${method} returned`, value, 'a Uint8Array, a list of them, or nothing')
  for (let i = 0; i < value.length; i += 1) {
    if (!(value[i] instanceof Uint8Array)) throw wrong(`${method} returned a list with`, value[i], 'only Uint8Arrays')
  }
  return value
}

function eventsOf (method, value) {
  if (!Array.isArray(value)) throw wrong(`${method} returned`, value, 'a list of events')
  for (let i = 0; i < value.length; i += 1) {
    if (!(value[i] instanceof Event)) throw wrong(`${method} returned a list with`, value[i], 'only events')
  }
  return value
}

function classOf (value) {
  if (value === null) return null
  if (isInteger(value, 0, MAX_U32)) return asU32(value)
  throw wrong('broadcastClass returned', value, 'an integer from 0 to 2^32 - 1, or null')
}

/** Returns a u32 as the signed number that the engine needs. It changes larger numbers. */
function asU32 (value) {
  return value | 0
}

/** Reports whether a number is an id that the engine holds exactly. */
function isId (value) {
  return Number.isSafeInteger(value) && value >= 0
}

function isInteger (value, least, most) {
  return Number.isInteger(value) && value >= least && value <= most
}

function isText (value, most) {
  return typeof value === 'string' && value.isWellFormed() && encodeUtf8(value).length <= most
}

/** Returns the error for a value. `what` ends with a verb. */
function wrong (what, value, wanted) {
  return new TypeError(`${what} ${shown(value)}, not ${wanted}`)
}

/** Describes a value in a few words. */
function shown (value) {
  if (typeof value === 'object' && value !== null) return `an object (${value.constructor?.name ?? 'of no class'})`
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'bigint') return `the BigInt ${value}n`
  return typeof value === 'string' ? `the string ${JSON.stringify(value.slice(0, 32))}` : String(value)
}
