'use strict'
// npm pomelo-protocol over UDP, behind the opening of docs/udp.md.

const dgram = require('dgram')
const { EventEmitter } = require('events')
const { play } = require('./protocol')

const MAGIC = Buffer.from('ff575055445031', 'hex')
const CHALLENGE = 1
const ANSWER = 2
const OPEN = 3

// Asks again until it is heard.
const AGAIN_MS = 200

play('udp', (port, host, ready) => {
  const client = new EventEmitter()
  const socket = dgram.createSocket('udp4')
  const send = bytes => socket.send(bytes, port, host)
  let say = Buffer.alloc(24)
  const asking = setInterval(() => send(say), AGAIN_MS)
  socket.on('message', datagram => {
    if (!datagram.subarray(0, 7).equals(MAGIC)) return client.emit('data', datagram)
    if (datagram[7] === CHALLENGE) {
      say = Buffer.from(datagram)
      say[7] = ANSWER
      send(say)
    } else if (datagram[7] === OPEN && say) {
      clearInterval(asking)
      say = null
      ready()
    }
  })
  socket.on('error', error => client.emit('error', error))
  send(say)
  client.write = send
  // There is no goodbye.
  client.end = () => socket.close()
  return client
})
