// A small protocol whose stream the codec cuts itself: README.md of the folder above describes it.
// A client may switch from text frames to binary frames in the middle of the stream.

import { close, define, encodeUtf8, Fatal, notice, Rejected, reply, request, response } from './wireplug/wireplug.js'
import { binary, isArgument, MAX_BODY, MAX_FRAME, MAX_ID, text } from './frames.js'
import { version } from './package.json'

const description = {
  name: 'digits',
  version,
  messages: 'continuous',
  clientRequests: 1000,
  maxPacket: MAX_FRAME
}

// The saved state of a session: the number of its format, and one of these values.
const STATE = 1
const FIRST_FRAME = 0
const TEXT_FRAMES = 1
const BINARY_FRAMES = 2

// The class of sessions with binary frames. The framing of other sessions may still change, so they
// share nothing.
const BINARY_CLASS = 1

const KINDS = { notice: 'PSH', request: 'REQ', response: 'RES' }

class Session {
  state = FIRST_FRAME

  get framing () {
    return this.state === BINARY_FRAMES ? binary : text
  }

  tick () {
    return [reply(encodeUtf8('+OK digits\r\n'))]
  }

  cut (bytes) {
    return this.framing.cut(bytes)
  }

  decode (packet) {
    const frame = this.framing.read(packet)
    const events = this.eventsOf(frame)
    if (this.state === FIRST_FRAME) this.state = TEXT_FRAMES
    if (frame.kind === 'BIN') this.state = BINARY_FRAMES
    return events
  }

  eventsOf ({ kind, id, argument, body }) {
    switch (kind) {
      case 'REQ':
        return [request(id, routeOf(kind, argument), body)]
      case 'NTC': {
        const route = routeOf(kind, argument)
        if (id !== 0) throw new Fatal('NTC has an id')
        return [notice(route, body)]
      }
      case 'RES':
        if (!/^[1-5]\d\d$/.test(argument)) throw new Fatal('the status is not a decimal number from 100 to 599')
        return [response(id, Number(argument), body)]
      case 'STLS':
        return [reply(encodeUtf8('-ERR no TLS\r\n'))]
    }
    if (id !== 0 || argument !== '' || body.length > 0) throw new Fatal(`${kind} has an id, an argument or a body`)
    const answer = reply(this.framing.write({ kind }))
    if (kind === 'BYE') return [answer, close('bye', 1000)]
    if (this.state === FIRST_FRAME) throw new Fatal('BIN is the first frame')
    return [answer]
  }

  encode (message) {
    return encoded(this.framing, message)
  }

  abandoned (id) {
    return [reply(this.framing.write({ kind: 'CAN', id }))]
  }

  broadcastClass () {
    return this.state === BINARY_FRAMES ? BINARY_CLASS : null
  }

  static encodeShared (broadcastClass, message) {
    return encoded(binary, message)
  }

  save () {
    return Uint8Array.of(STATE, this.state)
  }

  static restore (peer, state) {
    const [format, frames] = state
    if (state.length !== 2 || format !== STATE || frames > BINARY_FRAMES) {
      throw new Fatal(`the saved state is not of format ${STATE}`)
    }
    const session = new Session()
    session.state = frames
    return session
  }
}

function routeOf (kind, argument) {
  if (argument === '') throw new Fatal(`${kind} has no route`)
  return argument
}

/** Returns the frame of a message. */
function encoded (framing, { role, id, route, body, status }) {
  const isResponse = role === 'response'
  if (!isResponse && !isArgument(route)) {
    throw new Rejected('the route is not 1 to 200 printable ASCII characters without spaces')
  }
  if (body.length > MAX_BODY) throw new Rejected(`the body has more than ${MAX_BODY} bytes`)
  if (id > MAX_ID) throw new Rejected(`the id is above ${MAX_ID}`)
  return framing.write({ kind: KINDS[role], id, argument: isResponse ? `${status}` : route, body })
}

export const { codec, framer, requests, clock, broadcast, handoff } = define({ description, Session })
