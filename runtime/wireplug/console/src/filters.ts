// The filters of the list of sessions, as a person types them and as the API takes them.

export const FILTERS = [
  { name: "user", label: "User" },
  { name: "address", label: "Address" },
  { name: "codec", label: "Codec" },
  { name: "generation", label: "Generation" },
  { name: "listener", label: "Listener" },
  { name: "group", label: "Group" },
  { name: "state", label: "State" },
  { name: "idle-over", label: "Idle over" },
] as const;

export type Filter = (typeof FILTERS)[number]["name"];
export type Filters = Partial<Record<Filter, string>>;

const NAMES = new Set<string>(FILTERS.map((filter) => filter.name));

/**
 * Reads a search: words of the form `name:value`, with quotes around values that have spaces. A
 * word without a name is a user, or an address if it looks like one.
 */
export function parse(search: string): { filters: Filters; unknown: string[] } {
  const filters: Filters = {};
  const unknown: string[] = [];
  for (const match of search.matchAll(/(?:([a-z-]+):)?(?:"([^"]*)"|(\S+))/g)) {
    const [whole, name, quoted, plain] = match;
    const value = quoted ?? plain ?? "";
    if (value === "") continue;
    if (name === undefined) filters[isAddress(value) ? "address" : "user"] = value;
    else if (NAMES.has(name)) filters[name as Filter] = value;
    // The groups of an IPv6 address look like names.
    else if (isAddress(whole)) filters.address = whole;
    else unknown.push(name);
  }
  return { filters, unknown };
}

/** Writes filters as a search, so that a link can carry it. */
export function print(filters: Filters): string {
  const words = FILTERS.flatMap(({ name }) => {
    const value = filters[name];
    if (!value) return [];
    return [`${name}:${/\s/.test(value) ? `"${value}"` : value}`];
  });
  return words.join(" ");
}

/** The query of one page. */
export function query(filters: Filters, limit: number, after: string | number | null): string {
  const params = new URLSearchParams();
  for (const { name } of FILTERS) {
    const value = filters[name];
    if (value) params.set(name, value);
  }
  params.set("limit", String(limit));
  if (after !== null) params.set("after", String(after));
  return params.toString();
}

/** Whether a word is an IP address, with or without a port. */
function isAddress(word: string): boolean {
  return /^\d{1,3}(\.\d{1,3}){3}(:\d+)?$/.test(word) || /^\[?[0-9a-f]*:[0-9a-f:.]*:[0-9a-f:.]*(\]:\d+)?$/i.test(word);
}

/** The pages that a person went through, so that they can go back. */
export class Pages {
  private constructor(private readonly starts: (string | number | null)[]) {}

  static first(): Pages {
    return new Pages([null]);
  }

  get after(): string | number | null {
    return this.starts.at(-1) ?? null;
  }

  get number(): number {
    return this.starts.length;
  }

  next(after: string | number): Pages {
    return new Pages([...this.starts, after]);
  }

  back(): Pages {
    return this.starts.length > 1 ? new Pages(this.starts.slice(0, -1)) : this;
  }
}
