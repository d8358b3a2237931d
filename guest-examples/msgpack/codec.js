// Requests, responses and notifications as MessagePack arrays, similar to MessagePack-RPC. On a
// stream, the length stands before each array.
//
// The application sees JSON. The tables in README.md say how values are converted, and which values
// are rejected because JSON or MessagePack has no form for them.

import { define, Fatal, notice, Rejected, request } from './wireplug/wireplug.js'
import { fromJson, toJson } from './json.js'
import { read, write } from './pack.js'
import { version } from './package.json'

const REQUEST = 0
const RESPONSE = 1
const NOTIFICATION = 2

// Ids have 32 bits, as in MessagePack-RPC.
const MAX_ID = 0xffffffff

const description = {
  name: 'msgpack',
  version,
  framing: { tag: 'length', val: { offset: 0, width: 4, littleEndian: false, adjust: 0 } },
  messages: 'one',
  json: true
}

// The saved state of a session: only the number of its format.
const STATE = 1

class Session {
  decode (packet) {
    const parts = read(packet)
    if (!Array.isArray(parts)) throw new Rejected('the packet is not an array')
    // An integer that came in 64 bits is a BigInt, even if it is small.
    const type = typeof parts[0] === 'bigint' ? Number(parts[0]) : parts[0]
    if (type === REQUEST && parts.length === 4) {
      const [, id, route, body] = parts
      return [request(idOf(id), routeOf(route), toJson(body))]
    }
    if (type === NOTIFICATION && parts.length === 3) {
      const [, route, body] = parts
      return [notice(routeOf(route), toJson(body))]
    }
    throw new Rejected('neither a request [0, id, route, body] nor a notification [2, route, body]')
  }

  encode ({ role, id, route, body, status }) {
    const value = fromJson(body)
    if (role === 'notice') return write([NOTIFICATION, route, value])
    if (id > MAX_ID) throw new Rejected('the id has more than 32 bits')
    return write([RESPONSE, id, status, value])
  }

  save () {
    return Uint8Array.of(STATE)
  }

  static restore (peer, state) {
    if (state.length !== 1 || state[0] !== STATE) throw new Fatal('the state has another format')
    return new Session()
  }
}

function idOf (value) {
  const isNumber = typeof value === 'number' || typeof value === 'bigint'
  const id = Number(value)
  if (isNumber && Number.isInteger(id) && id >= 0 && id <= MAX_ID) return id
  throw new Rejected('the id is not an integer from 0 to 4294967295')
}

function routeOf (value) {
  if (typeof value === 'string') return value
  throw new Rejected('the route is not a string')
}

export const { codec, handoff } = define({ description, Session })
