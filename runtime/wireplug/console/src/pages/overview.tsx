// The overview: what the server does now, and did in the last minutes.

import { useReducer } from "preact/hooks";
import { bytes, count, duration, micros, rate } from "../format";
import { usePoll } from "../poll";
import { History, largest, rateOf, total, valueOf } from "../rates";
import type { Line } from "../rates";
import { Facts, Problem, Table, Title } from "../ui";
import type { Counts, Stats } from "../types";
import { Chart } from "./chart";

const INTERVAL = 2000;

/** It outlives the page, so that the charts are not empty when one comes back. */
const history = new History();

const isError = (status: string) => Number(status) >= 400;

const CONNECTIONS: Line[] = [
  valueOf("open", (stats) => stats["connections-open"]),
  valueOf("awake", (stats) => stats["sessions-awake"]),
];
const PACKETS: Line[] = [
  rateOf("in", (stats) => stats["packets-in"]),
  rateOf("out", (stats) => stats["packets-out"]),
];
const BYTES: Line[] = [rateOf("in", (stats) => stats["bytes-in"]), rateOf("out", (stats) => stats["bytes-out"])];
const RESPONSES: Line[] = [
  rateOf("good", (stats) => total(stats.responses, (status) => !isError(status))),
  rateOf("errors", (stats) => total(stats.responses, isError)),
];
const FAILURES: Line[] = [
  rateOf("faults", (stats) => total(stats.faults)),
  rateOf("drops", (stats) => total(stats.drops)),
];
const LATENCY: Line[] = [
  valueOf("half", (stats) => stats["handler-latency"]?.["p50-us"]),
  valueOf("99 %", (stats) => stats["handler-latency"]?.["p99-us"]),
];
const byteRate = (value: number | null) => (value === null ? "–" : `${bytes(value)}/s`);

export function Overview() {
  const [, draw] = useReducer((turn: number) => turn + 1, 0);
  const { value: stats, error } = usePoll<Stats>("/stats", INTERVAL, (stats) => {
    history.add({ at: Date.now(), stats });
    draw(undefined);
  });
  return (
    <>
      <Title name="Overview" />
      <Problem error={error} what="counts for charts (GET /stats)" />
      {stats && <Now stats={stats} />}
    </>
  );
}

function Now({ stats }: { stats: Stats }) {
  const limit = stats["memory-limit-bytes"];
  return (
    <>
      <Facts
        facts={[
          ["Node", stats.node ?? "alone"],
          ["Version", stats.version ?? "–"],
          ["Running for", duration(stats["uptime-seconds"])],
          ["Connections", `${count(stats["connections-open"])} of ${count(stats["connections-total"])} so far`],
          ["Asleep", count(stats["sessions-asleep"])],
          ["Memory", `${bytes(stats["memory-bytes"])}${limit ? ` of ${bytes(limit)}` : ""}`],
        ]}
      />
      <div class="charts">
        <Chart title="Connections" lines={CONNECTIONS} history={history} show={count} />
        <Chart title="Packets" lines={PACKETS} history={history} show={rate} />
        <Chart title="Bytes" lines={BYTES} history={history} show={byteRate} />
        <Chart title="Responses" lines={RESPONSES} history={history} show={rate} />
        <Chart title="Latency of handlers" lines={LATENCY} history={history} show={micros} />
        <Chart title="Faults and drops" lines={FAILURES} history={history} show={rate} />
      </div>
      <div class="tables">
        <CountsTable caption="Responses by status" counts={stats.responses} />
        <CountsTable caption="Closes by cause" counts={stats.closes} />
        <CountsTable caption="Drops by cause" counts={stats.drops} />
        <CountsTable caption="Faults by kind" counts={stats.faults} />
      </div>
    </>
  );
}

function CountsTable({ caption, counts }: { caption: string; counts: Counts | undefined }) {
  const rows = largest(counts);
  if (rows.length === 0) return null;
  return (
    <Table
      caption={caption}
      rows={rows}
      keyOf={([key]) => key}
      empty=""
      columns={[
        { name: "What", of: ([key]) => key },
        { name: "Count", of: ([, value]) => count(value), isNumber: true },
      ]}
    />
  );
}
