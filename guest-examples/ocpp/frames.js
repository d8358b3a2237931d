// The frames of OCPP-J, which are JSON arrays in WebSocket text messages:
//
//   CALL        [2, id, action, payload]
//   CALLRESULT  [3, id, payload]
//   CALLERROR   [4, id, code, description, details]
//
// The bytes of a payload pass through unchanged. So numbers keep all their digits, and keys their
// order.

import { decodeUtf8, encodeUtf8 } from './wireplug/wireplug.js'
import { isObject, parse } from './json.js'

export const CALL = 2
export const CALL_RESULT = 3
export const CALL_ERROR = 4
/** The type of a frame that is none of these three. */
export const MALFORMED = 0

/** What is wrong with a malformed frame. The versions of OCPP have different codes for these. */
export const BAD_FRAME = 'bad frame'
export const BAD_PAYLOAD = 'bad payload'
export const UNKNOWN_TYPE = 'unknown type'

/** The longest id of a message, in characters, as both versions of OCPP set it. */
export const MAX_ID = 36

/** An action becomes a part of a route. Every action of OCPP has this form. */
export const ACTION = /^[A-Za-z][A-Za-z0-9]{0,35}$/

const STRING = String.raw`\s*"[^"\\]*(?:\\.[^"\\]*)*"\s*`

/** What stands before the payload, in a text that is known to be a frame. */
const BEFORE_PAYLOAD = {
  [CALL]: new RegExp(String.raw`^\s*\[[^,]*,${STRING},${STRING},\s*`),
  [CALL_RESULT]: new RegExp(String.raw`^\s*\[[^,]*,${STRING},\s*`)
}

/** The beginning of a CALL whose rest is not JSON. */
const BROKEN_CALL = new RegExp(String.raw`^\s*\[\s*2\s*,\s*"([^"\\]{1,${MAX_ID}})"`)

/**
 * Reads a packet. Returns one of these:
 * - `{ type: CALL, id, action, payload }`
 * - `{ type: CALL_RESULT, id, payload }`
 * - `{ type: CALL_ERROR, id, code, description, details }`
 * - `{ type: MALFORMED, reason, fault, call, answer }`. `call` is the id if the frame can be
 *   answered with a CALLERROR, and `answer` is the id if the frame answers a CALL.
 */
export function read (packet) {
  const text = decodeUtf8(packet)
  let parts
  try {
    parts = parse(text)
  } catch (error) {
    return malformed(`the message is not JSON: ${error.message}`, { call: BROKEN_CALL.exec(text)?.[1] })
  }
  if (!Array.isArray(parts)) return malformed('the message is not an array')
  const [type, id] = parts
  if (!Number.isInteger(type)) return malformed('the message type is not an integer')
  const isId = typeof id === 'string' && id.length >= 1 && id.length <= MAX_ID
  if (!isId) return malformed(`the message id is not a string of 1 to ${MAX_ID} characters`)
  switch (type) {
    case CALL: return readCall(text, parts, packet)
    case CALL_RESULT: return readResult(text, parts, packet)
    case CALL_ERROR: return readError(parts)
    default: return malformed(`there is no message type ${type}`, { call: id, fault: UNKNOWN_TYPE })
  }
}

function readCall (text, parts, packet) {
  const [type, id, action, payload] = parts
  if (parts.length !== 4) return malformed('a CALL has four elements', { call: id })
  const isAction = typeof action === 'string' && ACTION.test(action)
  if (!isAction) return malformed('the action is not 1 to 36 letters and digits', { call: id })
  if (!isObject(payload)) return malformed('the payload is not an object', { call: id, fault: BAD_PAYLOAD })
  return { type, id, action, payload: payloadOf(type, text, packet) }
}

function readResult (text, parts, packet) {
  const [type, id, payload] = parts
  if (parts.length !== 3) return malformed('a CALLRESULT has three elements', { answer: id })
  if (!isObject(payload)) return malformed('the payload is not an object', { answer: id })
  return { type, id, payload: payloadOf(type, text, packet) }
}

/** Many stations leave out the description or the details, or have a text for details. */
function readError ([type, id, code, description, details]) {
  if (typeof code !== 'string') return malformed('the error code is not a string', { answer: id })
  return { type, id, code, description: typeof description === 'string' ? description : '', details: details ?? {} }
}

/** Returns the bytes of the payload, which is an object and the last element. */
function payloadOf (type, text, packet) {
  const [head] = BEFORE_PAYLOAD[type].exec(text)
  const behind = text.length - text.lastIndexOf('}') - 1
  return packet.subarray(encodeUtf8(head).length, packet.length - behind)
}

function malformed (reason, { call, answer, fault = BAD_FRAME } = {}) {
  return { type: MALFORMED, reason, fault, call, answer }
}

/** Writes a frame. `rest` is the JSON text of the elements behind the id. */
export function write (type, id, rest) {
  return encodeUtf8(`[${type},${JSON.stringify(id)},${rest}]`)
}
