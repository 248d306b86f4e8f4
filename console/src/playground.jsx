// Chat with a model, and see what an answer costs in time.
import { Component } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { call, key } from './api.js';
import { cancel, chat, clear, curlOf, isRunning, send, settle } from './chat.js';
import { Copy } from './copy.jsx';
import { useFollow } from './follow.js';
import { NONE, count, duration, rate } from './format.js';
import { Markdown } from './markdown.jsx';
import { useStore } from './store.js';

/** Within so many milliseconds two clicks are a double click. */
const TWICE = 400;
/** Keys of an input method are its own. Safari tells its last one by the code alone. */
const isComposing = (event) => event.isComposing || event.keyCode === 229;
/** When models are asked for once more if they were not told. */
const AGAIN = 3000;
const WORDS = { done: 'Done', cancelled: 'Cancelled', failed: 'Failed' };

function useModels() {
  const secret = useStore(key);
  const [models, setModels] = useState({ list: null, error: null });
  useEffect(() => {
    let here = true;
    let again = 0;
    const ask = async () => {
      clearTimeout(again);
      try {
        const { models: found, resumable } = await (await call('/api/models')).json();
        if (!here) return;
        settle({ resumable });
        setModels({ list: found.filter(({ type }) => type === 'chat'), error: null });
      } catch (error) {
        if (!here) return;
        setModels(({ list }) => ({ list, error }));
        if (error.status !== 401) again = setTimeout(ask, AGAIN);
      }
    };
    ask();
    // The gateway may have another configuration by now.
    addEventListener('focus', ask);
    return () => {
      here = false;
      clearTimeout(again);
      removeEventListener('focus', ask);
    };
  }, [secret]);
  return models;
}

function Figures({ turn }) {
  const seconds = (turn.lastAt - turn.firstAt) / 1000;
  const pace = turn.pieces > 1 && seconds > 0 ? (turn.pieces - 1) / seconds : null;
  const figures = [
    ['first token', turn.firstAt ? duration(turn.firstAt - turn.sentAt) : NONE],
    ['tokens/s', rate(pace)],
    ['tokens', count(turn.usage?.completionTokens ?? turn.pieces)],
  ];
  return (
    <dl class="figures">
      {figures.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}
    </dl>
  );
}

function stateOf(turn) {
  if (turn.over === 'done' && turn.finish === 'length') return 'Cut at the token limit';
  if (turn.over) return WORDS[turn.over];
  if (!turn.place) return turn.state;
  return `${turn.state}: place ${turn.place}${turn.wait == null ? '' : `, about ${duration(turn.wait)}`}`;
}

function Turn({ turn, place }) {
  return (
    <article class={`turn answer ${turn.over ?? 'running'}`} aria-busy={isRunning(turn)} aria-label="Answer">
      <header><strong>{turn.model ?? turn.asked}</strong><span class="state">{stateOf(turn)}</span></header>
      {turn.reasoning && (
        <details class="reasoning"><summary>Reasoning</summary><p>{turn.reasoning}</p></details>
      )}
      {turn.content ? <Markdown text={turn.content} /> : isRunning(turn) && <p class="pulse" aria-hidden="true" />}
      {turn.message && <p class="fault">{turn.message}</p>}
      <footer>
        <Figures turn={turn} />
        <span class="tools">
          <Copy text={() => turn.content} label="Copy text" />
          <Copy text={() => curlOf(chat.get().turns, place, key.get())} label="Copy as curl" />
        </span>
      </footer>
    </article>
  );
}

/** Drawn anew only if it has changed: of a long conversation, the last one. */
class Answer extends Component {
  shouldComponentUpdate({ turn }) {
    return turn !== this.props.turn;
  }

  render({ turn, place }) {
    return <Turn turn={turn} place={place} />;
  }
}

function Settings({ state }) {
  const number = (name, label, range) => (
    <label>
      {label}
      <input type="number" value={state[name]} placeholder="default" {...range} onInput={({ target }) => settle({ [name]: target.value })} />
    </label>
  );
  return (
    <details class="settings">
      <summary>Settings</summary>
      {number('temperature', 'Temperature', { min: 0, max: 2, step: 0.1 })}
      {number('maxTokens', 'Most tokens', { min: 1, step: 1 })}
    </details>
  );
}

function Composer({ state, models }) {
  const field = useRef(null);
  const running = isRunning(state.turns.at(-1));
  const submit = (event) => {
    event.preventDefault();
    const text = field.current.value.trim();
    if (!text || running || !state.model) return;
    field.current.value = '';
    settle({ draft: '' });
    // A key that is still down may not be the next button's.
    field.current.focus();
    send(text);
  };
  const keys = (event) => {
    if (event.key === 'Enter' && !event.shiftKey && !isComposing(event)) submit(event);
  };
  const stop = ({ detail }) => {
    // The second click of two on Send.
    const isSecond = detail > 0 && Date.now() - state.turns.at(-1).sentAt < TWICE;
    if (isSecond) return;
    field.current.focus();
    cancel();
  };
  return (
    <form class="composer" onSubmit={submit}>
      <textarea ref={field} id="prompt" rows={3} aria-label="Message" placeholder="Ask something" defaultValue={state.draft} onInput={({ target }) => settle({ draft: target.value })} onKeyDown={keys} />
      <div class="bar">
        <label class="pick">
          <span class="hidden">Model</span>
          <select id="model" value={state.model} onChange={({ target }) => settle({ model: target.value })}>
            {(models.list ?? []).map(({ name, status }) => (
              <option key={name} value={name}>{status === 'reachable' ? name : `${name} (${status})`}</option>
            ))}
          </select>
        </label>
        <Settings state={state} />
        <span class="ends">
          {state.turns.length > 0 && <button type="button" class="quiet" onClick={clear}>New chat</button>}
          {running
            ? <button key="cancel" type="button" id="cancel" class="danger" onClick={stop}>Cancel <kbd>Esc</kbd></button>
            : <button key="send" type="submit" id="send" class="primary" disabled={!state.model}>Send <kbd>⏎</kbd></button>}
        </span>
      </div>
    </form>
  );
}

export function Playground() {
  const state = useStore(chat);
  const models = useModels();
  const [box, scrolled] = useFollow(state.turns);
  useEffect(() => {
    const names = (models.list ?? []).map(({ name }) => name);
    const first = (models.list ?? []).find(({ active }) => active)?.name ?? names[0];
    if (first && !names.includes(state.model)) settle({ model: first });
  }, [models.list]);
  useEffect(() => {
    const keys = (event) => {
      const isMeant = event.key === 'Escape' && !isComposing(event) && !event.defaultPrevented;
      if (isMeant && !document.querySelector('dialog[open]')) cancel();
    };
    addEventListener('keydown', keys);
    return () => removeEventListener('keydown', keys);
  }, []);
  const status = state.turns.at(-1)?.role === 'assistant' ? stateOf(state.turns.at(-1)) : '';
  return (
    <section class="playground">
      <h1 class="hidden">Playground</h1>
      <div class="conversation" ref={box} onScroll={scrolled} tabIndex={0} role="log" aria-live="off" aria-label="Conversation">
        {state.turns.length === 0 && (
          <div class="blank">
            <h2>Ask a model</h2>
            <p>Tokens come as the model writes them{state.resumable && ', a reload loses nothing'}, and Cancel stops the upstream too.</p>
          </div>
        )}
        {state.turns.map((turn, place) =>
          turn.role === 'user'
            ? <article key={place} class="turn question" aria-label="Question">{turn.content}</article>
            : <Answer key={place} turn={turn} place={place} />)}
      </div>
      <p class="hidden" role="status">{status}</p>
      {models.error && <p class="fault" role="alert">{models.error.message}</p>}
      <Composer state={state} models={models} />
    </section>
  );
}
