// Asks a gateway, shows the answer as it comes, and goes on with it after a reload, a lost
// connection or a restart of the page. ?gateway=http://host:port names another gateway.

const gateway = new URLSearchParams(location.search).get('gateway') ?? 'http://127.0.0.1:3000';
const find = (id) => document.getElementById(id);
const [form, prompt, send, cancel] = ['form', 'prompt', 'send', 'cancel'].map(find);
const [state, answer] = ['state', 'answer'].map(find);
const pause = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));
const TRIES = 10;

// What a reload must not lose: which stream, the last event of it, and the text so far.
let chat = JSON.parse(sessionStorage.getItem('chat') ?? 'null');
const keep = () => sessionStorage.setItem('chat', JSON.stringify(chat));

/// Yields the events of a response: {id, event, data}.
async function* events(response) {
  let text = '';
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let { value, done } = await reader.read(); !done; { value, done } = await reader.read()) {
    const blocks = (text + value).split('\n\n');
    text = blocks.pop();
    for (const block of blocks) {
      const lines = block.split('\n').map((line) => line.split(/: ?(.*)/s));
      const fields = Object.fromEntries(lines.filter(([name]) => name));
      if (fields.data) yield { ...fields, data: JSON.parse(fields.data) };
    }
  }
}

/// Shows what came. Says whether it was the last.
function show({ id, event, data }) {
  if (id) chat.after = id;
  if (event === 'chat.queued') {
    const wait = data.estimatedWaitMs;
    const about = wait === undefined ? '' : `, about ${Math.ceil(wait / 1000)} s`;
    state.textContent = `In line: place ${data.position}${about}.`;
  } else if (event === 'chat.completion.chunk') {
    chat.text += data.content;
    answer.textContent = chat.text; // as text: what a model says is not markup
    state.textContent = 'Answering.';
  } else if (event === 'chat.continued') {
    state.textContent = 'The server died; another one goes on.';
  } else if (event === 'chat.completion.done') {
    return finish('Done.');
  } else if (event === 'chat.cancelled') {
    return finish('Cancelled.');
  } else if (event === 'error') {
    if (data.code === 'TOO_SLOW') return false; // sent away, and welcome back
    const restarts = data.code === 'DRAINED' || data.code === 'DRAINING';
    return finish(restarts ? 'The gateway restarts. Ask again in a moment.' : data.message);
  }
  keep();
  return false;
}

function finish(words) {
  state.textContent = words;
  chat.over = words;
  keep();
  return true;
}

const ask = () =>
  fetch(`${gateway}/api/chat`, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      'X-Resumable': 'true', // its answer runs on when this page is away
      'Idempotency-Key': chat.key, // asked again, it is still one question
    },
    body: JSON.stringify({ messages: [{ role: 'user', content: chat.prompt }] }),
  });
const goOn = () => fetch(`${gateway}/api/chat/${chat.id}?after=${chat.after}`);

/// Asks, or goes on where it was, until the answer is over.
async function run() {
  send.disabled = true;
  cancel.disabled = false;
  for (let tries = 0; !chat.over && tries < TRIES; tries += 1) {
    try {
      const response = await (chat.id ? goOn() : ask());
      if (response.status === 204) {
        finish('Done.');
      } else if (!response.ok) {
        const { message } = await response.json().catch(() => ({ message: response.statusText }));
        const gone = [404, 410].includes(response.status);
        finish(gone ? 'The gateway was restarted, and the answer is gone. Ask again.' : message);
      } else {
        chat.id = response.headers.get('X-Stream-Id');
        keep();
        for await (const event of events(response)) {
          tries = 0;
          if (show(event)) break;
        }
      }
    } catch {
      state.textContent = 'No connection to the gateway. Trying again.';
    }
    if (!chat.over) await pause(Math.min(2 ** tries / 2, 8));
  }
  if (!chat.over) finish('The gateway cannot be reached. Ask again later.');
  send.disabled = false;
  cancel.disabled = true;
}

form.addEventListener('submit', (submitted) => {
  submitted.preventDefault();
  const key = [...crypto.getRandomValues(new Uint8Array(16))].join('');
  chat = { prompt: prompt.value, text: '', key, id: null, after: 0, over: '' };
  answer.textContent = '';
  state.textContent = 'Asking.';
  keep();
  run();
});

cancel.addEventListener('click', () => {
  if (chat.id) fetch(`${gateway}/api/chat/${chat.id}`, { method: 'DELETE' }).catch(() => {});
});

if (chat) {
  prompt.value = chat.prompt;
  answer.textContent = chat.text;
  state.textContent = chat.over || 'Going on.';
}
if (chat && !chat.over) run();
else send.disabled = false;
