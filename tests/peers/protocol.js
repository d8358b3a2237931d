'use strict'
// npm pomelo-protocol over any socket: every byte of packages and messages is encoded and decoded by Pomelo's own library.

const { EventEmitter } = require('events')
const { Package, Message, strencode, strdecode } = require('pomelo-protocol')
const { run, told } = require('./scenario')

const HEAD_BYTES = 4

class Client extends EventEmitter {
  // `open(port, host, ready)` gives a socket: write(bytes), end(), and the events data, error and close.
  constructor (name, open) {
    super()
    this.name = name
    this.open = open
    this.received = Buffer.alloc(0)
    this.waiting = new Map()
    this.nextId = 1
    this.routeToCode = {}
    this.codeToRoute = {}
    this.heartbeats = 0
  }

  connect (host, port) {
    this.socket = this.open(port, host, () => {
      const sys = { type: `${this.name}-test`, version: '1.0.0' }
      this.write(Package.TYPE_HANDSHAKE, strencode(JSON.stringify({ sys, user: {} })))
    })
    this.socket.on('data', bytes => this.onBytes(bytes))
    this.socket.on('error', error => this.emit('failed', error))
    this.socket.on('close', () => this.emit('closed'))
  }

  write (type, body) {
    this.socket.write(Package.encode(type, body))
  }

  // Package.decode pads what is cut short, so it only ever gets whole packages.
  onBytes (bytes) {
    this.received = Buffer.concat([this.received, bytes])
    while (this.received.length >= HEAD_BYTES) {
      const end = HEAD_BYTES + this.received.readUIntBE(1, 3)
      if (this.received.length < end) return
      const { type, body } = Package.decode(this.received.subarray(0, end))
      this.received = this.received.subarray(end)
      this.onPackage(type, body)
    }
  }

  onPackage (type, body) {
    switch (type) {
      case Package.TYPE_HANDSHAKE: return this.onHandshake(JSON.parse(strdecode(body)))
      case Package.TYPE_HEARTBEAT: return this.onHeartbeat()
      case Package.TYPE_DATA: return this.onMessage(Message.decode(body))
      case Package.TYPE_KICK: return this.emit('failed', new Error(`kicked: ${strdecode(body)}`))
      default: this.emit('failed', new Error(`package of type ${type}`))
    }
  }

  onHandshake (answer) {
    if (answer.code !== 200) return this.emit('failed', new Error(`handshake refused: ${JSON.stringify(answer)}`))
    this.routeToCode = answer.sys.dict || {}
    for (const route in this.routeToCode) this.codeToRoute[this.routeToCode[route]] = route
    this.heartbeat = answer.sys.heartbeat
    this.write(Package.TYPE_HANDSHAKE_ACK)
    this.emit('ready', answer)
  }

  onHeartbeat () {
    this.heartbeats++
    if (this.heartbeat) {
      clearTimeout(this.beat)
      this.beat = setTimeout(() => this.write(Package.TYPE_HEARTBEAT), this.heartbeat * 1000)
    }
  }

  onMessage (message) {
    const body = JSON.parse(strdecode(message.body))
    if (message.type === Message.TYPE_RESPONSE) {
      const waiting = this.waiting.get(message.id)
      if (!waiting) return this.emit('failed', new Error(`response to request ${message.id}, which was not asked`))
      this.waiting.delete(message.id)
      waiting(body)
    } else if (message.type === Message.TYPE_PUSH) {
      const route = message.compressRoute ? this.codeToRoute[message.route] : message.route
      this.emit(`push ${route}`, body)
    } else {
      this.emit('failed', new Error(`message of type ${message.type} from a server`))
    }
  }

  send (type, id, route, body) {
    const code = this.routeToCode[route]
    const text = strencode(JSON.stringify(body))
    this.write(Package.TYPE_DATA, Message.encode(id, type, code ? 1 : 0, code || route, text))
  }

  request (route, body, done) {
    const id = this.nextId++
    this.waiting.set(id, done)
    this.send(Message.TYPE_REQUEST, id, route, body)
  }

  close () {
    clearTimeout(this.beat)
    this.socket.end()
  }
}

// Plays the scenario over such a socket.
exports.play = function (name, open) {
  const client = new Client(name, open)
  run({
    name,
    connect: (host, port) => new Promise((resolve, reject) => {
      client.on('failed', error => {
        reject(error)
        throw error
      })
      client.on('ready', answer => resolve(told(answer)))
      client.connect(host, port)
    }),
    request: (route, body) => new Promise(resolve => client.request(route, body, resolve)),
    notify: (route, body) => client.send(Message.TYPE_NOTIFY, 0, route, body),
    onPush: (route, fn) => client.on(`push ${route}`, fn),
    onClose: fn => client.on('closed', fn),
    heartbeats: () => client.heartbeats,
    close: () => client.close()
  })
}
