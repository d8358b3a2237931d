// Codecs: their generations, trials and the differences of a shadow.

import { bytes, count, digest } from "../format";
import { usePoll } from "../poll";
import { largest } from "../rates";
import { Problem, Table, Title, useChange } from "../ui";
import type { Compared, Generation, Role, Slot } from "../types";
import { candidateOf, endTrial, promote, reload, rollBack, upload } from "./changes";

export function Codecs({ may }: { may: Role[] }) {
  const { value: slots, error, refresh } = usePoll<Slot[]>("/codecs", 2000);
  return (
    <>
      <Title name="Codecs" />
      <Problem error={error} what="codecs (GET /codecs)" />
      {slots?.map((slot) => <SlotPart key={slot.name} slot={slot} may={may} refresh={refresh} />)}
    </>
  );
}

function SlotPart({ slot, may, refresh }: { slot: Slot; may: Role[]; refresh: () => void }) {
  const change = useChange(refresh);
  const candidate = candidateOf(slot);
  const maySwap = may.includes("swap");
  const hasPrevious = slot.generations.some((generation) => generation.role === "previous");
  return (
    <section aria-label={`Codec ${slot.name}`}>
      <div class="title">
        <h2>{slot.name}</h2>
        {slot.suspended && <strong class="badge danger">suspended</strong>}
        {slot["refused-addresses"] > 0 && (
          <span class="badge">{count(slot["refused-addresses"])} addresses refused</span>
        )}
        {may.includes("trial") && (
          <div class="buttons">
            <button type="button" onClick={() => change.ask(upload(slot, maySwap))}>
              Upload…
            </button>
            {candidate && maySwap && (
              <button type="button" onClick={() => change.ask(promote(slot, candidate))}>
                Promote…
              </button>
            )}
            {candidate && (
              <button type="button" onClick={() => change.ask(endTrial(slot, candidate))}>
                End the trial…
              </button>
            )}
            {maySwap && (
              <>
                <button type="button" disabled={!hasPrevious} onClick={() => change.ask(rollBack(slot))}>
                  Roll back…
                </button>
                <button type="button" onClick={() => change.ask(reload(slot))}>
                  Reload…
                </button>
              </>
            )}
          </div>
        )}
      </div>
      {change.view}
      <Generations slot={slot} />
      {slot.shadow && <Differences compared={slot.shadow} />}
      {slot["rolled-back"].length > 0 && (
        <p class="rolled-back">
          Rolled back, and refused unless forced:{" "}
          {slot["rolled-back"].map((sha256) => (
            <code title={sha256}>{digest(sha256)} </code>
          ))}
        </p>
      )}
    </section>
  );
}

function Generations({ slot }: { slot: Slot }) {
  const faults = (generation: Generation) =>
    largest(generation.faults).map(([cause, times]) => `${cause}: ${count(times)}`).join(", ") || "none";
  return (
    <Table
      caption={`Generations of ${slot.name}`}
      rows={[...slot.generations].reverse()}
      keyOf={(generation) => generation.number}
      empty="There is no generation."
      columns={[
        { name: "Generation", of: (generation) => generation.number, isNumber: true },
        { name: "Role", of: (generation) => <span class={`badge ${generation.role}`}>{generation.role}</span> },
        { name: "Codec", of: (generation) => `${generation.name} ${generation.version}` },
        {
          name: "SHA-256",
          of: (generation) => <code title={generation.sha256 ?? undefined}>{digest(generation.sha256)}</code>,
        },
        { name: "Size", of: (generation) => bytes(generation.size), isNumber: true },
        { name: "Sessions", of: (generation) => count(generation.sessions), isNumber: true },
        { name: "Packets in", of: (generation) => count(generation["packets-in"]), isNumber: true },
        { name: "Packets out", of: (generation) => count(generation["packets-out"]), isNumber: true },
        { name: "Faults", of: faults },
        { name: "From", of: (generation) => generation.origin },
      ]}
    />
  );
}

function Differences({ compared }: { compared: Compared }) {
  return (
    <details open={compared.differences > 0}>
      <summary>
        Shadow: {count(compared.differences)} of {count(compared.compared)} answers differ
        {compared["not-mirrored"] > 0 && `; ${count(compared["not-mirrored"])} sessions were not mirrored`}
      </summary>
      <Table
        caption="The first differences"
        rows={compared.first}
        keyOf={(difference) => JSON.stringify(difference)}
        empty="No answer differs."
        columns={[
          { name: "Call", of: (difference) => difference.call },
          { name: "Input", of: (difference) => <code>{difference.input}</code> },
          { name: "Current", of: (difference) => <code>{difference.current}</code> },
          { name: "Candidate", of: (difference) => <code>{difference.candidate}</code> },
        ]}
      />
    </details>
  );
}
