// Asks one question by the openai SDK, streamed and not, and prints what came.
// usage: node openai_sdk.mjs BASE_URL REQUEST
import OpenAI from "openai";

const [baseURL, request] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "none", maxRetries: 0 });
const body = JSON.parse(request);

const chunks = [];
const streamed = { ...body, stream: true, stream_options: { include_usage: true } };
for await (const chunk of await client.chat.completions.create(streamed)) {
  chunks.push(chunk);
}
const whole = await client.chat.completions.create(body);
console.log(JSON.stringify({ chunks, whole }));
