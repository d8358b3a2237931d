// Requests, responses and notifications as MessagePack arrays, after the manner of MessagePack-RPC, each behind its length.
//
// The application sees JSON. What MessagePack has and JSON has not is translated or refused, as the README's tables say;
// nothing is changed silently.

import { define, message, Fatal, Rejected } from './wireplug/wireplug.js'
import { fromJson, toJson } from './json.js'
import { read, write } from './pack.js'
import { version } from './package.json'

const REQUEST = 0
const RESPONSE = 1
const NOTIFICATION = 2

// Ids are numbers of 32 bits, as in MessagePack-RPC.
const MAX_ID = 0xffffffff

const description = {
  name: 'msgpack',
  version,
  framing: { tag: 'length', val: { offset: 0, width: 4, littleEndian: false, adjust: 0 } },
  message: 'one',
  json: true
}

// All there is to hand over: the number of a format without anything in it.
const STATE = 1

class Session {
  decode (packet) {
    const parts = read(packet)
    if (!Array.isArray(parts)) throw new Rejected('the packet is no array')
    // What came in 64 bits is a BigInt, however small.
    const type = typeof parts[0] === 'bigint' ? Number(parts[0]) : parts[0]
    if (type === REQUEST && parts.length === 4) {
      const [, id, route, body] = parts
      return [message({ id: idOf(id), route: routeOf(route), body: toJson(body) })]
    }
    if (type === NOTIFICATION && parts.length === 3) {
      const [, route, body] = parts
      return [message({ route: routeOf(route), body: toJson(body) })]
    }
    throw new Rejected('neither a request [0, id, route, body] nor a notification [2, route, body]')
  }

  encode ({ id, route, body, status }) {
    const value = fromJson(body)
    if (id === null) return write([NOTIFICATION, route, value])
    if (id > MAX_ID) throw new Rejected('the id does not fit into 32 bits')
    return write([RESPONSE, id, status, value])
  }

  save () {
    return Uint8Array.of(STATE)
  }

  static restore (peer, state) {
    if (state.length !== 1 || state[0] !== STATE) throw new Fatal('a state of another format')
    return new Session()
  }
}

function idOf (value) {
  const id = Number(value)
  if ((typeof value === 'number' || typeof value === 'bigint') && Number.isInteger(id) && id >= 0 && id <= MAX_ID) return id
  throw new Rejected('the id is no integer of 0 to 4294967295')
}

function routeOf (value) {
  if (typeof value === 'string') return value
  throw new Rejected('the route is no string')
}

export const { codec, handoff } = define({ description, Session })
