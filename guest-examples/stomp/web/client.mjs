// Ann chats from a browser's point of view: `client.mjs ws://localhost:61614` uses stompjs, and
// talks to herself.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "@stomp/stompjs";
import WebSocket from "ws";

// Browsers have it, and so has Node.js from version 22 on.
globalThis.WebSocket ??= WebSocket;

const deadline = setTimeout(() => {
  console.log("FAILED: no answer in 20 s");
  process.exit(1);
}, 20_000);

const client = new Client({
  brokerURL: process.argv[2],
  connectHeaders: { login: "ann", passcode: "secret" },
  heartbeatIncoming: 1000,
  heartbeatOutgoing: 1000,
  reconnectDelay: 0,
  onStompError: (frame) => assert.fail(frame.headers.message),
});
await new Promise((resolve) => {
  client.onConnect = resolve;
  client.activate();
});
assert.equal(client.webSocket.protocol, "v12.stomp");
console.log(`ann is connected over WebSocket, with ${client.connectedVersion}`);

// Resolves with the next message to a destination, once the server has the subscription.
async function subscribe(destination) {
  let subscription;
  const message = new Promise((resolve) => {
    subscription = client.subscribe(destination, resolve, { receipt: destination });
  });
  await new Promise((resolve) => client.watchForReceipt(destination, resolve));
  return { message: message.finally(() => subscription.unsubscribe()) };
}

async function publish(frame) {
  const receipt = `published:${frame.destination}`;
  const received = new Promise((resolve) => client.watchForReceipt(receipt, resolve));
  client.publish({ ...frame, headers: { receipt } });
  await received;
}

const TEXT = "grüße \u{1F600}";
const said = await subscribe("/chat/attic");
await publish({ destination: "/chat/attic", body: TEXT });
assert.deepEqual(JSON.parse((await said.message).body), { from: "ann", text: TEXT });
console.log("ann gets the message, and a receipt");

const BINARY = Uint8Array.from({ length: 256 }, (_, index) => index);
const echo = await subscribe("/echo");
await publish({ destination: "/echo", binaryBody: BINARY });
assert.deepEqual(Uint8Array.from((await echo.message).binaryBody), BINARY);
console.log("a binary body comes back");

await sleep(4000);
assert(client.connected);
console.log("heart-beats keep the connection");

await client.deactivate();
clearTimeout(deadline);
console.log("ann is disconnected");
