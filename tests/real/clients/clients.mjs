// What the clients for Node.js have in common: a job a line on stdin, what came of it on stdout.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

// What a model may call; both take no more than this.
export const TOOLS = [
  {
    name: "get_weather",
    description: "The weather of a city",
    schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
  { name: "get_time", description: "The time", schema: { type: "object", properties: {} } },
];

/** The tools as OpenAI and Ollama want them. */
export const FUNCTIONS = TOOLS.map(({ name, description, schema }) => ({
  type: "function",
  function: { name, description, parameters: schema },
}));

/** The version of an installed package. */
export function version(name) {
  const file = new URL(`./node_modules/${name}/package.json`, import.meta.url);
  return JSON.parse(readFileSync(fileURLToPath(file))).version;
}

/** What a client was given. `pieces` are the texts in the order in which they came. */
export class Seen {
  constructor(job) {
    Object.assign(this, { job, pieces: [], finish: null, usage: null, calls: [], vectors: [] });
    Object.assign(this, { id: null, raised: null, status: null, message: null });
  }

  piece(text) {
    if (text) this.pieces.push(text);
  }

  call(name, args) {
    this.calls.push({ name, arguments: typeof args === "string" ? JSON.parse(args) : args });
  }

  counts(prompt, completion) {
    if (prompt != null && completion != null) this.usage = [prompt, completion];
  }
}

/** Does every job by the operation that it names; an operation throws as its library does. */
export async function serve(version, operations) {
  console.log(JSON.stringify({ job: 0, version }));
  for await (const line of createInterface({ input: process.stdin })) {
    const { job, body } = JSON.parse(line);
    const seen = new Seen(job);
    Promise.resolve()
      .then(() => operations[body.op](body, seen))
      .catch((error) => {
        seen.raised = error.name === "Error" ? error.constructor.name : error.name;
        seen.status = error.status ?? error.statusCode ?? error.status_code ?? null;
        seen.message = String(error.message);
      })
      .then(() => console.log(JSON.stringify(seen)));
  }
}
