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

/** A dialog is not left by an access key, which reaches what is behind it. */
const stay = (event) => document.querySelector('dialog[open]') && event.preventDefault();

function Key() {
  const secret = useStore(key);
  const dialog = useRef(null);
  const field = useRef(null);
  const [refusal, setRefusal] = useState('');
  const check = async () => {
    const { status, message } = await call('/api/models').catch((error) => error);
    setRefusal(status === 401 ? message : '');
    return status !== 401;
  };
  useEffect(() => {
    check();
  }, [secret]);
  const submit = async (event) => {
    event.preventDefault();
    setKey(field.current.value.trim());
    if (await check()) dialog.current.close();
  };
  const forget = () => {
    field.current.value = '';
    setKey('');
  };
  return (
    <>
      <button type="button" id="key" class={refusal ? 'primary small' : 'quiet small'} onClick={() => dialog.current.showModal()}>{refusal ? 'Enter a key' : secret ? 'Key set' : 'Key'}</button>
      <dialog ref={dialog} class="key" aria-labelledby="key-title">
        <form onSubmit={submit}>
          <h2 id="key-title">API key</h2>
          <p>Kept in this tab until it is closed or forgotten (a tab that is opened again has it still), and sent to this gateway alone. Live and Config need an admin’s.</p>
          <label>Key<input ref={field} id="key-field" type="password" autocomplete="off" spellcheck={false} defaultValue={secret} /></label>
          {refusal && secret && <p class="fault" role="alert">{refusal}</p>}
          <div class="bar">{secret && <button type="button" class="quiet" onClick={forget}>Forget</button>}<span class="gap" /><button type="button" class="quiet" onClick={() => dialog.current.close()}>Close</button><button type="submit" class="primary">Use it</button></div>
        </form>
      </dialog>
    </>
  );
}

function Console() {
  const [here, title, Page] = usePage();
  useEffect(() => {
    document.title = `${title} · Tidegate`;
  }, [title]);
  return (
    <>
      <header class="top">
        <a class="brand" href="#playground"><img src="/console/icon.svg" alt="" width={20} height={20} />Tidegate</a>
        <nav aria-label="Pages" onClick={stay}>
          {PAGES.map(([name, label], index) => <a key={name} href={`#${name}`} aria-current={name === here ? 'page' : undefined} accesskey={String(index + 1)}>{label}</a>)}
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
