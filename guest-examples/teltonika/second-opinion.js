// Compares what the application got from the codec with what another parser of Teltonika's packets
// reads in them: the npm package `complete-teltonika-parser`.
//
// Usage: node second-opinion.js CAPTURES TRACK
//
// CAPTURES is a file with packets in hex by their names. TRACK is a file with the records that the
// application got; those of the captures come first.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import parser from 'complete-teltonika-parser';

const [captures, track] = process.argv.slice(2).map((file) => JSON.parse(readFileSync(file)));

// The record of the other parser in the form of the codec.
function converted({ Timestamp, Priority, GPSelement, IOelement }) {
  return {
    timestamp: Timestamp.getTime(),
    priority: Priority,
    longitude: GPSelement.Longitude,
    latitude: GPSelement.Latitude,
    altitude: GPSelement.Altitude,
    angle: GPSelement.Angle,
    satellites: GPSelement.Satellites,
    speed: GPSelement.Speed,
    event: IOelement.EventID,
    io: IOelement.Elements,
  };
}

// The record of the codec, with variable elements as the other parser has them: as decimal numbers.
function comparable(record) {
  const decimal = (value) => (typeof value === 'string' ? BigInt(`0x${value}`).toString() : value);
  const io = Object.entries(record.io).map(([id, value]) => [id, decimal(value)]);
  return { ...record, io: Object.fromEntries(io) };
}

for (const [name, packet] of Object.entries(captures)) {
  const records = new parser.ProtocolParser(packet).Content.AVL_Datas.map(converted);
  assert.deepEqual(track.splice(0, records.length).map(comparable), records, name);
  console.log(`both parsers agree: ${name}`);
}
