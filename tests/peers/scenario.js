'use strict'
// What every JavaScript client is put through, whatever its own interface looks like.
//
// An adapter hides the client:
//   name                     for the room's member list and the output
//   lossyText                true: this client can't carry text outside the BMP through a server that decodes it
//   lossyProtobuf            true: nor does it read such text in protobuf
//   connect(host, port)      -> Promise of { dict: bool, heartbeat: seconds or null }, once the handshake is over
//   request(route, body)     -> Promise of the response's body
//   notify(route, body)
//   onPush(route, fn)        fn(body)
//   onClose(fn)              the connection ended
//   heartbeats()             how many heartbeats the server has sent so far
//   close()

const assert = require('assert')
const util = require('util')

const DEADLINE_MS = 20000

// The original Pomelo server differs in two places from what wireplug promises; see README.md.
const ORIGINAL = process.env.PEER_ORIGINAL_POMELO === '1'

// The server has protobuf schemas for most routes: the client must have been told of them.
const PROTOBUF = process.env.PEER_PROTOBUF === '1'

// Some clients log with console.log, but stdout carries the steps and nothing else.
console.log = console.error
console.info = console.error
// They also log whole sockets.
util.inspect.defaultOptions.depth = 0

function step (name, fields) {
  process.stdout.write(JSON.stringify({ step: name, ...fields }) + '\n')
}

function fail (error) {
  process.stderr.write(`FAILED: ${error.stack || error}\n`)
  process.exit(1)
}

function within (promise, what) {
  let timer
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} after 5 s`)), 5000)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

async function play (client, host, port) {
  let closing = false
  client.onClose(() => closing || fail(new Error('the server closed the connection')))

  const told = await within(client.connect(host, port), 'handshake')
  step('ready', { client: client.name, ...told })
  assert.strictEqual(Boolean(told.protos), PROTOBUF, 'whether the server told of protobuf')
  const lossy = (ORIGINAL && client.lossyText) || (PROTOBUF && client.lossyProtobuf)

  const request = (route, body) => within(client.request(route, body), `response to ${route}`)

  const plain = { text: 'hello', n: 1 }
  const echoed = await request('connector.entryHandler.echo', plain)
  assert.deepStrictEqual(echoed, plain)
  step('echo', { body: echoed })

  const smile = { text: 'smile 😀 é 漢' }
  const smiled = await request('connector.entryHandler.echo', smile)
  if (!lossy) assert.deepStrictEqual(smiled, smile)
  step('emoji', { body: smiled, exact: smiled.text === smile.text })

  const clock = await request('connector.entryHandler.time', {})
  assert(Math.abs(clock.time - Date.now()) < 60000, `time is ${JSON.stringify(clock)}, not milliseconds since 1970`)
  step('time', { body: clock })

  const unknown = await request('connector.entryHandler.nope', {})
  assert.deepStrictEqual(unknown, { code: ORIGINAL ? 500 : 404 })
  step('unknown', { body: unknown })

  const name = `${client.name}-${process.pid}`
  const joined = await request('chat.chatHandler.join', { name })
  assert(Array.isArray(joined.members) && joined.members.includes(name), `members are ${JSON.stringify(joined)}`)
  step('join', { body: joined })

  const hi = { from: name, text: 'hi 😀' }
  const pushed = new Promise(resolve => client.onPush('onChat', body => body.from === name && resolve(body)))
  client.notify('chat.chatHandler.send', { text: hi.text })
  const chat = await within(pushed, 'push onChat')
  if (!lossy) assert.deepStrictEqual(chat, hi)
  step('push', { body: chat, exact: chat.text === hi.text })

  if (process.env.PEER_HEARTBEAT === '1') {
    assert(told.heartbeat > 0, 'the server told no heartbeat interval')
    const before = client.heartbeats()
    // The server gives up on a silent client after two intervals: three prove that the client's heartbeats count.
    await new Promise(resolve => setTimeout(resolve, told.heartbeat * 3500))
    const seen = client.heartbeats() - before
    assert(seen >= 2, `${seen} heartbeats from the server in 3.5 intervals`)
    assert.deepStrictEqual(await request('connector.entryHandler.echo', plain), plain)
    step('heartbeat', { seen })
  }

  closing = true
  client.close()
  step('done', {})
}

// Runs the scenario with `node SCRIPT HOST PORT` and ends the process.
exports.run = function (client) {
  const [host, port] = process.argv.slice(2)
  if (!port) fail(new Error(`usage: node ${process.argv[1]} HOST PORT`))
  setTimeout(() => fail(new Error(`not done after ${DEADLINE_MS / 1000} s`)), DEADLINE_MS)
  process.on('uncaughtException', fail)
  process.on('unhandledRejection', fail)
  play(client, host, Number(port)).then(() => {
    // Let the close reach the server before the process is gone.
    setTimeout(() => process.exit(0), 50)
  }, fail)
}

// Looks over a `ws` socket's shoulder: what the clients keep to themselves, read from what the server sent.
exports.spy = function (socket) {
  const seen = { handshake: null, heartbeats: 0 }
  // Before the client's own listener, which calls back into the script.
  socket.prependListener('message', data => {
    const bytes = Buffer.from(data)
    if (bytes[0] === 1) seen.handshake = JSON.parse(bytes.subarray(4))
    if (bytes[0] === 3) seen.heartbeats++
  })
  return seen
}

// What the `ready` step prints of a handshake response.
exports.told = function (handshake) {
  const { dict, heartbeat, protos } = handshake.sys
  return { dict: Boolean(dict), heartbeat: heartbeat || null, protos: Boolean(protos) }
}
