// {{name}}: one message a line. A request is `ID ROUTE BODY`, and its response is `ID STATUS BODY`.
// A notice, in either direction, has `-` in place of the id.

import { decodeUtf8, define, encodeUtf8, notice, Rejected, request } from './wireplug/wireplug.js'

const LINE_FEED = 10
const CARRIAGE_RETURN = 13
const SPACE = 32

const description = {
  name: '{{name}}',
  version: '0.1.0',
  framing: { tag: 'delimiter', val: encodeUtf8('\n') },
  messages: 'one',
  payload: 'text',
  json: true
}

// The protocol state of one client. This protocol has none yet. The fields of the class keep their
// values from packet to packet.
class Client {
  decode (packet) {
    const line = packet.at(-1) === CARRIAGE_RETURN ? packet.subarray(0, -1) : packet
    const [, id, route, body = ''] = /^(-|\d{1,20}) ([^ ]+)(?: ([^]*))?$/.exec(textOf(line)) ?? []
    // JavaScript holds larger ids only inexactly.
    if (id === undefined || Number(id) > Number.MAX_SAFE_INTEGER) throw new Rejected('a line is `ID ROUTE BODY`')
    return [id === '-' ? notice(route, encodeUtf8(body)) : request(Number(id), route, encodeUtf8(body))]
  }

  encode ({ role, id, route, body, status }) {
    const head = encodeUtf8(role === 'notice' ? `- ${route} ` : `${id} ${status} `)
    const packet = new Uint8Array(head.length + body.length)
    packet.set(head)
    packet.set(body, head.length)
    // A line feed would end the packet. In JSON it is white space, so a space can replace it.
    return packet.map(byte => byte === LINE_FEED ? SPACE : byte)
  }
}

// Returns the text of a packet. It is empty if the packet is not UTF-8.
function textOf (packet) {
  try {
    return decodeUtf8(packet)
  } catch {
    return ''
  }
}

export const { codec } = define({ description, Session: Client })
