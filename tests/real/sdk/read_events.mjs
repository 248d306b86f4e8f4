// Reads the gateway's own dialect as pages do, by one of two libraries.
// usage: node read_events.mjs BASE_URL PACKAGE
import { countingFetch, serve, version } from "./jobs.mjs";

const [baseURL, name] = process.argv.slice(2);
const url = `${baseURL}/api/chat`;

// What the stream says of its end: these are raised by the page, not by the library.
class ErrorEvent extends Error {}
class CancelledEvent extends Error {}
// A library that comes to the end of a body has nothing to say about it.
class EndWithoutTerminal extends Error {}
class HttpError extends Error {}

function request(body) {
  const headers = { "content-type": "application/json" };
  return { method: "POST", headers, body: JSON.stringify(body) };
}

async function refuse(response) {
  const { error, message } = await response.json();
  throw Object.assign(new HttpError(message), { code: error, status: response.status });
}

/** What a page does with one event. */
function take(event, data, seen) {
  const told = JSON.parse(data);
  if (event === "error" || event === "chat.cancelled") {
    const Kind = event === "error" ? ErrorEvent : CancelledEvent;
    throw Object.assign(new Kind(told.message), { code: told.code });
  }
  seen.text += told.content ?? "";
  if (told.done) {
    seen.finish = told.finishReason;
  }
}

const readers = {
  async "eventsource-parser"(body, seen) {
    const { createParser } = await import(name);
    const response = await countingFetch(seen)(url, request(body));
    if (!response.ok) {
      await refuse(response);
    }
    let raised;
    const parser = createParser({
      onEvent: ({ event, data }) => take(event, data, seen),
      onError: (error) => (raised ??= error),
    });
    const decoder = new TextDecoder("utf-8", { fatal: true });
    for await (const bytes of response.body) {
      parser.feed(decoder.decode(bytes, { stream: true }));
    }
    if (raised) {
      throw raised;
    }
  },

  async "@microsoft/fetch-event-source"(body, seen) {
    const { fetchEventSource } = await import(name);
    await fetchEventSource(url, {
      ...request(body),
      fetch: countingFetch(seen),
      openWhenHidden: true,
      async onopen(response) {
        if (!response.ok) {
          await refuse(response);
        }
      },
      onmessage: ({ event, data }) => take(event, data, seen),
      // Without this it would ask again, for ever.
      onerror(error) {
        throw error;
      },
    });
  },
};

// It is made for pages.
globalThis.window = globalThis;
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };

await serve(version(name), async (body, seen) => {
  await readers[name](body, seen);
  if (seen.finish === null) {
    throw new EndWithoutTerminal("the body ended");
  }
});
