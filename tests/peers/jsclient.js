'use strict'
// npm pomelo-jsclient-websocket: Pomelo's own browser client, in a browser that is just large enough for it.

const WebSocket = require('ws')
const { run, spy, told } = require('./scenario')

let seen

global.window = global
window.EventEmitter = require('events')
window.localStorage = {
  items: new Map(),
  getItem: key => window.localStorage.items.get(key) || null,
  setItem: (key, value) => { window.localStorage.items.set(key, String(value)) }
}
window.WebSocket = class extends WebSocket {
  constructor (url) {
    super(url)
    seen = spy(this)
  }
}
// Loaded once `window` exists, pomelo-protocol takes its browser side: Uint8Array, and its own UTF-8.
window.Protocol = require('pomelo-protocol')
window.protobuf = require('pomelo-protobuf')
const pomelo = require('pomelo-jsclient-websocket')

run({
  name: 'jsclient',
  lossyText: true,
  connect: (host, port) => new Promise((resolve, reject) => {
    pomelo.on('error', error => reject(new Error(error)))
    pomelo.on('io-error', event => reject(new Error(event.message)))
    pomelo.init({ host, port, user: {} }, () => resolve(told(seen.handshake)))
  }),
  request: (route, body) => new Promise(resolve => pomelo.request(route, body, resolve)),
  notify: (route, body) => pomelo.notify(route, body),
  onPush: (route, fn) => pomelo.on(route, fn),
  onClose: fn => pomelo.on('disconnect', fn),
  heartbeats: () => seen.heartbeats,
  close: () => pomelo.disconnect()
})
