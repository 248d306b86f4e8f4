"""An upstream on a port of this machine that does what a script says, byte by byte."""

import contextlib
import dataclasses
import json
import socket
import socketserver
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Pause:
    """The answer is slow here: that is its script, nothing waits for it."""

    seconds: float


# Says nothing more until the gateway leaves.
HANG = object()
# Closes the connection; with a reset.
CLOSE = object()
RESET = object()

# The first byte of a client that speaks TLS.
TLS_HANDSHAKE = b"\x16"

Step = bytes | Pause | object
# A request's body to what is done with it. Bytes are written as they are.
Script = Callable[[dict], list[Step]]


class Upstream:
    """Answers each chat by the script, anything else (probes) with an empty list."""

    def __init__(self, script: Script):
        self.chats: Counter[str] = Counter()
        self.open = 0
        self._lock = threading.Lock()
        self._script = script
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            disable_nagle_algorithm = True

            def handle(self) -> None:
                outer._count(1)
                # The gateway may close or reset at any moment.
                with contextlib.suppress(ConnectionError):
                    while outer._serve(self):
                        pass

            def finish(self) -> None:
                outer._count(-1)
                with contextlib.suppress(OSError):
                    super().finish()

        class Threads(socketserver.ThreadingTCPServer):
            daemon_threads = True
            request_queue_size = 1024

        self._server = Threads(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]

    def __enter__(self) -> "Upstream":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _count(self, change: int) -> None:
        with self._lock:
            self.open += change

    def _serve(self, handler: socketserver.StreamRequestHandler) -> bool:
        """One request; whether there may be another on this connection."""
        if handler.rfile.peek(1)[:1] == TLS_HANDSHAKE:
            handler.wfile.write(response(400, b"{}"))
            return False
        begin = handler.rfile.readline()
        if not begin:
            return False
        size = 0
        while (header := handler.rfile.readline()) not in (b"\r\n", b""):
            name, _, value = header.partition(b":")
            if name.lower() == b"content-length":
                size = int(value)
        if not begin.startswith(b"POST"):
            handler.wfile.write(response(200, b'{"object":"list","data":[],"models":[]}'))
            return True
        body = json.loads(handler.rfile.read(size))
        with self._lock:
            self.chats[prompt_of(body)] += 1
        for step in self._script(body):
            if not perform(step, handler):
                return False
        return True


def prompt_of(body: dict) -> str:
    """What a request asks; nothing that can be counted by if it is no chat."""
    content = body["messages"][-1].get("content") if body.get("messages") else None
    return content if isinstance(content, str) else ""


def perform(step: Step, handler: socketserver.StreamRequestHandler) -> bool:
    """Does one step; whether the connection is still there after it."""
    if isinstance(step, bytes):
        handler.wfile.write(step)
    elif isinstance(step, Pause):
        time.sleep(step.seconds)
    elif step is HANG:
        assert handler.rfile.read(1) == b"", "one request at a time"
        return False
    else:
        if step is RESET:
            handler.connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            handler.connection.close()
        return False
    return True


def response(status: int, body: bytes, *headers: str) -> bytes:
    """A whole response of known length."""
    length = f"content-length: {len(body)}"
    return head(status, length, "content-type: application/json", *headers) + body


def head(status: int, *headers: str, version: str = "1.1") -> bytes:
    lines = [f"HTTP/{version} {status} Scripted", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def chunked(frame: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(frame), frame)


END = b"0\r\n\r\n"
