// The chat of the demo as a service over HTTP, for Node.js: npm install fastify
// docs/http-services.md tells what the paths and headers mean.
const fastify = require('fastify');

const { WIREPLUG_CONTROL = 'http://127.0.0.1:3011', WIREPLUG_TOKEN, PORT = '8080' } = process.env;
const BANNED = new Set(['mallory']);
if (!WIREPLUG_TOKEN) {
  console.error("chat.js: set WIREPLUG_TOKEN to a token of wireplug's control API, with the role push");
  process.exit(1);
}

const app = fastify();
const sessions = new Map(); // the session of each member

/** Answers with a status other than 200. */
function refuse(statusCode, message) {
  throw Object.assign(new Error(message), { statusCode });
}

/** Asks wireplug to do something with sessions. Returns the body of its answer. */
async function tell(verb, target, body, given = {}) {
  const headers = { authorization: `Bearer ${WIREPLUG_TOKEN}`, ...given };
  const done = await fetch(`${WIREPLUG_CONTROL}/clients/${verb}/${target}`, { method: 'POST', headers, body });
  const answer = await done.text();
  // If a client was asked, its own status is in a header.
  const status = Number(done.headers.get('wireplug-status') ?? done.status);
  if (status !== 200) refuse(status >= 400 && status < 600 ? status : 502, answer);
  return answer;
}

/** Pushes a message to all members. */
function push(from, text) {
  return tell('push', 'group/chat', JSON.stringify({ from, text }), { 'wireplug-route': 'onChat' });
}

/** Returns the user of a request. */
function userOf(request) {
  return decodeURIComponent(request.headers['wireplug-user'] ?? '');
}

/** Returns a text in the body of a request. */
function textOf(request, key) {
  const text = request.body?.[key];
  return typeof text === 'string' ? text : refuse(400, `${key} is not a text`);
}

// An error as clients of Pomelo expect it.
app.setErrorHandler((error, _request, response) => {
  const code = error.statusCode ?? 500;
  response.code(code).send({ code });
});
app.setNotFoundHandler((_request, response) => response.code(404).send({ code: 404 }));

/** Decides who may connect. Whoever gives a name in the handshake is that user. */
app.post('/chat/.wireplug/hello', async (request, response) => {
  const name = request.body?.user?.name;
  if (BANNED.has(name)) refuse(403, `${name} is banned`);
  if (typeof name === 'string') response.header('wireplug-bind', encodeURIComponent(name));
  return '';
});

/** Tells the members that one of them has gone. */
app.post('/chat/.wireplug/events', async (request) => {
  for (const { user, session } of request.body) {
    if (sessions.get(user) !== session) continue;
    sessions.delete(user);
    await push(user, '(left)');
  }
  return '';
});

/** Binds the session to a user of that name, and lets it in. */
app.post('/chat/chatHandler/join', async (request) => {
  const name = textOf(request, 'name');
  const session = request.headers['wireplug-session'];
  await tell('bind', `session/${session}`, name);
  await tell('join', `session/${session}`, 'chat');
  sessions.set(name, session);
  return { name };
});

/** Pushes what a member says to all members. */
app.post('/chat/chatHandler/send', async (request) => {
  const text = textOf(request, 'text');
  const from = userOf(request);
  if (!sessions.has(from)) refuse(403, 'only members may speak');
  await push(from, text);
  return {};
});

/**
 * Asks the client of a member, and passes its answer on. The client has 3 s to answer: less than
 * the 5 s that wireplug waits for this service.
 */
app.post('/chat/chatHandler/ask', async (request, response) => {
  const [name, question] = [textOf(request, 'name'), textOf(request, 'question')];
  const session = sessions.get(name) ?? refuse(404, 'there is no such member');
  const headers = { 'wireplug-route': 'onAsk', 'wireplug-timeout': '3000' };
  response.type('application/json');
  return tell('request', `session/${session}`, question, headers);
});

async function main() {
  process.on('SIGTERM', () => app.close());
  console.log(`ready at ${await app.listen({ host: '127.0.0.1', port: Number(PORT) })}/chat`);
}

main();
