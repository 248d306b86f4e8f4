// What the readers for Node.js have in common: a job a line on stdin, what came on stdout.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** The version of an installed package. */
export function version(name) {
  const file = new URL(`./node_modules/${name}/package.json`, import.meta.url);
  return JSON.parse(readFileSync(fileURLToPath(file))).version;
}

/** `fetch`, counting the requests of one job. */
export function countingFetch(seen) {
  return (input, init) => {
    seen.posts += 1;
    return fetch(input, init);
  };
}

/** Lets `read` do every job; it notes in `seen` what it gets, and throws as the library does. */
export async function serve(version, read) {
  console.log(JSON.stringify({ job: 0, version }));
  for await (const line of createInterface({ input: process.stdin })) {
    const { job, body } = JSON.parse(line);
    const seen = { job, text: "", finish: null, raised: null, posts: 0 };
    read(body, seen)
      .catch((error) => {
        seen.raised = error.constructor.name;
        seen.status = error.status ?? null;
        seen.code = error.code ?? null;
        seen.message = error.message;
      })
      .then(() => console.log(JSON.stringify(seen)));
  }
}
