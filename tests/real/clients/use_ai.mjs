// The Vercel AI SDK with its provider for OpenAI-compatible servers, as its users use it.
// usage: node use_ai.mjs BASE_URL
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embedMany, generateText, jsonSchema, streamText, tool } from "ai";

import { TOOLS, serve, version } from "./clients.mjs";

const [url] = process.argv.slice(2);
const provider = createOpenAICompatible({
  name: "tidegate",
  baseURL: url,
  includeUsage: true,
});

const tools = Object.fromEntries(
  TOOLS.map(({ name, description, schema }) => [
    name,
    tool({ description, inputSchema: jsonSchema(schema) }),
  ]),
);

const asked = ({ model, prompt, tokens }) => ({
  model: provider(model),
  prompt,
  maxOutputTokens: tokens,
  temperature: 0,
  maxRetries: 0,
});

function end({ toolCalls, finishReason, usage }, seen) {
  for (const { toolName, input } of toolCalls) seen.call(toolName, input);
  seen.finish = finishReason;
  seen.counts(usage.inputTokens, usage.outputTokens);
}

async function chat(job, seen, more = {}) {
  const result = await generateText({ ...asked(job), ...more });
  seen.piece(result.text);
  end(result, seen);
}

async function stream(job, seen, more = {}) {
  // It reports a failure as a part of the stream, and to a function of the program's.
  const result = streamText({ ...asked(job), onError: () => {}, ...more });
  for await (const part of result.fullStream) {
    if (part.type === "error") throw part.error;
    if (part.type === "text-delta") seen.piece(part.text);
  }
  const [toolCalls, finishReason, usage] = await Promise.all([
    result.toolCalls,
    result.finishReason,
    result.usage,
  ]);
  end({ toolCalls, finishReason, usage }, seen);
}

async function leave(job, seen) {
  const aborter = new AbortController();
  const abortSignal = aborter.signal;
  const result = streamText({ ...asked(job), abortSignal, onError: () => {} });
  for await (const piece of result.textStream) {
    seen.piece(piece);
    break;
  }
  aborter.abort();
}

async function embed({ model, input }, seen) {
  const embedder = provider.embeddingModel(model);
  const { embeddings, usage } = await embedMany({ model: embedder, values: input, maxRetries: 0 });
  seen.vectors = embeddings;
  seen.counts(usage.tokens, 0);
}

await serve(version("ai"), {
  chat,
  "chat tools": (job, seen) => chat(job, seen, { tools }),
  stream,
  "stream tools": (job, seen) => stream(job, seen, { tools }),
  leave,
  embed,
});
