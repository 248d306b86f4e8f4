// All streams as they run. Only the rows in sight are drawn: there may be thousands.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { cancelStream } from './api.js';
import { bytes, count, duration, rate, NONE } from './format.js';

const ROW = 32;
const SPARE = 6;
const SIGHT = 16;
/** So many come first; the others once these are to be seen. */
const FIRST = 10;
const CONFIRM = 3000;
/** Within so many milliseconds two clicks are a double click, which is no answer to a question. */
const TWICE = 400;

/** Where there is less room those that are more to spare go first; as many as are left are the tracks in the style. */
const COLUMNS = [
  { name: 'state', title: 'State', show: ({ state }) => <span class={`mark state-${state}`}><i aria-hidden="true" />{state}</span> },
  { name: 'model', title: 'Model', show: ({ model }) => model },
  { name: 'target', title: 'Target', show: ({ target }) => target ?? NONE, spare: 3 },
  { name: 'owner', title: 'Owner', show: ({ owner }) => owner },
  { name: 'client', title: 'Client', show: ({ client, clientLeft }) => (clientLeft ? 'left' : client ?? NONE), spare: 4 },
  { name: 'ageMs', title: 'Age', number: true, show: ({ ageMs }) => duration(ageMs) },
  { name: 'ttftMs', title: 'First token', number: true, show: ({ ttftMs }) => duration(ttftMs), spare: 2 },
  { name: 'tokens', title: 'Tokens', number: true, show: ({ tokens }) => count(tokens), spare: 2 },
  { name: 'tokensPerSecond', title: 'Tokens/s', number: true, show: ({ tokensPerSecond }) => rate(tokensPerSecond), spare: 1 },
  { name: 'buffered', title: 'Buffered', number: true, show: ({ buffered }) => bytes(buffered), spare: 3 },
];
const SOUGHT = ['id', 'model', 'target', 'owner', 'client', 'state', 'dialect'];

/** What is not known comes last, whatever comes first. */
function compare(one, other, down) {
  if (one == null || other == null) return (one == null) - (other == null);
  const order = typeof one === 'number' ? one - other : String(one).localeCompare(String(other));
  return down ? -order : order;
}

function arrange(streams, words, { by, down }) {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  const matches = (stream) => wanted.every((word) => SOUGHT.some((name) => String(stream[name] ?? '').toLowerCase().includes(word)));
  const found = wanted.length ? streams.filter(matches) : streams.slice();
  return found.sort((one, other) => compare(one[by], other[by], down));
}

function Head({ order, setOrder }) {
  const sort = (name) => setOrder({ by: name, down: order.by === name ? !order.down : false });
  return (
    <div role="row" class="row head" aria-rowindex={1}>
      {COLUMNS.map(({ name, title, number, spare }) => (
        <span key={name} role="columnheader" class={`${number ? 'number' : ''} spare-${spare ?? 0}`} aria-sort={order.by === name ? (order.down ? 'descending' : 'ascending') : 'none'}>
          <button type="button" class="sort" onClick={() => sort(name)}>{title}{order.by === name && <span aria-hidden="true">{order.down ? ' ↓' : ' ↑'}</span>}</button>
        </span>
      ))}
      <span role="columnheader" class="act"><span class="hidden">Actions</span></span>
    </div>
  );
}

/** Asks once more before it ends somebody's answer. */
export function Cancel({ id, tabIndex }) {
  const [state, setState] = useState('');
  const asked = useRef(0);
  const press = async (event) => {
    event.stopPropagation();
    if (state === 'gone') return;
    if (event.detail > 0 && Date.now() - asked.current < TWICE) return;
    if (state !== 'sure') {
      asked.current = Date.now();
      setState('sure');
      setTimeout(() => setState((now) => (now === 'sure' ? '' : now)), CONFIRM);
      return;
    }
    setState('gone');
    await cancelStream(id).catch(() => setState('failed'));
  };
  const words = { sure: 'Sure?', gone: 'Cancelled', failed: 'Failed' };
  const isHeld = (event) => event.repeat && event.preventDefault();
  return <button type="button" class={state === 'sure' ? 'danger small' : 'quiet small'} tabIndex={tabIndex} aria-disabled={state === 'gone'} onClick={press} onKeyDown={isHeld} aria-label={`${words[state] ?? 'Cancel'} stream ${id.slice(0, 8)}`}>{words[state] ?? 'Cancel'}</button>;
}

function Row({ stream, index, current, onOpen }) {
  return (
    <div role="row" class={`row ${current ? 'current' : ''}`} aria-rowindex={index + 2} tabIndex={current ? 0 : -1} data-index={index} data-stream={stream.id} onClick={() => onOpen(stream.id)}>
      {COLUMNS.map(({ name, number, spare, show }) => <span key={name} role="gridcell" class={`${number ? 'number' : ''} spare-${spare ?? 0}`}>{show(stream)}</span>)}
      <span role="gridcell" class="act"><Cancel key={stream.id} id={stream.id} tabIndex={current ? 0 : -1} /></span>
    </div>
  );
}

/**
 * Rows by stream. One that is in sight keeps its own; what leaves gives its to what comes, since to write into a row
 * costs a part of making one. But for the row that has the focus: that would go over to another stream.
 */
function useKeys(seen, focused) {
  const [used, made] = [useRef(new Map()), useRef(0)];
  const ids = seen.map(({ id }) => id);
  const stay = new Set(ids);
  const free = [...used.current].filter(([id]) => !stay.has(id) && id !== focused).map(([, key]) => key);
  used.current = new Map(ids.map((id) => [id, used.current.get(id) ?? free.shift() ?? ++made.current]));
  return used.current;
}

const streamOf = (element) => element?.closest('[data-stream]')?.dataset.stream;

export function Streams({ streams, active, onOpen }) {
  const [words, setWords] = useState('');
  const [order, setOrder] = useState({ by: 'ageMs', down: true });
  const [top, setTop] = useState(0);
  const [current, setCurrent] = useState(null);
  const place = useRef(0);
  const [most, setMost] = useState(FIRST);
  useEffect(() => setMost(Infinity), []);
  const box = useRef(null);
  const rows = useMemo(() => arrange(streams, words, order), [streams, words, order]);
  const first = Math.max(0, Math.floor(top / ROW) - SPARE);
  const sight = Math.max(SIGHT, Math.ceil((box.current?.clientHeight ?? 0) / ROW));
  const seen = rows.slice(first, first + Math.min(most, sight + 2 * SPARE));
  const focused = streamOf(document.activeElement);
  const keys = useKeys(seen, focused);
  // Where the stream is that has, or had, the focus. Its place is kept when it ends: the next one's then.
  const found = rows.findIndex(({ id }) => id === current);
  if (found >= 0) place.current = found;
  const within = (index) => Math.max(0, Math.min(index, rows.length - 1));
  const isNear = place.current >= first && place.current < first + seen.length;
  const entry = within(isNear ? place.current : Math.ceil(top / ROW));
  const move = (to) => {
    const index = within(to);
    const id = rows[index]?.id;
    setCurrent(id);
    const it = box.current;
    if (index * ROW < it.scrollTop) it.scrollTop = index * ROW;
    if ((index + 2) * ROW > it.scrollTop + it.clientHeight) it.scrollTop = (index + 2) * ROW - it.clientHeight;
    requestAnimationFrame(() => it.querySelector(`[data-stream="${id}"]`)?.focus());
  };
  const hasEnded = focused != null && !rows.some(({ id }) => id === focused);
  useLayoutEffect(() => {
    if (hasEnded) move(place.current);
  }, [hasEnded]);
  const press = (event) => {
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: sight - 2, PageUp: 2 - sight, Home: -Infinity, End: Infinity };
    if (event.key in steps && !event.target.closest('.head')) move(entry + steps[event.key]);
    else if (event.key === 'Enter' && event.target.dataset.stream) onOpen(event.target.dataset.stream);
    else return;
    event.preventDefault();
  };
  const told = words ? `${count(rows.length)} of ${count(streams.length)}` : count(rows.length);
  const more = active > streams.length ? `; ${count(active - streams.length)} more are not listed` : '';
  return (
    <section class="card streams">
      <header class="card-head">
        <h2>Streams <small>{told}{more}</small></h2>
        <input id="filter" type="search" placeholder="Filter" aria-label="Filter streams" accesskey="/" value={words} onInput={({ target }) => setWords(target.value)} />
      </header>
      <div class="grid" role="grid" aria-label="Streams" aria-rowcount={rows.length + 1} ref={box} tabIndex={rows.length ? -1 : 0} onKeyDown={press} onFocusIn={({ target }) => setCurrent(streamOf(target) ?? current)} onScroll={({ currentTarget }) => setTop(currentTarget.scrollTop)}>
        <div role="rowgroup" class="heads"><Head order={order} setOrder={setOrder} /></div>
        <div role="rowgroup" class="rows" style={{ height: `${rows.length * ROW}px` }}>
          <div role="presentation" class="window" style={{ transform: `translateY(${first * ROW}px)` }}>
            {seen.map((stream, index) => <Row key={keys.get(stream.id)} stream={stream} index={first + index} current={first + index === entry} onOpen={onOpen} />)}
          </div>
        </div>
        {rows.length === 0 && <div role="row" class="row none"><span role="gridcell">{words ? 'No stream matches.' : 'No stream is live.'}</span></div>}
      </div>
    </section>
  );
}
