// Parts that several pages use.

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Refused } from "./api";

/** The heading of a page. It gets the focus, so that a screen reader says where one is. */
export function Title({ children, name }: { children?: ComponentChildren; name: string }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${name} – wireplug`;
    heading.current?.focus();
  }, [name]);
  return (
    <div class="title">
      <h1 ref={heading} tabIndex={-1}>
        {name}
      </h1>
      {children}
    </div>
  );
}

/** Why there is nothing to show. */
export function Problem({ error, what }: { error: Refused | null; what: string }) {
  if (!error) return null;
  const text = error.isMissing ? `This server does not have ${what}.` : error.message;
  return (
    <p class={error.isMissing ? "note" : "problem"} role="status">
      {text}
    </p>
  );
}

export interface Question {
  title: string;
  text: string;
  /** What the button says that does it. */
  does: string;
  isDangerous?: boolean;
  /** Fields of the change, such as a share. */
  fields?: ComponentChildren;
  /** Does it. Its result is shown; an error keeps the dialog open. */
  run: (fields: FormData) => Promise<string>;
}

/** Asks before a change, and says what came of it. */
export function Confirm({ question, close }: { question: Question; close: (done: string | null) => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);
  useEffect(() => dialog.current?.showModal(), []);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      close(await question.run(new FormData(event.target as HTMLFormElement)));
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
      setBusy(false);
    }
  };
  return (
    <dialog ref={dialog} aria-labelledby="question" onCancel={() => close(null)}>
      <form onSubmit={submit}>
        <h2 id="question">{question.title}</h2>
        <p>{question.text}</p>
        {question.fields}
        {problem && (
          <p class="problem" role="alert">
            {problem}
          </p>
        )}
        <div class="buttons">
          <button type="button" onClick={() => close(null)}>
            Cancel
          </button>
          <button type="submit" class={question.isDangerous ? "danger" : "primary"} disabled={isBusy}>
            {isBusy ? "Working…" : question.does}
          </button>
        </div>
      </form>
    </dialog>
  );
}

/** A change at a time: the question, and the result of the last one. */
export function useChange(done: () => void) {
  const [question, setQuestion] = useState<Question | null>(null);
  const [result, setResult] = useState<string | null>(null);
  const view = (
    <>
      {result && (
        <p class="result" role="status">
          {result}
        </p>
      )}
      {question && (
        <Confirm
          question={question}
          close={(result) => {
            setQuestion(null);
            if (result !== null) {
              setResult(result);
              done();
            }
          }}
        />
      )}
    </>
  );
  return { ask: setQuestion, say: setResult, view };
}

export interface Column<T> {
  name: string;
  of: (row: T) => ComponentChildren;
  isNumber?: boolean;
}

/** A table that becomes a list of cards on a phone. */
export function Table<T>({
  columns,
  rows,
  caption,
  keyOf,
  empty,
}: {
  columns: Column<T>[];
  rows: T[];
  caption: string;
  keyOf: (row: T) => string | number;
  empty: string;
}) {
  if (rows.length === 0) return <p class="note">{empty}</p>;
  return (
    <table>
      <caption>{caption}</caption>
      <thead>
        <tr>
          {columns.map((column) => (
            <th scope="col" class={column.isNumber ? "number" : undefined}>
              {column.name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={keyOf(row)}>
            {columns.map((column) => (
              <td data-name={column.name} class={column.isNumber ? "number" : undefined}>
                {column.of(row)}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Names and values. */
export function Facts({ facts }: { facts: [string, ComponentChildren][] }) {
  return (
    <dl>
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
