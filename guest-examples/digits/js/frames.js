// The two framings of `digits`. Each cuts a frame, reads it and writes it. A frame is
// `{ kind, id, argument, body }`. Without an argument, the argument is empty.

import { cut, encodeUtf8, Fatal } from './wireplug/wireplug.js'

export const MAX_FRAME = 66000
export const MAX_ID = 0xffffffff
export const MAX_BODY = 0xffff

const MAX_HEADER = 256
const LINE_FEED = 10

const STARTTLS = 'STLS\r\n'

// The head of a binary frame behind its length: the kind, the id and the length of the argument.
const LENGTH = { width: 4 }
const HEAD = 6

/** Reports whether a text is 1 to 200 printable ASCII characters without spaces. */
export function isArgument (text) {
  return /^[!-~]{1,200}$/.test(text)
}

/** `KIND ID LENGTH[ ARGUMENT]\n`, and a body. */
export const text = {
  cut (bytes) {
    const line = cut.line(bytes, LINE_FEED, MAX_HEADER, 'header line')
    if (line.need !== undefined) return line
    const header = latin1(bytes.subarray(0, line.packet))
    if (header === STARTTLS) return line
    const [, , length] = fieldsOf(header)
    if (length === undefined) throw new Fatal('the header line has no length')
    const isLength = /^(0|[1-9]\d{0,4})$/.test(length) && Number(length) <= MAX_BODY
    if (!isLength) throw new Fatal(`the length is not a decimal number from 0 to ${MAX_BODY}`)
    return cut.fixed(bytes, line.packet + Number(length), MAX_FRAME, 'frame')
  },

  read (packet) {
    const end = packet.indexOf(LINE_FEED) + 1
    const header = latin1(packet.subarray(0, end))
    if (header === STARTTLS) return { kind: 'STLS' }
    const [kind, id, , ...argument] = fieldsOf(header)
    const isId = /^(0|[1-9]\d{0,9})$/.test(id) && Number(id) <= MAX_ID
    if (!isId) throw new Fatal(`the id is not a decimal number from 0 to ${MAX_ID}`)
    if (argument.length > 0) checkArgument(argument.join(' '))
    if (!['REQ', 'NTC', 'RES', 'BYE', 'BIN'].includes(kind)) throw new Fatal('the kind is not REQ, NTC, RES, BYE or BIN')
    return { kind, id: Number(id), argument: argument[0] ?? '', body: packet.subarray(end) }
  },

  write ({ kind, id = 0, argument = '', body = new Uint8Array() }) {
    const head = `${kind} ${id} ${body.length}${argument && ' '}${argument}\n`
    return joined(encodeUtf8(head), body)
  }
}

/** A length of 4 bytes, the kind, the id, the length of the argument, the argument, and a body. */
export const binary = {
  cut (bytes) {
    return cut.lengthField(bytes, LENGTH, MAX_FRAME, 'frame')
  },

  read (packet) {
    const frame = packet.subarray(LENGTH.width)
    if (frame.length < HEAD) throw new Fatal('the frame is shorter than its head')
    const end = HEAD + frame[HEAD - 1]
    if (end > frame.length) throw new Fatal('the argument is longer than the frame')
    const argument = latin1(frame.subarray(HEAD, end))
    if (argument !== '') checkArgument(argument)
    if (frame.length - end > MAX_BODY) throw new Fatal(`the body has more than ${MAX_BODY} bytes`)
    const kind = { R: 'REQ', N: 'NTC', S: 'RES', B: 'BYE' }[latin1(frame.subarray(0, 1))]
    if (kind === undefined) throw new Fatal('the kind is not R, N, S or B')
    return { kind, id: viewOf(frame).getUint32(1), argument, body: frame.subarray(end) }
  },

  write ({ kind, id = 0, argument = '', body = new Uint8Array() }) {
    const head = new Uint8Array(LENGTH.width + HEAD)
    const view = viewOf(head)
    view.setUint32(0, HEAD + argument.length + body.length)
    view.setUint8(4, { REQ: 'R', RES: 'S', PSH: 'P', CAN: 'C', BYE: 'B' }[kind].charCodeAt())
    view.setUint32(5, id)
    view.setUint8(9, argument.length)
    return joined(head, encodeUtf8(argument), body)
  }
}

function fieldsOf (header) {
  return header.slice(0, -1).split(' ')
}

function checkArgument (argument) {
  if (isArgument(argument)) return
  throw new Fatal('the argument is not 1 to 200 printable ASCII characters without spaces')
}

/** Returns one character for each byte. */
function latin1 (bytes) {
  return String.fromCharCode.apply(null, bytes)
}

function viewOf (bytes) {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function joined (...parts) {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
