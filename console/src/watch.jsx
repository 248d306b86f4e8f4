// One stream: what is known of it, and its text as it comes.
import { useEffect, useRef, useState } from 'preact/hooks';
import { call, events } from './api.js';
import { useFollow } from './follow.js';
import { bytes, count, duration, rate, NONE } from './format.js';
import { failureIn, textIn } from './spoken.js';
import { Cancel } from './streams.jsx';

/** Of a long answer, the end is shown. */
const MOST = 100_000;
const TRIES = 8;
const RETRY = 1000;
const REASONS = { 404: 'Only streams that are kept can be watched: native ones and Responses, others with X-Resumable. This one is not, or has ended.', 410: 'Its beginning is no longer kept.' };

/** The events of a response, of which one that is not streamed has but one. */
async function* saidIn(response) {
  if (response.headers.get('content-type')?.includes('application/json')) yield { it: await response.json() };
  else for await (const { id, event, data } of events(response)) yield { id, event, it: data === '[DONE]' ? {} : JSON.parse(data) };
}

function useText(id) {
  const [state, setState] = useState({ text: '', word: 'Reading', error: null });
  useEffect(() => {
    const stop = new AbortController();
    let [text, after, tries] = ['', 0, 0];
    let due = 0;
    const show = (word, error = null) => {
      cancelAnimationFrame(due);
      due = requestAnimationFrame(() => setState({ text, word, error }));
      return true;
    };
    /** Whether it is over; else it was sent away, and is welcome back. */
    const readOn = async () => {
      // Events without a number cannot be gone on from.
      if (!after) text = '';
      const response = await call(`/api/chat/${id}?observe=true&after=${after}`, { signal: stop.signal });
      if (response.status === 204) return show('Over');
      for await (const { id: place, event, it } of saidIn(response)) {
        tries = 0;
        const failure = failureIn(event, it);
        if (failure && it.code === 'TOO_SLOW') return false;
        if (failure) return show('Over', failure);
        if (place) after = Number(place.split(':')[1]);
        text = (text + textIn(it)).slice(-MOST);
        show('Live');
      }
      return show('Over');
    };
    const read = async () => {
      for (; tries < TRIES; tries += 1) {
        try {
          if (await readOn()) return;
        } catch (error) {
          if (stop.signal.aborted) return;
          if (error.status) return show('', REASONS[error.status] ?? error.message);
          show('No connection; trying again');
        }
        await new Promise((done) => setTimeout(done, RETRY));
      }
      show('', 'The gateway cannot be reached.');
    };
    read();
    // A page that is left may be kept for a while, with what it reads.
    const leave = () => stop.abort();
    addEventListener('pagehide', leave);
    return () => {
      removeEventListener('pagehide', leave);
      stop.abort();
      cancelAnimationFrame(due);
    };
  }, [id]);
  return state;
}

export function Watch({ id, stream, onClose }) {
  const dialog = useRef(null);
  const [known, setKnown] = useState(stream);
  const { text, word, error } = useText(id);
  const [box, scrolled] = useFollow(text);
  useEffect(() => dialog.current.showModal(), []);
  useEffect(() => stream && setKnown(stream), [stream]);
  const facts = known && [
    ['Model', known.model], ['Target', known.target ?? NONE], ['Dialect', known.dialect], ['Owner', known.owner],
    ['Client', known.client ?? NONE], ['State', stream ? known.state : 'ended'], ['Age', duration(known.ageMs)],
    ['Waited', duration(known.queueWaitMs)], ['First token', duration(known.ttftMs)], ['Tokens', count(known.tokens)],
    ['Tokens/s', rate(known.tokensPerSecond)], ['Buffered', bytes(known.buffered)], ['Readers', count(known.watchers)],
    ['Attempts', count(known.attempts)],
  ];
  return (
    <dialog ref={dialog} class="watch" aria-labelledby="watched" onClose={onClose} onClick={({ target }) => target === dialog.current && dialog.current.close()}>
      <div class="watch-body">
        <header class="card-head">
          <h2 id="watched">Stream <code>{id}</code></h2>
          <button type="button" class="quiet" onClick={() => dialog.current.close()}>Close <kbd>Esc</kbd></button>
        </header>
        {facts && <dl class="facts">{facts.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>}
        <pre class="text" ref={box} onScroll={scrolled} tabIndex={0} aria-label="Text of the stream">{text || (error ? '' : 'Nothing yet.')}</pre>
        {error && <p class="fault">{error}</p>}
        <footer><span class="dim" role="status">{word}</span><small>Watching changes nothing of it.</small><span class="gap" />{stream && <Cancel id={id} />}</footer>
      </div>
    </dialog>
  );
}
