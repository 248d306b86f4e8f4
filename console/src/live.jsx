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

const WORDS = { connecting: 'Connecting', live: 'Live', lost: 'No connection; trying again', ended: 'The gateway has stopped' };

function Summary({ state, second }) {
  const queued = second?.models.reduce((sum, model) => sum + model.queued, 0);
  return (
    <p class="summary">
      <span class={`mark ${state === 'live' ? 'good' : 'middling'}`} role="status"><i aria-hidden="true" />{second?.draining && state === 'live' ? 'Draining' : WORDS[state]}</span>
      {second && <span><b>{count(second.active)}</b> of {count(second.limit)} streams</span>}
      {second && <span><b>{count(queued)}</b> in the queue</span>}
    </p>
  );
}

export function Live() {
  const secret = useStore(key);
  const { state, error, hello, samples, second, epoch } = useStore(feed);
  const [open, setOpen] = useState(null);
  useEffect(follow, [secret]);
  if (state === 'refused') {
    return <section class="page"><h1 class="hidden">Live</h1><p class="fault" role="alert">{error.message}</p></section>;
  }
  return (
    <section class="page live">
      <h1 class="hidden">Live</h1>
      <Summary state={state} second={second} />
      {hello && second && (
        <>
          <Charts samples={samples} epoch={epoch} span={hello.historySeconds} />
          <section class="card"><header class="card-head"><h2>Models</h2></header><Models models={second.models} /></section>
          <Streams streams={second.streams} active={second.active} onOpen={setOpen} />
          {open && <Watch key={open} id={open} stream={second.streams.find(({ id }) => id === open)} onClose={() => setOpen(null)} />}
        </>
      )}
    </section>
  );
}
