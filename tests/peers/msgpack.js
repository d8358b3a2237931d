'use strict'
// Requests in MessagePack with npm notepack.io, for the codec in guest-examples/msgpack: over a TCP socket, then over npm ws.
// `node msgpack.js HOST PORT` plays the scenario on both, prints one JSON object a line for each step, and exits 0.

const assert = require('assert')
const net = require('net')
const notepack = require('notepack.io')
const WebSocket = require('ws')

const DEADLINE_MS = 20000

const REQUEST = 0
const RESPONSE = 1
const NOTIFICATION = 2

function step (name, fields) {
  process.stdout.write(JSON.stringify({ step: name, ...fields }) + '\n')
}

function fail (error) {
  process.stderr.write(`FAILED: ${error.stack || error}\n`)
  process.exit(1)
}

/** Requests, notifications and pushes over a link, which is `{ send(packet), close() }` and calls `received` and `ended`. */
class Client {
  // Of 32 bits; begins again at 0 during the scenario.
  nextId = 0xffffff00
  waiting = new Map()
  listeners = new Map()
  closing = false

  async connect (open) {
    this.link = await open(packet => this.received(packet), () => this.closing || fail(new Error('the server closed the connection')))
  }

  /** Answers with `[status, body]`. */
  request (route, body) {
    const id = this.nextId
    this.nextId = (id + 1) >>> 0
    return this.answered(id, () => this.link.send(notepack.encode([REQUEST, id, route, body])))
  }

  answered (id, send) {
    send()
    return within(new Promise(resolve => this.waiting.set(id, resolve)), `response to request ${id}`)
  }

  notify (route, body) {
    this.link.send(notepack.encode([NOTIFICATION, route, body]))
  }

  push (route, wanted) {
    return within(new Promise(resolve => this.listeners.set(route, body => wanted(body) && resolve(body))), `push ${route}`)
  }

  received (packet) {
    this.last = packet
    const [type, ...rest] = notepack.decode(packet)
    if (type === NOTIFICATION) return this.listeners.get(rest[0])?.(rest[1])
    assert.strictEqual(type, RESPONSE)
    const [id, status, body] = rest
    assert(this.waiting.has(id), `response to request ${id}, which was not asked`)
    this.waiting.get(id)([status, body])
    this.waiting.delete(id)
  }

  close () {
    this.closing = true
    this.link.close()
  }
}

function within (promise, what) {
  let timer
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} after 5 s`)), 5000)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

/** Each packet behind its length, 4 bytes, big-endian. */
const tcp = (host, port) => (received, ended) => new Promise((resolve, reject) => {
  let rest = Buffer.alloc(0)
  const socket = net.connect(port, host, () => resolve({
    // A byte at first, so that packets come in pieces.
    send (packet) {
      const length = Buffer.alloc(4)
      length.writeUInt32BE(packet.length)
      socket.write(length.subarray(0, 1))
      socket.write(Buffer.concat([length.subarray(1), packet]))
    },
    close: () => socket.end()
  }))
  socket.on('error', reject)
  socket.on('close', ended)
  socket.on('data', data => {
    rest = Buffer.concat([rest, data])
    while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32BE()) {
      const end = 4 + rest.readUInt32BE()
      received(rest.subarray(4, end))
      rest = rest.subarray(end)
    }
  })
})

/** Each packet a binary message. */
const ws = (host, port) => (received, ended) => new Promise((resolve, reject) => {
  const socket = new WebSocket(`ws://${host}:${port}`)
  socket.on('open', () => resolve({ send: packet => socket.send(packet), close: () => socket.close() }))
  socket.on('error', reject)
  socket.on('close', ended)
  socket.on('message', message => {
    assert(Buffer.isBuffer(message), 'a text message')
    received(message)
  })
})

async function play (transport, open) {
  const client = new Client()
  await within(client.connect(open), 'connection')
  step('ready', { transport })

  const echo = async body => {
    const [status, answer] = await client.request('connector.entryHandler.echo', body)
    assert.strictEqual(status, 200)
    return answer
  }

  const values = { text: 'smile 😀 é 漢', long: 'é'.repeat(500), list: [null, true, -1, 255, 65536, 1.5], deep: { a: [{}, []] } }
  assert.deepStrictEqual(await echo(values), values)
  const integers = [2 ** 32, -(2 ** 31) - 1, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER]
  assert.deepStrictEqual(await echo(integers), integers)
  step('echo', {})

  // 2^53 + 1 is more than the library's numbers hold: its bytes go out in the place of those of 2^53 - 1, and come back.
  const exact = Buffer.from('cf0020000000000001', 'hex')
  const packet = notepack.encode([REQUEST, 7, 'connector.entryHandler.echo', Number.MAX_SAFE_INTEGER])
  exact.copy(packet, packet.length - exact.length)
  await client.answered(7, () => client.link.send(packet))
  assert(client.last.subarray(-exact.length).equals(exact), `2^53 + 1 came back as ${client.last.toString('hex')}`)
  step('exact', {})

  // What JSON has no form for comes back as what the application saw.
  const translated = await echo([Buffer.from([1, 2, 255]), new Date(1700000000123), NaN, Infinity])
  assert.deepStrictEqual(translated, ['AQL/', '2023-11-14T22:13:20.123Z', null, null])
  step('translated', { body: translated })

  const [, clock] = await client.request('connector.entryHandler.time', null)
  assert(Math.abs(clock.time - Date.now()) < 60000, `time is ${JSON.stringify(clock)}, not milliseconds since 1970`)
  step('time', {})

  assert.deepStrictEqual(await client.request('connector.entryHandler.nope', {}), [404, null])
  step('unknown', {})

  // What is no packet is dropped, and what follows is not.
  client.link.send(Buffer.from([0xc1]))
  client.link.send(notepack.encode([REQUEST, -1, 'r', null]))
  assert.deepStrictEqual(await echo([]), [])
  step('rejected', {})

  // Many at once, each answered as its own.
  const numbers = Array.from({ length: 300 }, (_, n) => n)
  assert.deepStrictEqual(await Promise.all(numbers.map(echo)), numbers)
  step('many', {})

  const from = `msgpack-${transport}-${process.pid}`
  const [joined] = await client.request('chat.chatHandler.join', { name: from })
  assert.strictEqual(joined, 200)
  const said = { from, text: 'hi 😀' }
  const heard = client.push('onChat', body => body.from === from)
  client.notify('chat.chatHandler.send', { text: said.text })
  assert.deepStrictEqual(await heard, said)
  step('push', { body: said })

  client.close()
  step('done', { transport })
}

async function run (host, port) {
  await play('tcp', tcp(host, port))
  await play('ws', ws(host, port))
  // Let the close reach the server before the process is gone.
  setTimeout(() => process.exit(0), 50)
}

const [host, port] = process.argv.slice(2)
if (!port) fail(new Error(`usage: node ${process.argv[1]} HOST PORT`))
setTimeout(() => fail(new Error(`not done after ${DEADLINE_MS / 1000} s`)), DEADLINE_MS)
process.on('uncaughtException', fail)
process.on('unhandledRejection', fail)
run(host, Number(port)).catch(fail)
