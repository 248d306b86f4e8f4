// The Anthropic SDK for Node.js as its users use it.
// usage: node use_anthropic.mjs BASE_URL
import Anthropic from "@anthropic-ai/sdk";

import { TOOLS, serve, version } from "./clients.mjs";

const [url] = process.argv.slice(2);
const client = new Anthropic({ baseURL: url, apiKey: "none", maxRetries: 0 });

const tools = TOOLS.map(({ schema, ...tool }) => ({ ...tool, input_schema: schema }));

const asked = ({ model, prompt, tokens }) => ({
  model,
  messages: [{ role: "user", content: prompt }],
  max_tokens: tokens,
  temperature: 0,
});

function take({ content, stop_reason, usage }, seen) {
  for (const block of content) {
    if (block.type === "tool_use") seen.call(block.name, block.input);
  }
  seen.finish = stop_reason;
  seen.counts(usage.input_tokens, usage.output_tokens);
}

async function chat(job, seen, more = {}) {
  const message = await client.messages.create({ ...asked(job), ...more });
  for (const block of message.content) {
    if (block.type === "text") seen.piece(block.text);
  }
  take(message, seen);
}

async function stream(job, seen, more = {}) {
  const runner = client.messages.stream({ ...asked(job), ...more });
  runner.on("text", (text) => seen.piece(text));
  take(await runner.finalMessage(), seen);
}

async function leave(job, seen) {
  const events = await client.messages.create({ ...asked(job), stream: true });
  for await (const event of events) {
    if (event.type === "content_block_delta") {
      seen.piece(event.delta.text);
      break;
    }
  }
}

async function count({ model, prompt }, seen) {
  const messages = [{ role: "user", content: prompt }];
  const { input_tokens } = await client.messages.countTokens({ model, messages });
  seen.counts(input_tokens, 0);
}

await serve(version("@anthropic-ai/sdk"), {
  chat,
  "chat tools": (job, seen) => chat(job, seen, { tools }),
  stream,
  "stream tools": (job, seen) => stream(job, seen, { tools }),
  leave,
  count,
});
