// The gateway's API. Ids are texts here: a 64-bit id does not fit a JavaScript number.

export class Problem extends Error {
  constructor(status, detail, retry) {
    super(detail);
    this.status = status;
    this.retry = retry;
  }
}

const big = (text) => text
  .replace(/"(id|next|first|last)":(-?\d+)/g, '"$1":"$2"')
  .replace(/"examples":\[([-\d,]+)\]/g, (_, ids) => `"examples":["${ids.replaceAll(",", '","')}"]`);

// Quotes within a value are escaped, so a value can never look like one of these keys.
const small = (value) => JSON.stringify(value).replace(/"(user_id|item_id)":"(-?\d+)"/g, '"$1":$2');

async function call(method, path, value) {
  let response;
  try {
    const body = value === undefined ? undefined : small(value);
    response = await fetch(path, { method, body, headers: { Accept: "application/json" } });
  } catch {
    throw new Problem(0, "The gateway does not answer. It is asked again.", 2);
  }
  const text = await response.text();
  if (!response.ok) {
    let detail = response.statusText;
    try {
      detail = JSON.parse(text).detail;
    } catch { /* not a problem of the gateway's: the status text stays */ }
    throw new Problem(response.status, detail, Number(response.headers.get("Retry-After")) || 0);
  }
  return { reply: text ? JSON.parse(big(text)) : null, headers: response.headers };
}

export const schema = async () => (await call("GET", "/v1/schema")).reply;

export async function items(query, after, limit) {
  const words = new URLSearchParams({ query, limit });
  if (after !== null) words.set("after", after);
  return (await call("GET", `/v1/items?${words}`)).reply;
}

export async function byIds(ids) {
  const words = new URLSearchParams(ids.map((id) => ["id", id]));
  return ids.length ? (await call("GET", `/v1/items?${words}`)).reply.items : [];
}

// Adds `took`: milliseconds of the round trip and inside Triton.
export async function recommend(person, context, k) {
  const start = performance.now();
  const { reply, headers } = await call("POST", "/v1/recommend", { user_id: person, k, context, explain: true });
  const triton = /triton;dur=([\d.]+)/.exec(headers.get("Server-Timing") ?? "");
  return { ...reply, took: { browser: performance.now() - start, triton: triton ? Number(triton[1]) : null } };
}

export async function cart(person, item) {
  // Not randomUUID: that is there on HTTPS and localhost only.
  const random = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0"));
  const event = { event_id: `storefront-${random.join("")}`, user_id: person, item_id: item, type: "cart" };
  return (await call("POST", "/v1/events", { events: [event] })).reply;
}

export const forget = (person) => call("DELETE", `/v1/users/${encodeURIComponent(person)}/state`);
