// The ollama client for Node.js as its users use it.
// usage: node use_ollama.mjs BASE_URL
import { Ollama } from "ollama";

import { FUNCTIONS, serve, version } from "./clients.mjs";

const [url] = process.argv.slice(2);
const client = new Ollama({ host: url });

const options = (tokens) => ({ num_predict: tokens, temperature: 0 });

const asked = ({ model, prompt, tokens }) => ({
  model,
  messages: [{ role: "user", content: prompt }],
  options: options(tokens),
});

function take({ message }, seen) {
  seen.piece(message.content);
  for (const call of message.tool_calls ?? []) {
    seen.call(call.function.name, call.function.arguments);
  }
}

function end({ done_reason, prompt_eval_count, eval_count }, seen) {
  seen.finish = done_reason;
  seen.counts(prompt_eval_count, eval_count);
}

async function chat(job, seen, more = {}) {
  const answer = await client.chat({ ...asked(job), ...more });
  take(answer, seen);
  end(answer, seen);
}

async function stream(job, seen, more = {}) {
  for await (const part of await client.chat({ ...asked(job), stream: true, ...more })) {
    take(part, seen);
    if (part.done) end(part, seen);
  }
}

async function generate({ model, prompt, tokens }, seen) {
  const answer = await client.generate({ model, prompt, options: options(tokens) });
  seen.piece(answer.response);
  end(answer, seen);
}

async function generateStreamed({ model, prompt, tokens }, seen) {
  const body = { model, prompt, options: options(tokens), stream: true };
  for await (const part of await client.generate(body)) {
    seen.piece(part.response);
    if (part.done) end(part, seen);
  }
}

async function leave(job, seen) {
  // One of its own: it aborts all that a client does.
  const parts = await new Ollama({ host: url }).chat({ ...asked(job), stream: true });
  for await (const part of parts) {
    seen.piece(part.message.content);
    if (seen.pieces.length) break;
  }
  parts.abort();
}

async function embed({ model, input }, seen) {
  const answer = await client.embed({ model, input });
  seen.vectors = answer.embeddings;
  seen.counts(answer.prompt_eval_count, 0);
}

async function models({ model }, seen) {
  const names = (await client.list()).models.map(({ name }) => name);
  if (!names.includes(model)) throw new Error(`not among ${names}`);
  await client.ps();
  const { capabilities } = await client.show({ model });
  if (!capabilities.includes("completion")) throw new Error(`it can ${capabilities}`);
  seen.piece(model);
}

await serve(version("ollama"), {
  chat,
  "chat tools": (job, seen) => chat(job, seen, { tools: FUNCTIONS }),
  stream,
  "stream tools": (job, seen) => stream(job, seen, { tools: FUNCTIONS }),
  complete: generate,
  "complete streamed": generateStreamed,
  leave,
  embed,
  models,
});
