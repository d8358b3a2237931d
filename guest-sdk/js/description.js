// The description of a codec: its defaults and its checks.

import { asU32, isInteger, isText, MAX_U32, wrong } from './values.js'

const DEFAULTS = {
  framing: null,
  messages: 'none',
  payload: 'binary',
  json: false,
  handshake: false,
  clientRequests: 0,
  maxPacket: null
}

/** The largest number of requests of the application that a client may have to answer at a time. */
const MAX_U16 = 65535

const MESSAGE_FRAMINGS = ['none', 'one', 'framed', 'continuous']
const PAYLOADS = ['binary', 'text', 'tagged']

/** For each tag of a framing: which `val` it accepts. */
const FRAMINGS = {
  delimiter: {
    accepts: val => val instanceof Uint8Array && isInteger(val.length, 1, 16),
    form: 'a Uint8Array of 1 to 16 bytes'
  },
  length: {
    accepts: val => isInteger(val?.offset, 0, 255) && isInteger(val.width, 1, 4) &&
      typeof val.littleEndian === 'boolean' && isInteger(val.adjust, -(2 ** 31), 2 ** 31 - 1),
    form: '{ offset, width, littleEndian, adjust } with a width of 1 to 4'
  },
  varint: { accepts: val => isInteger(val, 0, 255), form: 'an integer of 0 to 255' }
}

/**
 * Checks the author's description. Returns the whole description, as the engine takes it. A codec
 * that cuts its stream itself has no framing.
 */
export function described (description, cutsStream) {
  const whole = { ...DEFAULTS, ...description }
  const { name, version, framing, messages, payload, clientRequests, maxPacket, ...flags } = whole
  expect(isText(name, 64) && name !== '', 'name is', name, 'a text of 1 to 64 bytes')
  expect(isText(version, 64), 'version is', version, 'a text of at most 64 bytes')
  if (cutsStream) expect(framing === null, 'with `cut`, framing is', framing, 'null')
  if (framing !== null) checkFraming(framing)
  expect(MESSAGE_FRAMINGS.includes(messages), 'messages is', messages, `one of ${MESSAGE_FRAMINGS.join(', ')}`)
  const cutsNothing = framing === null && !cutsStream
  expect(!cutsNothing || messages === 'one', 'without framing, messages is', messages, "'one'")
  expect(PAYLOADS.includes(payload), 'payload is', payload, `one of ${PAYLOADS.join(', ')}`)
  expect(payload !== 'tagged' || messages === 'one', "with payload 'tagged', messages is", messages, "'one'")
  expect(isInteger(clientRequests, 0, MAX_U16), 'clientRequests is', clientRequests, 'an integer from 0 to 65535')
  if (maxPacket !== null) {
    expect(isInteger(maxPacket, 1, MAX_U32), 'maxPacket is', maxPacket, 'an integer from 1 to 2^32 - 1, or null')
    whole.maxPacket = asU32(maxPacket)
  }
  for (const [flag, value] of Object.entries(flags)) {
    if (!Object.hasOwn(DEFAULTS, flag)) throw new TypeError(`description: there is no \`${flag}\``)
    expect(typeof value === 'boolean', `${flag} is`, value, 'true or false')
  }
  return { ...whole, coalesces: false }
}

function checkFraming (framing) {
  const known = Object.hasOwn(FRAMINGS, framing?.tag) ? FRAMINGS[framing.tag] : null
  expect(known !== null, 'framing is', framing, `{ tag, val } with a tag of ${Object.keys(FRAMINGS).join(', ')}`)
  expect(known.accepts(framing.val), `the val of the framing '${framing.tag}' is`, framing.val, known.form)
}

function expect (holds, what, value, wanted) {
  if (!holds) throw wrong(`description: ${what}`, value, wanted)
}
