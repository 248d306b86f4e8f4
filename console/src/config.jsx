// The configuration in effect, and where each value comes from.
import { useEffect, useState } from 'preact/hooks';
import { call, key } from './api.js';
import { count } from './format.js';
import { useStore } from './store.js';

/** A key may be broken between its words only. */
const broken = (name) => name.split(/(?<=[._])/).flatMap((word, place) => (place ? [<wbr key={place} />, word] : [word]));

export function Config() {
  const secret = useStore(key);
  const [{ settings, error }, setState] = useState({ settings: null, error: null });
  const [words, setWords] = useState('');
  useEffect(() => {
    let here = true;
    call('/api/console/config')
      .then((response) => response.json())
      .then((found) => here && setState({ ...found, error: null }))
      .catch((failed) => here && setState({ settings: null, error: failed }));
    return () => {
      here = false;
    };
  }, [secret]);
  const rows = (settings ?? []).filter(({ key: name, value, source }) => `${name} ${value} ${source}`.toLowerCase().includes(words.toLowerCase()));
  return (
    <section class="page">
      <h1 class="hidden">Configuration</h1>
      {error && <p class="fault" role="alert">{error.message}</p>}
      {settings && (
        <section class="card">
          <header class="card-head">
            <h2>In effect <small>{count(rows.length)} settings</small></h2>
            <input id="filter" type="search" placeholder="Filter" aria-label="Filter settings" accesskey="/" value={words} onInput={({ target }) => setWords(target.value)} />
          </header>
          <div class="scroll-x" tabIndex={0} role="region" aria-label="Settings">
            <table class="settings-table">
              <thead><tr><th scope="col">Key</th><th scope="col">Value</th><th scope="col">From</th></tr></thead>
              <tbody>
                {rows.map(({ key: name, value, source }) => (
                  <tr key={name} class={source === 'default' ? 'default' : ''}>
                    <th scope="row"><code>{broken(name)}</code></th><td><code>{value}</code></td><td>{source}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </section>
      )}
    </section>
  );
}
