// The openai SDK for Node.js as its users use it.
// usage: node use_openai.mjs BASE_URL PACKAGE
import { FUNCTIONS, serve, version } from "./clients.mjs";

const [url, name] = process.argv.slice(2);
const { default: OpenAI } = await import(name);
const client = new OpenAI({ baseURL: url, apiKey: "none", maxRetries: 0 });

const asked = ({ model, prompt, tokens }) => ({
  model,
  messages: [{ role: "user", content: prompt }],
  max_tokens: tokens,
  temperature: 0,
});

async function chat(job, seen, more = {}) {
  const { choices, usage } = await client.chat.completions.create({ ...asked(job), ...more });
  seen.piece(choices[0].message.content);
  seen.finish = choices[0].finish_reason;
  for (const { function: called } of choices[0].message.tool_calls ?? []) {
    seen.call(called.name, called.arguments);
  }
  seen.counts(usage?.prompt_tokens, usage?.completion_tokens);
}

/** By the helper that puts the pieces together, as most programs do. */
async function stream(job, seen, more = {}) {
  const options = { stream: true, stream_options: { include_usage: true } };
  const runner = client.chat.completions.stream({ ...asked(job), ...options, ...more });
  for await (const chunk of runner) {
    seen.piece(chunk.choices[0]?.delta.content);
    seen.counts(chunk.usage?.prompt_tokens, chunk.usage?.completion_tokens);
  }
  const { message, finish_reason } = (await runner.finalChatCompletion()).choices[0];
  seen.finish = finish_reason;
  for (const { function: called } of message.tool_calls ?? []) {
    seen.call(called.name, called.arguments);
  }
}

async function leave(job, seen) {
  const chunks = await client.chat.completions.create({ ...asked(job), stream: true });
  for await (const chunk of chunks) {
    seen.piece(chunk.choices[0]?.delta.content);
    if (seen.pieces.length) break;
  }
}

async function complete({ model, prompt, tokens }, seen) {
  const body = { model, prompt, max_tokens: tokens, temperature: 0 };
  const { choices, usage } = await client.completions.create(body);
  seen.piece(choices[0].text);
  seen.finish = choices[0].finish_reason;
  seen.counts(usage?.prompt_tokens, usage?.completion_tokens);
}

async function completeStreamed({ model, prompt, tokens }, seen) {
  const body = { model, prompt, max_tokens: tokens, temperature: 0, stream: true };
  for await (const { choices } of await client.completions.create(body)) {
    seen.piece(choices[0]?.text);
    seen.finish = choices[0]?.finish_reason ?? seen.finish;
  }
}

async function embed({ model, input }, seen) {
  const { data, usage } = await client.embeddings.create({ model, input });
  seen.vectors = data.map(({ embedding }) => Array.from(embedding));
  seen.counts(usage.prompt_tokens, 0);
}

const responseTools = FUNCTIONS.map((tool) => ({
  type: "function",
  ...tool.function,
  strict: false,
}));

function answered({ id, status, output, usage }, seen) {
  seen.id = id;
  seen.finish = status;
  for (const item of output) {
    if (item.type === "function_call") seen.call(item.name, item.arguments);
  }
  seen.counts(usage?.input_tokens, usage?.output_tokens);
}

const responding = ({ model, prompt, tokens }) => ({
  model,
  input: prompt,
  max_output_tokens: tokens,
  temperature: 0,
});

async function respond({ model, prompt, tokens }, seen, more = {}) {
  const body = { ...responding({ model, prompt, tokens }), ...more };
  const response = await client.responses.create(body);
  seen.piece(response.output_text);
  answered(response, seen);
}

async function respondStreamed({ model, prompt, tokens }, seen, more = {}) {
  const body = { ...responding({ model, prompt, tokens }), ...more };
  const runner = client.responses.stream(body);
  for await (const event of runner) {
    if (event.type === "response.output_text.delta") seen.piece(event.delta);
  }
  answered(await runner.finalResponse(), seen);
}

async function leaveResponse({ model, prompt }, seen) {
  const events = await client.responses.create({ model, input: prompt, stream: true });
  for await (const event of events) {
    if (event.type === "response.output_text.delta") {
      seen.piece(event.delta);
      break;
    }
  }
}

/** From beside the stream, whose reader is told. */
async function cancelResponse({ model, prompt }, seen) {
  const events = await client.responses.create({ model, input: prompt, stream: true });
  for await (const event of events) {
    if (event.type === "response.created") seen.id = event.response.id;
    if (event.type === "response.output_text.delta" && !seen.pieces.length) {
      seen.piece(event.delta);
      seen.finish = (await client.responses.cancel(seen.id)).status;
    }
  }
}

/** Kept, built upon, retrieved, deleted, gone. */
async function keep({ model, prompt }, seen) {
  const first = await client.responses.create({ model, input: prompt });
  const more = { model, input: "go on", previous_response_id: first.id };
  const second = await client.responses.create(more);
  const again = await client.responses.retrieve(second.id);
  if (again.output_text !== second.output_text) throw new Error("another text");
  const said = [];
  for await (const item of client.responses.inputItems.list(second.id)) {
    said.push(item.content[0].text);
  }
  if (!said.includes("go on")) throw new Error(`only ${said}`);
  await client.responses.delete(second.id);
  seen.piece(second.output_text);
  seen.finish = second.status;
  await client.responses.retrieve(second.id);
}

async function models({ model }, seen) {
  const ids = [];
  for await (const { id } of client.models.list()) ids.push(id);
  if (!ids.includes(model)) throw new Error(`not among ${ids}`);
  seen.piece((await client.models.retrieve(model)).id);
}

await serve(version(name), {
  chat,
  "chat tools": (job, seen) => chat(job, seen, { tools: FUNCTIONS }),
  stream,
  "stream tools": (job, seen) => stream(job, seen, { tools: FUNCTIONS }),
  leave,
  complete,
  "complete streamed": completeStreamed,
  embed,
  respond,
  "respond tools": (job, seen) => respond(job, seen, { tools: responseTools }),
  "respond streamed": respondStreamed,
  "respond streamed tools": (job, seen) => respondStreamed(job, seen, { tools: responseTools }),
  "leave response": leaveResponse,
  "cancel response": cancelResponse,
  keep,
  models,
});
