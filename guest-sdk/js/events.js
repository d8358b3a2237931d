// The events that a session gives to the runtime.

import { asU32, bytes, isId, isInteger, MAX_U32, wellFormed, wrong } from './values.js'

/** One event. Only the functions below make events, so an event is always valid. */
export class Event {
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

export const LEVELS = ['debug', 'info', 'warn', 'error']

function message (role, id, route, body, status) {
  if (!isId(id)) throw wrong(`${role}: the id is`, id, 'an integer from 0 to 2^53 - 1')
  const isRoute = typeof route === 'string' && route.isWellFormed()
  if (!isRoute) throw wrong(`${role}: the route is`, route, 'a well-formed string')
  return new Event('message', { role, id, route, body: bytes(role, 'body', body), status })
}

function isCloseCode (code) {
  return code === 0 || isInteger(code, 1000, 1003) || isInteger(code, 1007, 1014) || isInteger(code, 3000, 4999)
}

/** Returns the events of a method, which must be a list of them. */
export function eventsOf (method, value) {
  if (!Array.isArray(value)) throw wrong(`${method} returned`, value, 'a list of events')
  for (let i = 0; i < value.length; i += 1) {
    if (!(value[i] instanceof Event)) throw wrong(`${method} returned a list with`, value[i], 'only events')
  }
  return value
}
