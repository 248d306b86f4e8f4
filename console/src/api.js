// The gateway's API: requests with the key that was entered, and the events of a response.
import { store } from './store.js';

const KEY = 'tidegate.key';

/** Of this tab alone; a browser that opens a closed tab again has it as well. Sent in a header: there is nothing that a browser adds by itself. */
export const key = store(sessionStorage.getItem(KEY) ?? '');

export function setKey(text) {
  if (text) sessionStorage.setItem(KEY, text);
  else sessionStorage.removeItem(KEY);
  key.set(text);
}

/** What the gateway says when it does not do what was asked. */
export class Refusal extends Error {
  constructor(status, { message, error }) {
    super(message ?? `The gateway answered ${status}.`);
    this.status = status;
    this.code = error ?? '';
  }
}

export async function call(path, { headers, ...options } = {}) {
  const auth = key.get() ? { Authorization: `Bearer ${key.get()}` } : {};
  const response = await fetch(path, { ...options, headers: { ...headers, ...auth }, credentials: 'omit', cache: 'no-store' });
  if (response.ok) return response;
  throw new Refusal(response.status, await response.json().catch(() => ({})));
}

/** Ends a stream; one that has just ended by itself is fine too. */
export const cancelStream = (id) =>
  call(`/api/chat/${encodeURIComponent(id)}`, { method: 'DELETE' }).catch((error) => {
    if (error.status !== 404) throw error;
  });

/** The events of a response, `{id, event, data}`, with `data` as text. Lines of NDJSON are events too. */
export async function* events(response) {
  const isLines = response.headers.get('content-type')?.includes('ndjson');
  const end = isLines ? '\n' : '\n\n';
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  try {
    for (let { value, done } = await reader.read(); !done; { value, done } = await reader.read()) {
      const blocks = (text + value).split(end);
      text = blocks.pop();
      for (const block of blocks) {
        const event = isLines ? { data: block } : fieldsOf(block);
        if (event.data) yield event;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function fieldsOf(block) {
  const event = {};
  for (const line of block.split('\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) event[line.slice(0, colon)] = line.slice(colon + 1).trimStart();
  }
  return event;
}
