// Two phones of JsSIP, which is the SIP of browsers: they register over WebSocket, and send each
// other messages. `node phones.js HOST:PORT` ends with an error if an answer is wrong.

const assert = require('node:assert');
const { once } = require('node:events');
const JsSIP = require('jssip');

// JsSIP expects the WebSocket of a browser.
globalThis.WebSocket = require('ws');

const [server] = process.argv.slice(2);
assert.ok(server, 'which server? Give HOST:PORT');

function phone(user) {
  const socket = new JsSIP.WebSocketInterface(`ws://${server}`);
  return new JsSIP.UA({ sockets: [socket], uri: `sip:${user}@${server}`, register_expires: 120 });
}

async function register(ua, user) {
  ua.start();
  const [{ response }] = await once(ua, 'registered');
  assert.strictEqual(response.status_code, 200);
  const [expires] = response.getHeader('Contact').match(/expires=\d+/);
  console.log(`${user} is registered, ${expires}`);
}

// Sends a message, and returns the status of its response.
function send(ua, user, text) {
  return new Promise(resolve => {
    const eventHandlers = {
      succeeded: ({ response }) => resolve(response.status_code),
      failed: ({ response, cause }) => resolve(response ? response.status_code : cause),
    };
    ua.sendMessage(`sip:${user}@${server}`, text, { eventHandlers });
  });
}

async function main() {
  const ann = phone('ann');
  const bob = phone('bob');
  await register(ann, 'ann');
  await register(bob, 'bob');

  const received = once(bob, 'newMessage');
  assert.strictEqual(await send(ann, 'bob', 'hällo, bob'), 200);
  const [{ originator, message, request }] = await received;
  assert.strictEqual(originator, 'remote');
  assert.strictEqual(request.body, 'hällo, bob');
  console.log(`bob received "${request.body}" from ${message.remote_identity.uri}`);

  assert.strictEqual(await send(bob, 'nobody', 'hello?'), 480);
  console.log('nobody is not registered: 480');

  const unregistered = once(ann, 'unregistered');
  ann.unregister();
  await unregistered;
  assert.strictEqual(await send(bob, 'ann', 'still there?'), 480);
  console.log('ann is not registered any more: 480');
  ann.stop();
  bob.stop();
}

setTimeout(() => assert.fail('no answer for 20 seconds'), 20_000).unref();
main();
