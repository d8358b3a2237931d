// Who a station is: what its request for a WebSocket says.

import { decodeUtf8, Fatal } from './wireplug/wireplug.js'

/** The versions of OCPP, by subprotocol. */
const VERSIONS = new Map([['ocpp1.6', '1.6'], ['ocpp2.0.1', '2.0.1']])

/** The longest identity of a station, in characters, as OCPP 2.0.1 sets it. */
const MAX_IDENTITY = 48

const COLON = 0x3a

/**
 * Returns how a station introduces itself: `{ station, version, user, password }`. User and
 * password are missing if it has not sent any.
 * @throws {Fatal} if the request is not that of a station.
 */
export function introductionOf (peer) {
  return { station: identityOf(peer), version: versionOf(peer), ...credentialsOf(peer) }
}

/** Returns the version of OCPP on which the listener and the station have agreed. */
function versionOf (peer) {
  const version = VERSIONS.get(peer.attributes.get('subprotocol'))
  if (version === undefined) throw new Fatal(`the station offers no subprotocol of ${[...VERSIONS.keys()].join(', ')}`)
  return version
}

/** Returns the identity of the station: the last segment of the path. */
function identityOf (peer) {
  const path = peer.attributes.get('path') ?? ''
  const identity = unescaped(path.slice(path.lastIndexOf('/') + 1))
  // A colon would end the user name of HTTP Basic authentication.
  const isIdentity = identity.length >= 1 && identity.length <= MAX_IDENTITY && !identity.includes(':')
  if (!isIdentity) throw new Fatal(`the path does not end with an identity of 1 to ${MAX_IDENTITY} characters without a colon`)
  return identity
}

/**
 * Returns `{ user, password }` of HTTP Basic authentication (RFC 7617), or `{}` without it.
 *
 * In OCPP 1.6 the password may be a key of any bytes. If these are not UTF-8, the password is the
 * key in hex digits, upper case, as the configuration key AuthorizationKey has it.
 */
function credentialsOf (peer) {
  const header = peer.attributes.get('header:authorization')
  if (header === undefined) return {}
  const [, encoded] = /^Basic +([A-Za-z0-9+/]+=*) *$/i.exec(header) ?? []
  const bytes = encoded === undefined ? new Uint8Array() : fromBase64(encoded)
  const end = bytes.indexOf(COLON)
  const user = end < 0 ? undefined : utf8(bytes.subarray(0, end))
  if (user === undefined) throw new Fatal('the header Authorization is not that of HTTP Basic authentication')
  const key = bytes.subarray(end + 1)
  return { user, password: utf8(key) ?? key.toHex().toUpperCase() }
}

function unescaped (segment) {
  try {
    return decodeURIComponent(segment)
  } catch {
    throw new Fatal('the path is not percent-encoded UTF-8')
  }
}

function fromBase64 (encoded) {
  try {
    return Uint8Array.fromBase64(encoded)
  } catch {
    return new Uint8Array()
  }
}

function utf8 (bytes) {
  try {
    return decodeUtf8(bytes)
  } catch {
    return undefined
  }
}
