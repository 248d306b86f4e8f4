// The conversation of the playground: asked, read as it comes, and gone on with after a reload.
import { call, cancelStream, events } from './api.js';
import { store } from './store.js';

const KEPT = 'tidegate.chat';
const TRIES = 8;
const SAVE_EVERY = 300;
const pause = (millis) => new Promise((done) => setTimeout(done, millis));
const empty = { model: '', temperature: '', maxTokens: '', resumable: true, draft: '', turns: [] };

export const chat = store(load());
let saving = 0;
let reading = new AbortController();

function load() {
  try {
    return { ...empty, ...JSON.parse(sessionStorage.getItem(KEPT)) };
  } catch {
    return empty;
  }
}

function save() {
  clearTimeout(saving);
  saving = 0;
  try {
    sessionStorage.setItem(KEPT, JSON.stringify(chat.get()));
  } catch {
    // Full: the conversation goes on, and does not survive a reload.
  }
}

function change(changes) {
  chat.set({ ...chat.get(), ...changes });
  saving ||= setTimeout(save, SAVE_EVERY);
}

addEventListener('pagehide', save);

export const settle = change;
const last = () => chat.get().turns.at(-1);
export const isRunning = (turn) => Boolean(turn) && turn.role === 'assistant' && !turn.over;

/** Changes the answer that is under way. */
function note(changes) {
  const turns = chat.get().turns.slice();
  turns.push({ ...turns.pop(), ...changes });
  change({ turns });
}

/** What the gateway is asked for the answer at `place`; the same again after a reload, whatever is set by then. */
export function requestOf(turns, place) {
  const { asked, temperature = '', maxTokens = '' } = turns[place];
  const said = turns.slice(0, place).filter(({ role, content, over }) => role === 'user' || (over === 'done' && content));
  const request = { model: asked, messages: said.map(({ role, content }) => ({ role, content })) };
  if (temperature !== '') request.temperature = Number(temperature);
  if (maxTokens !== '') request.maxTokens = Number(maxTokens);
  return request;
}

const quoted = (text) => `'${text.replaceAll("'", String.raw`'\''`)}'`;

export function curlOf(turns, place, withKey) {
  const auth = withKey ? ` \\\n  -H "Authorization: Bearer $TIDEGATE_KEY"` : '';
  const body = JSON.stringify(requestOf(turns, place));
  return `curl -N ${quoted(`${location.origin}/api/chat`)} \\\n  -H 'Content-Type: application/json'${auth} \\\n  -d ${quoted(body)}`;
}

export function send(content) {
  const key = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  const { model: asked, temperature, maxTokens, turns } = chat.get();
  const answer = { role: 'assistant', content: '', reasoning: '', asked, temperature, maxTokens, key, id: null, after: 0, sentAt: Date.now(), pieces: 0, state: 'Asking' };
  change({ turns: [...turns, { role: 'user', content }, answer] });
  save();
  return run();
}

export function clear() {
  if (isRunning(last())) cancel();
  change({ turns: [] });
  save();
}

// An answer's key: asked again with it, it is still one question, and joins what was begun.
const ask = ({ key }, signal) => {
  const { turns } = chat.get();
  return call('/api/chat', {
    signal,
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-Resumable': 'true', 'Idempotency-Key': key },
    body: JSON.stringify(requestOf(turns, turns.findIndex((turn) => turn.key === key))),
  });
};

/** The stream that answers, and whether it is kept, to be come back to: only such ones have a name of their own. */
function streamOf({ headers }) {
  const kept = headers.get('X-Stream-Id');
  return { id: kept ?? headers.get('X-Request-Id'), isKept: kept != null };
}

/**
 * Ends the answer under way. Its id comes with its first token. Before that, whoever asks again for a stream that is
 * kept is told at once; any other ends when its client leaves.
 */
export async function cancel() {
  const turn = last();
  if (!isRunning(turn)) return;
  note({ state: 'Cancelling' });
  try {
    let { id } = turn;
    if (!id && !chat.get().resumable) {
      note({ over: 'cancelled', place: null });
      return reading.abort();
    }
    if (!id) {
      const stop = new AbortController();
      ({ id } = streamOf(await ask(turn, stop.signal)));
      stop.abort();
    }
    await cancelStream(id);
  } catch (error) {
    if (last()?.key === turn.key && isRunning(last())) note({ state: 'Not cancelled', message: error.message });
  }
}

/** Takes up the answer that a reload has interrupted. */
export function resume() {
  if (isRunning(last())) run();
}

async function run() {
  const { key } = last();
  const isCurrent = () => last()?.key === key && isRunning(last());
  for (let tries = 0; isCurrent() && tries < TRIES; tries += 1) {
    try {
      const { id, isKept, after } = last();
      if (id && !isKept) return note({ over: 'failed', message: 'The connection was lost, and this gateway keeps no answers to come back to.' });
      reading = new AbortController();
      const { signal } = reading;
      const response = await (id ? call(`/api/chat/${id}?after=${after}`, { signal }) : ask(last(), signal));
      if (!isCurrent()) return;
      if (response.status === 204) return note({ over: 'done' });
      note(streamOf(response));
      for await (const event of events(response)) {
        if (!isCurrent()) return;
        tries = 0;
        take(event);
        if (!isCurrent()) return;
      }
    } catch (error) {
      if (!isCurrent()) return;
      // Before the first token an end comes as a status.
      if (error.code === 'CANCELLED') return note({ over: 'cancelled', place: null });
      if (error.status) {
        const message = [404, 410].includes(error.status) && last().id ? 'The gateway no longer has this answer.' : error.message;
        return note({ over: 'failed', message });
      }
      note({ state: 'No connection; trying again' });
    }
    if (isCurrent()) await pause(Math.min(2 ** tries * 250, 5000));
  }
  if (isCurrent()) note({ over: 'failed', message: 'The gateway cannot be reached.' });
}

function take({ id, event, data: text }) {
  const turn = last();
  const data = JSON.parse(text);
  const now = Date.now();
  const after = id ? Number(id.split(':')[1]) : turn.after;
  switch (event) {
    case 'chat.queued':
      return note({ after, state: 'In the queue', place: data.position, wait: data.estimatedWaitMs });
    case 'chat.completion.chunk':
      return note({
        after,
        state: 'Answering',
        model: data.model,
        place: null,
        content: turn.content + data.content,
        reasoning: turn.reasoning + (data.reasoning ?? ''),
        pieces: turn.pieces + 1,
        firstAt: turn.firstAt ?? now,
        lastAt: now,
      });
    case 'chat.continued':
      return note({ after, state: `${data.continuedBy} goes on` });
    case 'chat.completion.done':
      return note({ after, over: 'done', finish: data.finishReason, usage: data.usage, place: null });
    case 'chat.cancelled':
      return note({ after, over: 'cancelled', place: null });
    case 'error':
      if (data.code === 'TOO_SLOW') return note({ after: turn.after }); // sent away, and welcome back
      return note({ after, over: 'failed', message: data.message, place: null });
    default:
      return note({ after });
  }
}
