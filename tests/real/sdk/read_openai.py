"""Asks by the openai SDK for Python, as its users do: a job a line on stdin, what came on stdout.

usage: read_openai.py BASE_URL
"""

import collections
import concurrent.futures
import json
import sys
import threading

import openai

AT_ONCE = 32


class Reader:
    def __init__(self, base_url: str):
        self._posts: collections.Counter[str] = collections.Counter()
        self._lock = threading.Lock()
        # The newest SDK has moved to another HTTP client.
        client = getattr(openai, "DefaultHttpx2Client", None) or openai.DefaultHttpxClient
        http = client(event_hooks={"request": [self._count]})
        self._client = openai.OpenAI(base_url=base_url, api_key="none", http_client=http)

    def _count(self, request) -> None:
        with self._lock:
            self._posts[request.headers["x-job"]] += 1

    def read(self, job: dict) -> dict:
        seen = {"job": job["job"], "text": "", "finish": None, "raised": None}
        headers = {"x-job": str(job["job"])}
        try:
            answer = self._client.chat.completions.create(**job["body"], extra_headers=headers)
            if job["body"].get("stream"):
                for chunk in answer:
                    for choice in chunk.choices:
                        seen["text"] += choice.delta.content or ""
                        seen["finish"] = choice.finish_reason or seen["finish"]
            else:
                seen["text"] = answer.choices[0].message.content
                seen["finish"] = answer.choices[0].finish_reason
        except Exception as error:
            seen["raised"] = type(error).__name__
            seen["status"] = getattr(error, "status_code", None)
            seen["code"] = getattr(error, "code", None)
            seen["message"] = str(error)
        return seen | {"posts": self._posts[headers["x-job"]]}


def main() -> None:
    reader = Reader(sys.argv[1])
    print(json.dumps({"job": 0, "version": openai.__version__}), flush=True)
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:

        one_by_one = threading.Lock()

        def tell(done: concurrent.futures.Future) -> None:
            with one_by_one:
                print(json.dumps(done.result()), flush=True)

        for line in sys.stdin:
            pool.submit(reader.read, json.loads(line)).add_done_callback(tell)


if __name__ == "__main__":
    main()
