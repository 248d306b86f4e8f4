// The console: three pages in one, by what stands behind the #.
import { render } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { call, key, setKey } from './api.js';
import { resume } from './chat.js';
import { Config } from './config.jsx';
import { Live } from './live.jsx';
import { Playground } from './playground.jsx';
import { useStore } from './store.js';
import './style.css';

const PAGES = [
  ['playground', 'Playground', Playground],
  ['live', 'Live', Live],
  ['config', 'Config', Config],
];
const pageHere = () => PAGES.find(([name]) => name === location.hash.slice(1)) ?? PAGES[0];

function usePage() {
  const [page, setPage] = useState(pageHere);
  useEffect(() => {
    const changed = () => setPage(pageHere());
    addEventListener('hashchange', changed);
    return () => removeEventListener('hashchange', changed);
  }, []);
  return page;
}

/** 1, 2, 3: the pages; /: the filter. */
function useKeys() {
  useEffect(() => {
    const pressed = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches('input, textarea, select')) return;
      const page = PAGES[Number(event.key) - 1];
      const field = event.key === '/' && document.getElementById('filter');
      if (page) location.hash = page[0];
      else if (field) field.focus();
      else return;
      event.preventDefault();
    };
    addEventListener('keydown', pressed);
    return () => removeEventListener('keydown', pressed);
  }, []);
}

function Key() {
  const secret = useStore(key);
  const dialog = useRef(null);
  const field = useRef(null);
  const [wanted, setWanted] = useState(false);
  useEffect(() => {
    const ask = () => call('/api/models').then(() => setWanted(false), (error) => setWanted(error.status === 401));
    ask();
  }, [secret]);
  const submit = (event) => {
    event.preventDefault();
    setKey(field.current.value.trim());
    dialog.current.close();
  };
  return (
    <>
      <button type="button" id="key" class={wanted ? 'primary small' : 'quiet small'} onClick={() => dialog.current.showModal()}>{wanted ? 'Enter a key' : secret ? 'Key set' : 'Key'}</button>
      <dialog ref={dialog} class="key" aria-labelledby="key-title">
        <form onSubmit={submit}>
          <h2 id="key-title">API key</h2>
          <p>Kept in this tab, gone when it is closed, and sent to this gateway alone. Live and Config need an admin’s.</p>
          <label>Key<input ref={field} id="key-field" type="password" autocomplete="off" spellcheck={false} defaultValue={secret} /></label>
          <div class="bar"><span class="gap" /><button type="button" class="quiet" onClick={() => dialog.current.close()}>Close</button><button type="submit" class="primary">Use it</button></div>
        </form>
      </dialog>
    </>
  );
}

function Console() {
  const [here, title, Page] = usePage();
  useKeys();
  useEffect(() => {
    document.title = `${title} · Tidegate`;
  }, [title]);
  return (
    <>
      <header class="top">
        <a class="brand" href="#playground"><img src="/console/icon.svg" alt="" width={20} height={20} />Tidegate</a>
        <nav aria-label="Pages">
          {PAGES.map(([name, label], index) => <a key={name} href={`#${name}`} aria-current={name === here ? 'page' : undefined} aria-keyshortcuts={String(index + 1)}>{label}</a>)}
        </nav>
        <span class="gap" />
        <Key />
      </header>
      <main><Page /></main>
    </>
  );
}

// What was under way when the page was left is taken up by one that is loaded anew.
addEventListener('pageshow', ({ persisted }) => persisted && location.reload());

const root = document.getElementById('console');
root.replaceChildren();
render(<Console />, root);
resume();
