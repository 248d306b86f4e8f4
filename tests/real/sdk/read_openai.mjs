// Asks by the openai SDK for Node.js, as its users do.
// usage: node read_openai.mjs BASE_URL PACKAGE
import { countingFetch, serve, version } from "./jobs.mjs";

const [baseURL, name] = process.argv.slice(2);
const { default: OpenAI } = await import(name);

await serve(version(name), async (body, seen) => {
  const client = new OpenAI({ baseURL, apiKey: "none", fetch: countingFetch(seen) });
  const answer = await client.chat.completions.create(body);
  if (body.stream) {
    for await (const chunk of answer) {
      for (const choice of chunk.choices) {
        seen.text += choice.delta.content ?? "";
        seen.finish = choice.finish_reason ?? seen.finish;
      }
    }
  } else {
    seen.text = answer.choices[0].message.content;
    seen.finish = answer.choices[0].finish_reason;
  }
});
