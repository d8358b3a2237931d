// Ann chats from a browser's point of view: `client.mjs wss://localhost:5280` logs in over
// WebSocket with xmpp.js, and sends a message to herself.

import assert from "node:assert/strict";
import { client, xml } from "@xmpp/client";
import WebSocket from "ws";

// Browsers have it, and so has Node.js from version 22 on.
globalThis.WebSocket ??= WebSocket;

const TEXT = "<b> & \"quotes\" 'quotes' ]]> grüße \u{1F600}";

const xmpp = client({
  service: process.argv[2],
  domain: "localhost",
  username: "ann",
  password: "ann's secret",
  resource: "web",
});
xmpp.reconnect.stop();

// Resolves with the next stanza that is wanted.
function next(isWanted) {
  return new Promise((resolve) => {
    const take = (stanza) => {
      if (!isWanted(stanza)) return;
      xmpp.off("stanza", take);
      resolve(stanza);
    };
    xmpp.on("stanza", take);
  });
}

const deadline = setTimeout(() => {
  console.log("FAILED: no answer in 20 s");
  process.exit(1);
}, 20_000);

const address = await xmpp.start();
assert.equal(address.toString(), "ann@localhost/web");
console.log(`${address} is online over WebSocket`);

const message = next((stanza) => stanza.is("message"));
await xmpp.send(xml("message", { to: "ann@localhost", type: "chat" }, xml("body", {}, TEXT)));
assert.equal((await message).getChildText("body"), TEXT);
console.log("ann gets the message");

const roster = await xmpp.iqCaller.get(xml("query", { xmlns: "jabber:iq:roster" }));
assert.equal(roster.getChild("item").attrs.jid, "bob@localhost");
console.log("ann's contact list has bob");

const refused = xmpp.iqCaller.get(xml("query", { xmlns: "urn:nothing" }));
await assert.rejects(refused, { name: "StanzaError", condition: "service-unavailable" });
console.log("an unknown query is service-unavailable");

// The client answers the server's ping.
xmpp.iqCallee.get("urn:xmpp:ping", "ping", () => true);
const answer = next((stanza) => stanza.is("message"));
await xmpp.send(xml("message", { to: "localhost", type: "chat" }, xml("body", {}, "How fast am I?")));
assert.match((await answer).getChildText("body"), /^Your client answered a ping in /);
console.log("ann's client answers the server's ping");

await xmpp.stop();
clearTimeout(deadline);
console.log("the stream has ended");
