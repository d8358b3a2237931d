'use strict'
// npm socket.io-client with the message format of Pomelo's clients over Socket.IO.
// `node socketio.js HOST PORT`, over the transports that PEER_TRANSPORTS names, `polling,websocket` unless it is set.
// With PEER_THROWN_OUT=1: gets a batch, is thrown out, and says what it heard.
// With PEER_ACKS=1: asks by `emitWithAck`, and with `retries`; with PEER_ORIGIN: connects as a page of that origin.

const assert = require('assert')
const { io } = require('socket.io-client')
const { run } = require('./scenario')

const transports = (process.env.PEER_TRANSPORTS || 'polling,websocket').split(',')

function encode (id, route, body) {
  const head = [id >>> 24, id >> 16, id >> 8, id, route.length].map(byte => byte & 0xff)
  return String.fromCharCode(...head) + route + JSON.stringify(body)
}

let socket
let nextId = 1
let closed = () => {}
const waiting = new Map()
const pushed = new Map()
// Each text as it came, read as JSON.
const heard = []

function onMessage (text) {
  assert.strictEqual(typeof text, 'string')
  const said = JSON.parse(text)
  heard.push(said)
  for (const message of Array.isArray(said) ? said : [said]) {
    if (message.id) {
      assert(waiting.has(message.id), `response to request ${message.id}, which was not asked`)
      waiting.get(message.id)(message.body)
      waiting.delete(message.id)
    } else if (pushed.has(message.route)) {
      pushed.get(message.route)(message.body)
    }
  }
}

const client = {
  name: 'socketio',
  connect: (host, port) => new Promise((resolve, reject) => {
    socket = io(`http://${host}:${port}`, { transports, reconnection: false })
    socket.on('connect_error', reject)
    socket.on('message', onMessage)
    socket.on('disconnect', reason => closed(reason))
    socket.on('connect', () => {
      const ready = () => resolve({ dict: false, heartbeat: null })
      const engine = socket.io.engine
      const last = transports[transports.length - 1]
      if (engine.transport.name === last) ready()
      else engine.once('upgrade', transport => transport.name === last ? ready() : reject(new Error(transport.name)))
    })
  }),
  request: (route, body) => new Promise(resolve => {
    const id = nextId++
    waiting.set(id, resolve)
    socket.emit('message', encode(id, route, body))
  }),
  notify: (route, body) => socket.emit('message', encode(0, route, body)),
  onPush: (route, fn) => pushed.set(route, fn),
  onClose: fn => { closed = fn },
  heartbeats: () => 0,
  close: () => socket.disconnect()
}

async function thrownOut (host, port) {
  await client.connect(host, port)
  const end = new Promise(resolve => client.onClose(resolve))
  // More than a call's worth at once, the answers to which may share a text.
  const echoes = []
  for (let n = 1; n <= 300; n++) echoes.push(client.request('connector.entryHandler.echo', { n }))
  const bodies = await Promise.all(echoes)
  bodies.forEach((body, at) => assert.deepStrictEqual(body, { n: at + 1 }))
  heard.length = 0
  client.notify('three', {})
  client.notify('kick', {})
  const reason = await end
  process.stdout.write(JSON.stringify({ heard, reason }) + '\n')
}

// Each request once, and its response: by `emitWithAck`, and where the client would ask again.
async function acks (host, port) {
  const url = `http://${host}:${port}`
  const options = { transports, reconnection: false, auth: { token: 'tökén' } }
  const once = io(url, options)
  const response = await once.timeout(10000).emitWithAck('message', encode(1, 'count', { n: 1 }))
  process.stdout.write(JSON.stringify({ response: JSON.parse(response) }) + '\n')
  once.disconnect()

  const again = io(url, { ...options, retries: 3, ackTimeout: 5000 })
  const ask = (id, route, body) => new Promise((resolve, reject) => {
    again.emit('message', encode(id, route, body), (error, said) => error ? reject(error) : resolve(said))
  })
  const responses = await Promise.all([1, 2, 3].map(n => ask(n, 'count', { n })))
  process.stdout.write(JSON.stringify({ responses: responses.map(text => JSON.parse(text)) }) + '\n')
  // A notification has no response, and is acknowledged.
  process.stdout.write(JSON.stringify({ notified: await ask(0, 'count', {}) }) + '\n')
  // The client sends the next when the one before is acknowledged.
  for (let n = 0; n < 3; n++) again.emit('message', encode(0, 'count', {}))
  const last = await ask(4, 'count', {})
  process.stdout.write(JSON.stringify({ last: JSON.parse(last) }) + '\n')
  again.disconnect()
}

// Whether a page of this origin may connect.
async function fromOrigin (host, port) {
  const extraHeaders = { Origin: process.env.PEER_ORIGIN }
  const page = io(`http://${host}:${port}`, { transports, reconnection: false, extraHeaders })
  const connected = await new Promise(resolve => {
    page.on('connect', () => resolve(true))
    page.on('connect_error', () => resolve(false))
  })
  process.stdout.write(JSON.stringify({ connected }) + '\n')
  page.disconnect()
}

function alone (script) {
  const [host, port] = process.argv.slice(2)
  script(host, port).then(() => setTimeout(() => process.exit(0), 50), error => {
    process.stderr.write(`FAILED: ${error.stack}\n`)
    process.exit(1)
  })
  setTimeout(() => process.exit(2), 20000)
}

if (process.env.PEER_THROWN_OUT === '1') alone(thrownOut)
else if (process.env.PEER_ACKS === '1') alone(acks)
else if (process.env.PEER_ORIGIN) alone(fromOrigin)
else run(client)
