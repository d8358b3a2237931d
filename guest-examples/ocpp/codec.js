// OCPP 1.6-J and 2.0.1: the protocol between charging stations and their central system. Stations
// connect over WebSocket.
//
// In each direction one CALL at a time may wait for its answer. The runtime holds back what the
// application wants to send beside it. The codec tolerates some from a station that does not wait.

import {
  close, define, encodeUtf8, established, Fatal, hello, Ids, log, Rejected, reply, request, response
} from './wireplug/wireplug.js'
import { codeOfFault, errorOf, errorText, statusOf } from './errors.js'
import { ACTION, CALL, CALL_ERROR, CALL_RESULT, read, write } from './frames.js'
import { readObject, toJson } from './json.js'
import { introductionOf } from './station.js'
import { version } from './package.json'

/** The largest message, in bytes. Most have fewer than 1000. README.md says what this many take. */
const MAX_PACKET = 16384

/** The most bytes that a message has beside its payload: an id, each of its characters escaped. */
const MAX_ENVELOPE = 256

/** How many CALLs of a station may wait for their answers. A station should have one. */
const MAX_CALLS = 16

/** The WebSocket close codes for a station that the application refuses. */
const POLICY_VIOLATION = 1008
const TRY_AGAIN_LATER = 1013

/** The status of a request whose answer is malformed. */
const BAD_ANSWER = 502

/** The format of a saved state. */
const FORMAT = 1

const description = {
  name: 'ocpp',
  version,
  messages: 'one',
  payload: 'text',
  json: true,
  handshake: true,
  clientRequests: 1,
  maxPacket: MAX_PACKET
}

class Session {
  /** The CALLs of the station that wait for their answers. */
  calls = new Ids({ limit: MAX_CALLS })

  constructor (peer) {
    this.peer = peer
    this.version = introductionOf(peer).version
    // A message must not have the id of an earlier one, not even of another connection.
    this.prefix = peer.randomSeed.subarray(0, 8).toHex()
  }

  /** The first call of a session: the station has introduced itself before the WebSocket opened. */
  tick () {
    return [hello(toJson(introductionOf(this.peer)))]
  }

  answer (status) {
    switch (status) {
      case 200: return [established()]
      case 401: return [close('wrong user name or password', POLICY_VIOLATION)]
      case 404: return [close('unknown station', POLICY_VIOLATION)]
      default: return [close(`refused with status ${status}`, status >= 500 ? TRY_AGAIN_LATER : POLICY_VIOLATION)]
    }
  }

  // === from the station ===

  decode (packet) {
    const frame = read(packet)
    switch (frame.type) {
      case CALL: return this.called(frame)
      case CALL_RESULT: return this.answered(frame.id, 200, frame.payload)
      case CALL_ERROR: return this.failed(frame.id, statusOf(frame.code), frame)
      default: return this.malformed(frame)
    }
  }

  called ({ id, action, payload }) {
    if (this.calls.size === MAX_CALLS) {
      return [this.refusal(id, 'GenericError', `${MAX_CALLS} CALLs wait for their answers`)]
    }
    // A CALL that repeats the id of one that waits is dropped: `insert` rejects it.
    return [request(this.calls.insert(id), `ocpp.${action}`, payload)]
  }

  answered (id, status, body) {
    const [, prefix, number] = /^([0-9a-f]{16})-([1-9]\d{0,9})$/.exec(id) ?? []
    if (prefix !== this.prefix) return [log('warn', 'dropped an answer to no CALL of this session')]
    // The runtime drops and counts an answer that comes too late.
    return [response(Number(number), status, body)]
  }

  failed (id, status, { code, description, details }) {
    return this.answered(id, status, toJson({ code, description, details }))
  }

  malformed ({ reason, fault, call, answer }) {
    const code = codeOfFault(this.version, fault)
    if (call !== undefined) return [this.refusal(call, code, reason)]
    if (answer !== undefined) return this.failed(answer, BAD_ANSWER, { code, description: reason, details: {} })
    return [log('warn', `dropped a message: ${reason}`)]
  }

  refusal (id, code, description) {
    return reply(write(CALL_ERROR, id, errorText({ code, description, details: {} })))
  }

  // === to the station ===

  encode ({ role, id, route, body, status }) {
    switch (role) {
      case 'request': return this.encodeRequest(id, route, body)
      case 'response': return this.encodeResponse(id, status, body)
      default: throw new Rejected('OCPP has no message without an answer: send a request')
    }
  }

  encodeRequest (id, action, body) {
    if (!ACTION.test(action)) throw new Rejected('the route is not an action of 1 to 36 letters and digits')
    return write(CALL, `${this.prefix}-${id}`, `"${action}",${this.payloadOf(body)}`)
  }

  encodeResponse (id, status, body) {
    const isResult = status === 200
    const rest = isResult ? this.payloadOf(body) : this.errorOf(status, body)
    // The runtime asks once more for a response that is rejected. So the id is taken last.
    const call = this.calls.take(id)
    if (call === undefined) throw new Rejected('no CALL waits for this answer')
    return write(isResult ? CALL_RESULT : CALL_ERROR, call, rest)
  }

  /** Returns the text of a body. A handler that returns nothing answers with an empty body. */
  payloadOf (body) {
    if (body.length === 0) return '{}'
    this.expectRoom(body.length)
    return readObject(body, 'the payload').text
  }

  errorOf (status, body) {
    const text = errorText(errorOf(this.version, status, body))
    this.expectRoom(encodeUtf8(text).length)
    return text
  }

  /** Rejects what does not fit: a message that cannot be sent would never be answered. */
  expectRoom (bytes) {
    const most = Math.min(MAX_PACKET, this.peer.maxPacket) - MAX_ENVELOPE
    if (bytes > most) throw new Rejected(`the payload has ${bytes} bytes, and ${most} are allowed`)
  }

  // === handoff ===

  save () {
    const { prefix, calls } = this
    return toJson({ format: FORMAT, prefix, calls: calls.save() })
  }

  static restore (peer, state) {
    const { format, prefix, calls } = readObject(state, 'the saved state').object
    if (format !== FORMAT) throw new Fatal(`the saved state is not of format ${FORMAT}`)
    const session = new Session(peer)
    session.prefix = prefix
    session.calls.restore(calls)
    return session
  }
}

export const { codec, handshake, clock, handoff } = define({ description, Session })
