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

import { described } from './description.js'
import { eventsOf } from './events.js'
import { Fatal, faultOf, isIntended, orClose, orReason, Rejected } from './faults.js'
import { decodeStream } from './stream.js'
import { bytes, classOf, packetsOf, wrong } from './values.js'

export * as cut from './cut.js'
export {
  addressVerified, close, established, hello, log, notice, reply, request, response, timer
} from './events.js'
export { Fatal, Rejected } from './faults.js'
export { Ids } from './ids.js'
export { decodeUtf8, encodeUtf8 } from './text.js'

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
 *   - `cut(bytes)` returns the length of the packet at the front of the stream, with its framing:
 *     `{ packet: length }`. `{ need: length }` asks for more bytes: this many in all. 'start-tls'
 *     says that TLS begins here, behind a packet. An exception ends the connection. `bytes` may be
 *     empty. `cut` must not change the session, but it may remember how far it has looked. The
 *     helpers `cut.line`, `cut.digits` and others are in `cut.js`. With this method the description
 *     has no framing, `decode` gets packets with their framing, and `encode` returns them so.
 *   - `answer(status, body, now)`, `secured(attributes, now)`, `abandoned(id, now)` and `tick(now)`
 *     return a list of events. `attributes` is a Map. `abandoned` needs `clientRequests`.
 *   - `farewell(cause, reason, now)` returns a list of the events `reply`, `log` and `close`. The
 *     cause is 'kicked', 'displaced', 'replaced' or 'shutdown'.
 *   - `broadcastClass()` returns an integer from 0 to 2^32 - 1, or null.
 *   - `static encodeShared(broadcastClass, message)` returns what `encode` would.
 *   - `save()` returns a Uint8Array, from which `static restore(peer, state, now)` makes a session.
 * @returns {object} The interfaces: `codec`, `framer`, `tlsUpgrade`, `handshake`, `requests`,
 *   `clock`, `farewell`, `broadcast` and `handoff`. `batch` is not offered: a batch of 256 packets
 *   takes an interpreter 2 ms or more, which is a slow call. A call of `framer` decodes at most 16
 *   packets.
 * @throws {TypeError} if a part is wrong, or if the class lacks a method of an interface that
 *   `codec.js` exports.
 */
export function define ({ description, configure = noOptions, Session }) {
  if (typeof configure !== 'function') throw wrong('define: configure is', configure, 'a function')
  if (typeof Session !== 'function') throw wrong('define: Session is', Session, 'a class')
  const whole = described(description, typeof Session.prototype.cut === 'function')
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
      describe: () => whole,
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
    get framer () {
      requireMethod('framer', Session.prototype, 'cut')
      return { decodeStream: ({ session }, stream, now) => decodeStream(session, stream, now) }
    },
    get tlsUpgrade () {
      requireMethod('tlsUpgrade', Session.prototype, 'cut')
      requireMethod('tlsUpgrade', Session.prototype, 'secured')
      return {
        secured: ({ session }, attributes, now) => orClose(() => {
          return eventsOf('secured', session.secured(new Map(attributes), now))
        })
      }
    },
    get handshake () {
      requireMethod('handshake', Session.prototype, 'answer')
      return {
        answer: ({ session }, status, body, now) => orClose(() => eventsOf('answer', session.answer(status, body, now)))
      }
    },
    get requests () {
      requireMethod('requests', Session.prototype, 'abandoned')
      if (!whole.clientRequests) throw new TypeError('requests needs `clientRequests` above 0 in the description')
      return { abandoned: ({ session }, id, now) => orClose(() => eventsOf('abandoned', session.abandoned(id, now))) }
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
