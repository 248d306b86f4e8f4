// The gateway as it runs: charts, models, streams.
import { useEffect, useState } from 'preact/hooks';
import { key } from './api.js';
import { Charts } from './charts.jsx';
import { feed, follow } from './feed.js';
import { count } from './format.js';
import { Models } from './models.jsx';
import { useStore } from './store.js';
import { Streams } from './streams.jsx';
import { Watch } from './watch.jsx';

const WORDS = { connecting: 'Connecting', live: 'Live', lost: 'No connection; trying again. What is shown is old', ended: 'The gateway has stopped' };

function Summary({ state, error, second }) {
  const queued = second?.models.reduce((sum, model) => sum + model.queued, 0);
  return (
    <p class="summary">
      <span class={`mark ${state === 'live' ? 'good' : 'middling'}`} role="status"><i aria-hidden="true" />{second?.draining && state === 'live' ? 'Draining' : error?.message ?? WORDS[state]}</span>
      {second && <span><b>{count(second.active)}</b> of {count(second.limit)} streams</span>}
      {second && <span><b>{count(queued)}</b> in the queue</span>}
    </p>
  );
}

/** Its parts come one after another, each in a frame of its own: all at once would hold one up. */
function Parts({ hello, samples, second }) {
  const [open, setOpen] = useState(null);
  const [shown, setShown] = useState(1);
  useEffect(() => {
    if (shown < 3) setShown(shown + 1);
  }, [shown]);
  return (
    <>
      <Charts samples={samples} span={hello.historySeconds} />
      {shown > 1 && <section class="card"><header class="card-head"><h2>Models</h2></header><Models models={second.models} /></section>}
      {shown > 2 && <Streams streams={second.streams} active={second.active} onOpen={setOpen} />}
      {open && <Watch key={open} id={open} stream={second.streams.find(({ id }) => id === open)} onClose={() => setOpen(null)} />}
    </>
  );
}

export function Live() {
  const secret = useStore(key);
  const now = useStore(feed);
  const { state, error, hello, second } = now;
  useEffect(follow, [secret]);
  if (state === 'refused') {
    return <section class="page"><h1 class="hidden">Live</h1><p class="fault" role="alert">{error.message}</p></section>;
  }
  return (
    <section class={`page live ${state === 'lost' || state === 'ended' ? 'stale' : ''}`}>
      <h1 class="hidden">Live</h1>
      <Summary state={state} error={error} second={second} />
      {hello && second && <Parts {...now} />}
    </section>
  );
}
