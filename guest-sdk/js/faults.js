// How a codec refuses on purpose, and how exceptions become errors of the contract.

import { close } from './events.js'
import { shown } from './values.js'

/**
 * Thrown by `decode` and `encode`: the runtime drops and counts this packet or message, and the
 * connection stays open. In other methods it has the same effect as `Fatal`.
 */
export class Rejected extends Error {
  name = 'Rejected'
}

/**
 * Thrown to refuse, for a reason. In `cut`, `decode`, `encode`, `answer`, `secured`, `abandoned`,
 * `tick` and `farewell` it ends the connection. In `configure`, the constructor, `encodeShared`,
 * `save` and `restore` it is the error of the call. In `broadcastClass` it has the same effect as
 * null.
 */
export class Fatal extends Error {
  name = 'Fatal'
}

/** Converts an exception into a `fault` of the contract. */
export function faultOf (error) {
  return { tag: error instanceof Rejected ? 'rejected' : 'fatal', val: reasonOf(error) }
}

/** Does the work. An exception becomes the error of the call. */
export function orReason (work) {
  try {
    return work()
  } catch (error) {
    throw reasonOf(error)
  }
}

/** Does the work. An exception becomes the event `close`. */
export function orClose (work) {
  try {
    return work()
  } catch (error) {
    return [close(reasonOf(error))]
  }
}

/** Reports whether the codec refused on purpose. Any other exception is a mistake. */
export function isIntended (error) {
  return error instanceof Rejected || error instanceof Fatal
}

/** Returns the reason of a refusal, or the text and the place of a mistake after `bug: `. */
export function reasonOf (error) {
  if (isIntended(error)) return error.message.toWellFormed()
  if (!(error instanceof Error)) return `bug: ${shown(error)} was thrown`.toWellFormed()
  const [place] = String(error.stack).trim().split('\n')
  return `bug: ${error} ${place.trim()}`.trim().toWellFormed()
}
