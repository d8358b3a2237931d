// The chat of the demo as a service over HTTP, for Node.js: npm install fastify
// docs/http-services.md tells what the paths and headers mean.
const fastify = require('fastify');

const { WIREPLUG_CONTROL = 'http://127.0.0.1:3011', WIREPLUG_TOKEN, PORT = '8080' } = process.env;
const BANNED = new Set(['mallory']);

const app = fastify();
const sessions = new Map(); // the session of each member

/** Answers with a status other than 200. */
function refuse(statusCode, message) {
  throw Object.assign(new Error(message), { statusCode });
}

/** Asks wireplug to do something with sessions. */
async function tell(verb, target, body, route) {
  const headers = { authorization: `Bearer ${WIREPLUG_TOKEN}` };
  if (route) headers['wireplug-route'] = route;
  const done = await fetch(`${WIREPLUG_CONTROL}/clients/${verb}/${target}`, { method: 'POST', headers, body });
  if (!done.ok) refuse(done.status, await done.text());
  return done;
}

/** Pushes a message to all members. */
function push(from, text) {
  return tell('push', 'group/chat', JSON.stringify({ from, text }), 'onChat');
}

/** Returns the user of a request. */
function userOf(request) {
  return decodeURIComponent(request.headers['wireplug-user'] ?? '');
}

// An error as clients of Pomelo expect it.
app.setErrorHandler((error, _request, response) => {
  const code = error.statusCode ?? 500;
  response.code(code).send({ code });
});
app.setNotFoundHandler((_request, response) => response.code(404).send({ code: 404 }));

/** Decides who may connect. Whoever gives a name in the handshake is that user. */
app.post('/chat/.wireplug/hello', async (request, response) => {
  const name = request.body.user?.name;
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
  const { name } = request.body;
  if (typeof name !== 'string' || name === '') refuse(400, 'a member has a name');
  const session = request.headers['wireplug-session'];
  await tell('bind', `session/${session}`, name);
  await tell('join', `session/${session}`, 'chat');
  sessions.set(name, session);
  return { name };
});

/** Pushes what a member says to all members. */
app.post('/chat/chatHandler/send', async (request) => {
  const { text } = request.body;
  const from = userOf(request);
  if (!sessions.has(from)) refuse(403, 'only members may speak');
  if (typeof text !== 'string') refuse(400, 'there is no text');
  await push(from, text);
  return {};
});

/** Asks the client of a member, and passes its answer on. */
app.post('/chat/chatHandler/ask', async (request, response) => {
  const session = sessions.get(request.body.name) ?? refuse(404, 'there is no such member');
  const answer = await tell('request', `session/${session}`, request.body.question, 'onAsk');
  response.type('application/json');
  return answer.text();
});

async function main() {
  process.on('SIGTERM', () => app.close());
  console.log(`ready at ${await app.listen({ host: '127.0.0.1', port: Number(PORT) })}/chat`);
}

main();
