// One stream: what is known of it, and its text as it comes.
import { useEffect, useRef, useState } from 'preact/hooks';
import { call, events } from './api.js';
import { bytes, count, duration, rate, NONE } from './format.js';
import { Cancel } from './streams.jsx';

/** Of a long answer, the end is shown. */
const MOST = 100_000;
const REASONS = { 404: 'Only streams that are kept can be watched: native ones and Responses, others with X-Resumable. This one is not, or has ended.', 410: 'Its beginning is no longer kept.' };

/** The text in an event of any dialect. */
export function textIn(data) {
  if (data === '[DONE]') return '';
  const it = JSON.parse(data);
  const choice = it.choices?.[0];
  if (it.type === 'response.output_text.delta') return it.delta;
  if (it.type) return it.delta?.text ?? '';
  return choice?.delta?.content ?? choice?.text ?? choice?.message?.content ?? it.message?.content ?? it.response ?? (typeof it.content === 'string' ? it.content : '') ?? '';
}

function useText(id) {
  const [state, setState] = useState({ text: '', word: 'Reading', error: null });
  useEffect(() => {
    const stop = new AbortController();
    let text = '';
    let due = 0;
    const show = (word, error = null) => {
      cancelAnimationFrame(due);
      due = requestAnimationFrame(() => setState({ text, word, error }));
    };
    const read = async () => {
      const response = await call(`/api/chat/${id}`, { signal: stop.signal });
      if (response.status === 204) return show('Over');
      for await (const { event, data } of events(response)) {
        if (event === 'error') return show('Over', JSON.parse(data).message);
        text = (text + textIn(data)).slice(-MOST);
        show('Live');
      }
      show('Over');
    };
    read().catch((error) => stop.signal.aborted || show('', REASONS[error.status] ?? error.message));
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
        <pre class="text" tabIndex={0} aria-label="Text of the stream">{text || (error ? '' : 'Nothing yet.')}</pre>
        {error && <p class="fault">{error}</p>}
        <footer><span class="dim" role="status">{word}</span><span class="gap" />{stream && <Cancel id={id} />}</footer>
      </div>
    </dialog>
  );
}
