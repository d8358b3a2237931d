// CALLERROR: its codes, and the statuses that the application has for them.

import { Rejected } from './wireplug/wireplug.js'
import { BAD_FRAME, BAD_PAYLOAD, UNKNOWN_TYPE } from './frames.js'
import { isObject, readObject } from './json.js'

/** The longest description, in characters, as OCPP sets it. */
const MAX_DESCRIPTION = 255

// OCPP 1.6 has one code for everything that is malformed. Its misspelt name is the right one there:
// the errata of 1.6-J keep it.
const CODES = {
  1.6: {
    [BAD_FRAME]: 'FormationViolation',
    [BAD_PAYLOAD]: 'FormationViolation',
    [UNKNOWN_TYPE]: 'FormationViolation'
  },
  '2.0.1': {
    [BAD_FRAME]: 'RpcFrameworkError',
    [BAD_PAYLOAD]: 'FormatViolation',
    [UNKNOWN_TYPE]: 'MessageTypeNotSupported'
  }
}

/** The statuses of a station's answers, by code. Any other code is 500. */
const STATUSES = new Map([
  ['FormationViolation', 400],
  ['FormatViolation', 400],
  ['ProtocolError', 400],
  ['RpcFrameworkError', 400],
  ['TypeConstraintViolation', 400],
  // Both spellings are in use.
  ['OccurenceConstraintViolation', 400],
  ['OccurrenceConstraintViolation', 400],
  ['SecurityError', 403],
  ['NotImplemented', 404],
  ['PropertyConstraintViolation', 422],
  ['NotSupported', 501],
  ['MessageTypeNotSupported', 501]
])

/** Returns the code for a malformed frame. */
export function codeOfFault (version, fault) {
  return CODES[version][fault]
}

/** Returns the code for a status other than 200 of the application. */
function codeOf (version, status) {
  switch (status) {
    case 400: return codeOfFault(version, BAD_PAYLOAD)
    case 401:
    case 403: return 'SecurityError'
    case 404: return 'NotImplemented'
    case 422: return 'PropertyConstraintViolation'
    case 501: return 'NotSupported'
    default: return status >= 500 ? 'InternalError' : 'GenericError'
  }
}

/** Returns the status for the code of a station's CALLERROR. */
export function statusOf (code) {
  return STATUSES.get(code) ?? 500
}

/**
 * Returns the error for a failed response of the application. Its body may have members `code`,
 * `description` and `details`, as the body of a station's error has them.
 */
export function errorOf (version, status, body) {
  const own = body.length === 0 ? {} : readObject(body, 'the body').object
  const { code = codeOf(version, status), description = '', details = {} } = own
  const isError = typeof code === 'string' && typeof description === 'string' && isObject(details)
  if (!isError) throw new Rejected('the body of an error is not { code, description, details }')
  return { code, description: description.slice(0, MAX_DESCRIPTION), details }
}

/** Returns what a CALLERROR has behind its id, as a JSON text. */
export function errorText ({ code, description, details }) {
  return [code, description, details].map(part => JSON.stringify(part)).join(',')
}
