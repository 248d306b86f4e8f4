"""An upstream whose answers flow as their prompt says, and which sees its peer leave."""

import dataclasses
import json
import select
import socket
import threading
import time

from wire import Server

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
MODELS = json.dumps({"object": "list", "data": [{"id": "flow", "object": "model"}]}).encode()
FLOOD_BYTES = 100_000_000
SEND_BUFFER = 32_768
# An answer ends of itself after so many tokens.
MAX_TOKENS = 100_000


def config(port: int, server: str) -> str:
    """A gateway's configuration, with keys for its server, before the upstream on `port`."""
    return (
        f'[server]\n{server}\n[[models]]\nname = "flow"\nprovider = "openai"\n'
        f'base_url = "http://127.0.0.1:{port}/v1"\nmax_concurrency = 1000\n'
    )


def frame(text: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    chunk = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "flow"}
    return event(json.dumps(chunk | {"choices": [choice]}))


def event(data: str) -> bytes:
    """An event in an HTTP chunk of its own."""
    text = f"data: {data}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(text), text)


@dataclasses.dataclass
class Log:
    open: int = 0
    closed_by_peer: int = 0
    sent: int = 0
    # Answers whose peer takes no more for now.
    stuck: int = 0


class Flow(Server):
    """Of OpenAI's dialect, by threads of this process. A prompt is a word and perhaps a number:

    - `never`: no answer at all
    - `silent`: one token, and nothing more
    - `paced N`: N tokens, one each 20 ms
    - `flood`: 100 MB as fast as they are taken
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._log = Log()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        super().__init__(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        # Closing alone does not wake who waits in accept.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def log(self) -> Log:
        with self._lock:
            return dataclasses.replace(self._log)

    def _note(self, **more: int) -> None:
        with self._lock:
            for name, value in more.items():
                setattr(self._log, name, getattr(self._log, name) + value)

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            # What is counted as sent should not wait here.
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            threading.Thread(target=self._serve, args=[peer], daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        with peer, peer.makefile("rb") as requests:
            while (line := requests.readline()).strip():
                length = 0
                while header := requests.readline().strip():
                    name, _, value = header.partition(b":")
                    if name.lower() == b"content-length":
                        length = int(value)
                body = requests.read(length)
                if line.startswith(b"GET "):
                    kind = b"Content-Type: application/json\r\nContent-Length: %d" % len(MODELS)
                    peer.sendall(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n%b" % (kind, MODELS))
                    continue
                self._note(open=1)
                try:
                    self._answer(peer, json.loads(body)["messages"][-1]["content"])
                except OSError:
                    self._note(closed_by_peer=1)
                    return
                finally:
                    self._note(open=-1)

    def _answer(self, peer: socket.socket, prompt: str) -> None:
        word, _, number = prompt.partition(" ")
        if word == "never":
            wait(peer, None)
        peer.sendall(HEAD + frame("one"))
        if word == "silent":
            wait(peer, None)
        elif word == "flood":
            piece = frame("x" * 16_000)
            for _ in range(FLOOD_BYTES // len(piece)):
                self._wait_for_room(peer)
                self._note(sent=peer.send(piece))
        else:
            for token in range(min(int(number), MAX_TOKENS)):
                wait(peer, 0.02)
                peer.sendall(frame(f" {token}"))
        peer.sendall(frame("", "stop") + event("[DONE]") + b"0\r\n\r\n")

    def _wait_for_room(self, peer: socket.socket) -> None:
        if select.select([], [peer], [], 0)[1]:
            return
        self._note(stuck=1)
        select.select([], [peer], [])
        self._note(stuck=-1)


def wait(peer: socket.socket, seconds: float | None) -> None:
    """Waits; a peer that leaves meanwhile is an error, as one is that does at a write."""
    if select.select([peer], [], [], seconds)[0]:
        raise ConnectionResetError


def ask(socket_: socket.socket, prompt: str, stream: bool = True) -> None:
    """Sends a chat request on a connection of the test's own making."""
    message = {"role": "user", "content": prompt}
    body = json.dumps({"model": "flow", "stream": stream, "messages": [message]}).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    socket_.sendall(head.encode() + body)


def read_until(socket_: socket.socket, text: bytes, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    waiting = b""
    socket_.settimeout(seconds)
    while text not in waiting:
        piece = socket_.recv(65_536)
        assert piece and time.monotonic() < deadline, waiting
        waiting += piece
