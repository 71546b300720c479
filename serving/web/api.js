// The API, and its problems as sentences.

/** A request that failed; the message is for people. */
export class Problem extends Error {
  constructor(document, status) {
    super(document.detail || `The server answered with status ${status}.`);
    this.status = status;
    this.document = document;
  }
}

/** Read JSON from the API; parameters that are null or empty are left out. */
export async function get(path, parameters = {}, signal = undefined) {
  return answer(await send(address(path, parameters), { signal }));
}

/** Send a file as the body of a request. */
export async function post(path, parameters, body, type) {
  return answer(await send(address(path, parameters), { method: "POST", body, headers: { "Content-Type": type } }));
}

function address(path, parameters) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined && one !== "") query.append(name, one);
    }
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

async function send(url, options) {
  try {
    return await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ detail: "The server cannot be reached." }, 0);
  }
}

async function answer(response) {
  let body = null;
  try {
    body = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
  }
  if (!response.ok || body === null) throw new Problem(body ?? {}, response.status);
  return body;
}

const kept = new Map();

/** Read as `get` does, once for each address until `forget` is called. */
export function getOnce(path, parameters = {}) {
  const key = address(path, parameters);
  if (!kept.has(key)) {
    const reading = get(path, parameters);
    kept.set(key, reading);
    reading.catch(() => kept.delete(key));
  }
  return kept.get(key);
}

/** Forget what was read: the store has changed. */
export const forget = () => kept.clear();
