// {{name}}: a message a line. A request is `ID ROUTE BODY`, its response `ID STATUS BODY`; what is no request, and a push, has `-` in the
// place of the id.

import { decodeUtf8, define, encodeUtf8, message, Rejected } from './wireplug/wireplug.js'

const LINE_FEED = 10
const CARRIAGE_RETURN = 13
const SPACE = 32

const description = {
  name: '{{name}}',
  version: '0.1.0',
  framing: { tag: 'delimiter', val: encodeUtf8('\n') },
  message: 'one',
  text: true,
  json: true
}

// What the codec knows of one client: nothing, so far. A field of this class stays from packet to packet.
class Client {
  decode (packet) {
    const line = packet.at(-1) === CARRIAGE_RETURN ? packet.subarray(0, -1) : packet
    const [, id, route, body = ''] = /^(-|\d{1,20}) ([^ ]+)(?: ([^]*))?$/.exec(text(line)) ?? []
    // A larger id would not come back as it was: numbers are exact up to there.
    if (id === undefined || Number(id) > Number.MAX_SAFE_INTEGER) throw new Rejected('a line is `ID ROUTE BODY`')
    return [message({ id: id === '-' ? null : Number(id), route, body: encodeUtf8(body) })]
  }

  encode ({ id, route, body, status }) {
    const head = encodeUtf8(id === null ? `- ${route} ` : `${id} ${status} `)
    const packet = new Uint8Array(head.length + body.length)
    packet.set(head)
    packet.set(body, head.length)
    // In JSON a line break is nothing but space, and it would end the packet.
    return packet.map(byte => byte === LINE_FEED ? SPACE : byte)
  }
}

// A packet's text; what is not UTF-8 has none.
function text (packet) {
  try {
    return decodeUtf8(packet)
  } catch {
    return ''
  }
}

export const { codec } = define({ description, Session: Client })
