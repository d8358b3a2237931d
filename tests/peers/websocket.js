'use strict'
// npm pomelo-client-websocket over WebSocket: a repackaged browser client.

const Pomelo = require('pomelo-client-websocket')
const { run, spy, told } = require('./scenario')

const client = new Pomelo()
let seen

run({
  name: 'websocket',
  lossyProtobuf: true,
  connect: (host, port) => new Promise((resolve, reject) => {
    client.on('error', reject)
    client.on('io-error', event => reject(new Error(event.message)))
    client.init({ host, port, user: {} }, () => resolve(told(seen.handshake)))
    seen = spy(client.socket)
  }),
  request: (route, body) => new Promise(resolve => client.request(route, body, resolve)),
  notify: (route, body) => client.notify(route, body),
  onPush: (route, fn) => client.on(route, fn),
  onClose: fn => client.on('disconnect', fn),
  heartbeats: () => seen.heartbeats,
  close: () => client.disconnect()
})
