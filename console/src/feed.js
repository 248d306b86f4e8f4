// The gateway, second by second: one event stream, read while somebody looks.
import { call, events } from './api.js';
import { store } from './store.js';

const RETRY = [1000, 2000, 5000, 10_000];
/** Something is due every second: a connection that is silent for so long is none. */
const SILENCE = 5000;
const initial = { state: 'connecting', error: null, hello: null, samples: [], second: null };

export const feed = store(initial);
let reading = null;

/** Rows of values as objects. */
const named = (columns, rows) =>
  rows.map((row) => {
    const it = {};
    for (let index = 0; index < columns.length; index += 1) it[columns[index]] = row[index];
    return it;
  });

function take({ event, data: text }) {
  const data = JSON.parse(text);
  const now = feed.get();
  if (event === 'console.hello') {
    feed.set({ ...now, state: 'live', error: null, hello: data, samples: named(data.sampleColumns, data.samples) });
  } else if (event === 'console.second') {
    const { sampleColumns, streamColumns, historySeconds } = now.hello;
    const [sample] = named(sampleColumns, [data.sample]);
    // The first second may be the last of the history.
    const isNew = !(sample.at <= now.samples.at(-1)?.at);
    const samples = isNew ? [...now.samples, sample].slice(-historySeconds) : now.samples;
    feed.set({ ...now, samples, second: { ...data, streams: named(streamColumns, data.streams) } });
  } else if (event === 'console.end') {
    feed.set({ ...now, state: 'ended' });
  }
}

/** Reads one connection to its end, or until it is silent. */
async function connect(signal, heard) {
  const connection = new AbortController();
  const leave = () => connection.abort();
  let alarm = setTimeout(leave, SILENCE);
  signal.addEventListener('abort', leave);
  try {
    const response = await call('/api/console/events', { signal: connection.signal });
    for await (const event of events(response)) {
      clearTimeout(alarm);
      alarm = setTimeout(leave, SILENCE);
      take(event);
      heard();
    }
  } finally {
    clearTimeout(alarm);
    signal.removeEventListener('abort', leave);
  }
}

async function read(signal) {
  for (let tries = 0; !signal.aborted; tries += 1) {
    let error = null;
    await connect(signal, () => { tries = 0; }).catch((failed) => { error = failed; });
    if (signal.aborted) return;
    if ([401, 403, 404].includes(error?.status)) return feed.set({ ...initial, state: 'refused', error });
    if (error || feed.get().state !== 'ended') feed.set({ ...feed.get(), state: 'lost', error: error?.status ? error : null });
    await new Promise((done) => setTimeout(done, RETRY[Math.min(tries, RETRY.length - 1)]));
  }
}

/** Reads while the page is to be seen; gives what stops it. */
export function follow() {
  const start = () => {
    stop();
    if (document.hidden) return;
    feed.set({ ...feed.get(), state: 'connecting' });
    reading = new AbortController();
    read(reading.signal);
  };
  const stop = () => {
    reading?.abort();
    reading = null;
  };
  start();
  document.addEventListener('visibilitychange', start);
  return () => {
    document.removeEventListener('visibilitychange', start);
    stop();
  };
}
