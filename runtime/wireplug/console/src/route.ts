// Which page is shown: the part of the address after `#`.

export interface Route {
  page: string;
  rest: string[];
  query: URLSearchParams;
}

export function parse(hash: string): Route {
  const [address = "", search = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [page = "", ...rest] = address.split("/").map(decode);
  return { page: page || "overview", rest: rest.filter((part) => part !== ""), query: new URLSearchParams(search) };
}

export function link(page: string, ...rest: (string | number)[]): string {
  return "#/" + [page, ...rest].map(encodeURIComponent).join("/");
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
