'use strict'
// npm irc-framework over TCP: three of them chat through the codec `irc` on the channel #chat.
// `node irc.js HOST PORT`. With PEER_HEARTBEAT=1, where the codec's option `ping` is 1: also stays until it was asked twice whether it is there.

const assert = require('assert')
const net = require('net')
const IRC = require('irc-framework')

const DEADLINE_MS = 20000
const STEP_MS = 5000
const [host, port] = process.argv.slice(2)
const ann = `ann${process.pid}`
const bob = `bob${process.pid}`
const eve = `eve${process.pid}`

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
    timer = setTimeout(() => reject(new Error(`no ${what} after ${STEP_MS / 1000} s`)), STEP_MS)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

// The next event of this name that is wanted.
function next (client, name, wanted = () => true) {
  return within(new Promise(resolve => {
    client.on(name, function listener (event) {
      if (!wanted(event)) return
      client.removeListener(name, listener)
      resolve(event)
    })
  }), `${name} for ${client.options.nick}`)
}

// What a server says to one who says nothing.
function greeting () {
  return within(new Promise((resolve, reject) => {
    const socket = net.connect(port, host)
    socket.on('error', reject)
    socket.once('data', data => {
      socket.destroy()
      resolve(data.toString())
    })
  }), 'greeting')
}

async function connected (nick) {
  const client = new IRC.Client({ host, port: Number(port), nick, username: 'someone', gecos: 'Some "One"', auto_reconnect: false })
  client.lines = []
  client.texts = []
  client.on('raw', event => event.from_server && client.lines.push(event.line))
  client.on('privmsg', event => client.texts.push(event))
  const registered = next(client, 'registered')
  client.connect()
  const { nick: own } = await registered
  assert.strictEqual(own, nick)
  return client
}

async function join (client) {
  const nick = client.options.nick
  const names = next(client, 'userlist')
  const joined = next(client, 'join', event => event.nick === nick)
  client.join('#chat')
  assert.strictEqual((await joined).channel, '#chat')
  const { users } = await names
  assert(users.some(user => user.nick === nick), `${nick} is not among ${JSON.stringify(users)}`)
}

async function said (from, to, text) {
  const heard = next(to, 'privmsg', event => event.message === text)
  from.say('#chat', text)
  const { nick, target } = await heard
  assert.deepStrictEqual({ nick, target }, { nick: from.options.nick, target: '#chat' })
}

async function play () {
  const first = await greeting()
  assert.match(first, /^:\S+ NOTICE \* :.*\r\n$/)
  step('greeting', { first })

  const one = await connected(ann)
  const two = await connected(bob)
  for (const code of ['001', '002', '003', '004', '422']) {
    assert(one.lines.some(line => line.split(' ')[1] === code), `no ${code} in ${JSON.stringify(one.lines)}`)
  }
  step('registered', { welcome: one.lines.length })

  await join(one)
  await join(two)
  step('join', {})

  await said(one, two, 'hello, wörld 😀')
  await said(two, one, 'hello yourself')
  // As on any server, nobody hears what he says himself.
  assert.deepStrictEqual(one.texts.map(event => event.nick), [bob])
  step('chat', {})

  // It has no name for this one.
  const unknown = next(one, 'unknown command', event => event.command === '403')
  one.join('#nowhere')
  assert.strictEqual((await unknown).params[1], '#nowhere')
  const refused = next(one, 'irc error')
  one.say('#nowhere', 'is anybody here?')
  assert.strictEqual((await refused).error, 'cannot_send_to_channel')
  step('refused', {})

  const pong = next(one, 'pong')
  one.ping('are you there?')
  assert.strictEqual((await pong).message, 'are you there?')
  step('pong', {})

  const three = await connected(eve)
  await join(three)
  const left = next(two, 'part', event => event.nick === bob)
  two.part('#chat', 'back soon')
  await left
  await said(one, three, 'bob is gone')
  // Requests of a session are in order: whoever was to hear the text before has it now.
  await said(one, three, 'is he?')
  await join(two)
  await said(one, two, 'welcome back')
  assert(!two.texts.some(event => event.message === 'bob is gone'), 'bob hears a channel that he has left')
  step('part', {})

  if (process.env.PEER_HEARTBEAT === '1') {
    const pings = () => two.lines.filter(line => line.startsWith('PING ')).length
    const before = pings()
    // The codec gives up who does not answer the first, so the second proves that the client's answer counted.
    await next(two, 'raw', event => event.from_server && pings() >= before + 2)
    step('heartbeat', { pings: pings() })
  }

  const closed = Promise.all([one, two, three].map(client => next(client, 'socket close')))
  one.quit('good night')
  two.quit()
  three.quit()
  await closed
  const last = one.lines[one.lines.length - 1]
  assert.match(last, /^ERROR :.*good night/)
  step('done', { last })
}

setTimeout(() => fail(new Error(`not done after ${DEADLINE_MS / 1000} s`)), DEADLINE_MS)
process.on('uncaughtException', fail)
process.on('unhandledRejection', fail)
if (!port) fail(new Error(`usage: node ${process.argv[1]} HOST PORT`))
play().then(() => process.exit(0), fail)
