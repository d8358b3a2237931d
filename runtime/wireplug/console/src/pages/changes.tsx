// The changes of a codec, each with its question.

import { path, send } from "../api";
import { bytes, digest } from "../format";
import type { Question } from "../ui";
import type { Generation, Slot, SwapReport } from "../types";

interface Candidate {
  slot: string;
  generation: number;
}

export function candidateOf(slot: Slot): Generation | undefined {
  return slot.generations.find((generation) => generation.role === "shadow" || generation.role === "canary");
}

function swapped(report: SwapReport | null): string {
  if (!report) return "That version is current already.";
  const { from, to, moved, staying } = report;
  if (report["rolled-back"]) return `Generation ${to} failed meanwhile, and was rolled back.`;
  return `Generation ${to} is current, after ${from}: ${moved} sessions moved, ${staying} stay for now.`;
}

const LiveSessions = () => (
  <label>
    Live sessions
    <select name="sessions">
      <option value="">as the slot says</option>
      <option value="handoff">hand over</option>
      <option value="drain">drain</option>
      <option value="close">close</option>
    </select>
  </label>
);

function sessionsOf(fields: FormData, params: URLSearchParams): void {
  const sessions = fields.get("sessions");
  if (sessions) params.set("sessions", String(sessions));
}

const withQuery = (path: string, params: URLSearchParams) => (params.size > 0 ? `${path}?${params}` : path);

/** Uploads a component: as a trial, and if the person may swap, also at once. */
export function upload(slot: Slot, maySwap: boolean): Question {
  return {
    title: `Upload a component for ${slot.name}`,
    text:
      "A canary serves a share of the new sessions. A shadow only compares its answers." +
      (maySwap ? " Without a trial, the component becomes current at once." : ""),
    does: "Upload",
    fields: (
      <>
        <label>
          Component
          <input type="file" name="component" accept=".wasm" required />
        </label>
        <label>
          Use
          <select name="trial">
            <option value="canary">as a canary</option>
            <option value="shadow">as a shadow</option>
            {maySwap && <option value="">at once, for all sessions</option>}
          </select>
        </label>
        <label>
          Share of a trial, in percent
          <input type="number" name="share" min="0.1" max="100" step="0.1" value="10" required />
        </label>
        {maySwap && (
          <>
            <LiveSessions />
            <label class="check">
              <input type="checkbox" name="force" /> Also if it was rolled back before
            </label>
          </>
        )}
      </>
    ),
    run: async (fields) => {
      const params = new URLSearchParams();
      const trial = String(fields.get("trial") ?? "");
      if (trial) {
        params.set("trial", trial);
        params.set("share", String(Number(fields.get("share")) / 100));
      } else {
        sessionsOf(fields, params);
      }
      if (fields.get("force")) params.set("force", "true");
      const component = fields.get("component") as File;
      const answer = await send<SwapReport | Candidate>("PUT", withQuery(path("codecs", slot.name), params), component);
      if (answer && "generation" in answer) return `Generation ${answer.generation} is on trial as a ${trial}.`;
      return swapped(answer as SwapReport | null);
    },
  };
}

export function promote(slot: Slot, candidate: Generation): Question {
  const { number, sha256, size } = candidate;
  return {
    title: `Promote generation ${number} of ${slot.name}?`,
    text: `It is ${digest(sha256)} of ${bytes(size)}, and becomes current for all new sessions.`,
    does: "Promote",
    fields: <LiveSessions />,
    run: async (fields) => {
      const params = new URLSearchParams();
      sessionsOf(fields, params);
      return swapped(await send<SwapReport>("POST", withQuery(path("codecs", slot.name, "promote"), params)));
    },
  };
}

export function endTrial(slot: Slot, candidate: Generation): Question {
  return {
    title: `End the trial of generation ${candidate.number} of ${slot.name}?`,
    text: "Its sessions go back to the current generation.",
    does: "End the trial",
    run: async () => {
      const ended = await send<Candidate>("DELETE", path("codecs", slot.name, "trial"));
      return `The trial of generation ${ended?.generation} has ended.`;
    },
  };
}

export function rollBack(slot: Slot): Question {
  const previous = slot.generations.find((generation) => generation.role === "previous");
  return {
    title: `Roll ${slot.name} back?`,
    text: `Generation ${previous?.number} (${digest(previous?.sha256)}) becomes current again. The component that is current now is refused from then on, unless an upload forces it.`,
    does: "Roll back",
    isDangerous: true,
    run: async () => swapped(await send<SwapReport>("POST", path("codecs", slot.name, "rollback"))),
  };
}

export function reload(slot: Slot): Question {
  return {
    title: `Reload ${slot.name} from its file?`,
    text: "The server reads the file of the configuration again.",
    does: "Reload",
    run: async () => swapped(await send<SwapReport>("POST", path("codecs", slot.name, "reload"))),
  };
}
