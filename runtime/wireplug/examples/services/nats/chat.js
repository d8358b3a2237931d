// The chat of the demo as a service behind NATS, for Node.js: npm install @nats-io/transport-node
// docs/nats.md tells what the subjects and headers mean.
const { connect, headers } = require('@nats-io/transport-node');

const CHAT = 'chat';

/** An answer with a status other than 200. */
class Refusal extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/** Asks the node of a session to do something with it. */
async function tell(nc, verb, session, payload) {
  const done = await nc.request(`wireplug.clients.${verb}.session.${session}`, payload);
  const code = done.headers?.get('Nats-Service-Error-Code');
  if (code) throw new Refusal(Number(code), done.headers.get('Nats-Service-Error'));
}

const actions = {
  /** Binds the session to a user of that name, and lets it in. */
  async join(nc, request, { name }) {
    if (typeof name !== 'string' || name === '') throw new Refusal(400, 'a member has a name');
    const session = request.headers.get('Wireplug-Session');
    await tell(nc, 'bind', session, name);
    await tell(nc, 'join', session, CHAT);
    return { name };
  },

  /** Pushes what a member says to all members. */
  async send(nc, request, { text }) {
    const from = request.headers.get('Wireplug-User');
    if (!from) throw new Refusal(403, 'only members may speak');
    if (typeof text !== 'string') throw new Refusal(400, 'there is no text');
    const route = headers();
    route.set('Wireplug-Route', 'onChat');
    nc.publish(`wireplug.clients.push.group.${CHAT}`, JSON.stringify({ from, text }), { headers: route });
    return {};
  },
};

async function answer(nc, request) {
  try {
    const action = actions[request.subject.split('.').pop()];
    if (!action) throw new Refusal(404, 'there is no such action');
    const body = await action(nc, request, request.json());
    request.respond(JSON.stringify(body));
  } catch (error) {
    const head = headers();
    head.set('Nats-Service-Error-Code', String(error.code ?? (error instanceof SyntaxError ? 400 : 500)));
    head.set('Nats-Service-Error', error.message);
    request.respond('', { headers: head });
  }
}

async function main() {
  const servers = process.env.NATS_URL ?? 'nats://127.0.0.1:4222';
  const nc = await connect({ servers, maxReconnectAttempts: -1, reconnectTimeWait: 500 });
  const requests = nc.subscribe('wireplug.requests.chat.chatHandler.*', { queue: 'chat' });
  await nc.flush();
  process.on('SIGTERM', () => nc.drain());
  console.log('ready');
  for await (const request of requests) answer(nc, request);
}

main();
