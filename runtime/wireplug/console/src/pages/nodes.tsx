// The nodes that serve together, and their services.

import { bytes, count, digest, duration } from "../format";
import { usePoll } from "../poll";
import { Problem, Table, Title } from "../ui";
import type { NodeStatus } from "../types";

export function Nodes() {
  const { value: nodes, error } = usePoll<NodeStatus[]>("/nodes", 5000);
  return (
    <>
      <Title name="Nodes" />
      <Problem error={error} what="nodes (GET /nodes)" />
      {nodes && (
        <>
          <Table
            caption="Nodes and services"
            rows={nodes}
            keyOf={(node) => node.node ?? ""}
            empty="No node answers."
            columns={[
              { name: "Node", of: (node) => node.node ?? "this node, alone" },
              { name: "Version", of: (node) => node.version },
              { name: "Running for", of: (node) => duration(node.uptime), isNumber: true },
              { name: "Connections", of: (node) => count(node.connections), isNumber: true },
              { name: "Sessions", of: (node) => count(node.sessions), isNumber: true },
              { name: "Users", of: (node) => count(node.users), isNumber: true },
              {
                name: "Awake",
                of: ({ awake }) => `${count(awake.awake)} of ${count(awake["max-awake"])}, ${count(awake.waiting)} wait`,
              },
              { name: "Services over NATS", of: services },
              {
                name: "Codecs",
                of: (node) => node.codecs.map((slot) => `${slot.name} ${slot.current}`).join(", "),
              },
            ]}
          />
          <Table
            caption="Certificates"
            rows={nodes.flatMap((node) => node.certificates ?? [])}
            keyOf={(certificate) => certificate["used-by"] + certificate.key}
            empty="No certificate is in use."
            columns={[
              { name: "Used by", of: (certificate) => certificate["used-by"] },
              { name: "File", of: (certificate) => certificate.file },
              {
                name: "Expires in",
                of: (certificate) => duration(certificate.expires - Date.now() / 1000),
                isNumber: true,
              },
            ]}
          />
          <Table
            caption="Tokens that expire"
            rows={nodes.flatMap((node) => node.tokens ?? [])}
            keyOf={(token) => token.name}
            empty="No token of the control API expires."
            columns={[
              { name: "Token", of: (token) => token.name },
              { name: "File", of: (token) => token.file },
              { name: "Expires in", of: (token) => duration(token.expires - Date.now() / 1000), isNumber: true },
            ]}
          />
          <Table
            caption="Compiling"
            rows={nodes.flatMap((node) => node.compiling ?? [])}
            keyOf={(job) => job.sha256}
            empty="No component is compiled or waits."
            columns={[
              { name: "Codec", of: (job) => job.codec ?? "–" },
              { name: "SHA-256", of: (job) => <code>{digest(job.sha256)}</code> },
              { name: "Size", of: (job) => bytes(job.size), isNumber: true },
              { name: "State", of: (job) => job.state },
            ]}
          />
        </>
      )}
    </>
  );
}

function services({ nats }: NodeStatus): string {
  if (!nats) return "not used";
  const state = nats.connected ? "connected" : `not connected: ${nats.problem ?? "unknown"}`;
  return nats.dropped > 0 ? `${state}; ${count(nats.dropped)} messages dropped` : state;
}
