"""Asks a gateway and prints the answer as it comes; goes on where it was after a lost connection.

    python3 chat.py "count to 20" [http://127.0.0.1:3000]

Ctrl-C cancels the answer. Needs nothing but Python 3.10.
"""

import json
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse

TRIES = 10
TIMEOUT = 60  # longer than the gateway's heartbeat


class Chat:
    """One question, and how much of its answer has come."""

    def __init__(self, gateway: str, prompt: str):
        self.gateway = gateway
        self.prompt = prompt
        self.key = str(uuid.uuid4())
        self.stream: str | None = None
        self.after = "0"
        self.over: str | None = None

    def run(self) -> str:
        """Asks, or goes on, until the answer is over. Gives how it ended."""
        tries = 0
        while self.over is None and tries < TRIES:
            try:
                with self.open() as response:
                    if response.status == 204:
                        self.over = "done"
                        continue
                    self.stream = response.headers["X-Stream-Id"]
                    for event in events(response):
                        tries = 0
                        self.show(event)
            except urllib.error.HTTPError as refused:
                self.refused(refused)
            except (OSError, HTTPException):
                say("no connection to the gateway; trying again")
            if self.over is None:
                time.sleep(min(2**tries / 2, 8))
                tries += 1
        return self.over or "the gateway cannot be reached"

    def open(self) -> HTTPResponse:
        if self.stream is not None:
            url = f"{self.gateway}/api/chat/{self.stream}?after={self.after}"
            return urllib.request.urlopen(url, timeout=TIMEOUT)
        body = json.dumps({"messages": [{"role": "user", "content": self.prompt}]})
        headers = {
            "Content-Type": "application/json",
            "X-Resumable": "true",  # the answer runs on when this program is away
            "Idempotency-Key": self.key,  # asked again, it is still one question
        }
        request = urllib.request.Request(f"{self.gateway}/api/chat", body.encode(), headers)
        return urllib.request.urlopen(request, timeout=TIMEOUT)

    def refused(self, refused: urllib.error.HTTPError) -> None:
        if refused.code in (404, 410):
            self.over = "the gateway was restarted, and the answer is gone: ask again"
            return
        text = refused.read().decode(errors="replace")
        try:
            self.over = json.loads(text)["message"]
        except (ValueError, KeyError):
            self.over = text

    def show(self, event: dict[str, str]) -> None:
        self.after = event.get("id", self.after)
        data = json.loads(event["data"])
        match event.get("event"):
            case "chat.queued":
                wait = data.get("estimatedWaitMs")
                about = f", about {wait / 1000:.0f} s" if wait is not None else ""
                say(f"in line: place {data['position']}{about}")
            case "chat.completion.chunk":
                print(data["content"], end="", flush=True)
            case "chat.continued":
                say("the server died; another one goes on")
            case "chat.completion.done":
                self.over = "done"
            case "chat.cancelled":
                self.over = "cancelled"
            case "error" if data["code"] in ("DRAINED", "DRAINING"):
                self.over = "the gateway restarts: ask again in a moment"
            case "error" if data["code"] != "TOO_SLOW":
                self.over = data["message"]

    def cancel(self) -> None:
        if self.stream is not None:
            url = f"{self.gateway}/api/chat/{self.stream}"
            request = urllib.request.Request(url, method="DELETE")
            urllib.request.urlopen(request, timeout=TIMEOUT).close()


def events(response: HTTPResponse) -> Iterator[dict[str, str]]:
    """The server-sent events of a response."""
    event: dict[str, str] = {}
    for line in response:
        name, _, value = line.decode().rstrip("\r\n").partition(":")
        if name:
            event[name] = value.removeprefix(" ")
        elif line.strip() == b"":
            if "data" in event:
                yield event
            event = {}


def say(words: str) -> None:
    print(f"[{words}]", file=sys.stderr)


def main() -> int:
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    gateway = sys.argv[2] if len(sys.argv) == 3 else "http://127.0.0.1:3000"
    chat = Chat(gateway.rstrip("/"), sys.argv[1])
    try:
        over = chat.run()
    except KeyboardInterrupt:
        chat.cancel()
        over = "cancelled"
    print()
    say(over)
    return 0 if over == "done" else 1


if __name__ == "__main__":
    sys.exit(main())
