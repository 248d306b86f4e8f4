// The gateway, second by second: one event stream, read while somebody looks.
import { call, events } from './api.js';
import { store } from './store.js';

const RETRY = [1000, 2000, 5000, 10_000];
const initial = { state: 'connecting', error: null, hello: null, samples: [], second: null, epoch: 0 };

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
    const samples = [...now.samples, sample].slice(-historySeconds);
    // The gateway's clock, as this page's.
    const epoch = now.epoch || Date.now() - sample.at;
    feed.set({ ...now, samples, epoch, second: { ...data, streams: named(streamColumns, data.streams) } });
  } else if (event === 'console.end') {
    feed.set({ ...now, state: 'ended' });
  }
}

async function read(signal) {
  for (let tries = 0; !signal.aborted; tries += 1) {
    try {
      const response = await call('/api/console/events', { signal });
      for await (const event of events(response)) {
        take(event);
        tries = 0;
      }
    } catch (error) {
      if (signal.aborted) return;
      if ([401, 403, 404].includes(error.status)) return feed.set({ ...initial, state: 'refused', error });
      feed.set({ ...feed.get(), state: 'lost', epoch: 0, error: error.status ? error : null });
    }
    await new Promise((done) => setTimeout(done, RETRY[Math.min(tries, RETRY.length - 1)]));
  }
}

/** Reads while the page is to be seen; gives what stops it. */
export function follow() {
  const start = () => {
    stop();
    if (document.hidden) return;
    feed.set({ ...feed.get(), state: 'connecting', epoch: 0 });
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
