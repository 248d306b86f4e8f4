"""HTTP and server-sent events as they are on the wire, by the standard library alone."""

import dataclasses
import http.client
import json
import re
from collections.abc import Iterator


@dataclasses.dataclass(frozen=True)
class Event:
    """One event of a stream. `data` is parsed JSON, or text where it is none (`[DONE]`)."""

    id: str | None
    name: str | None
    data: dict | str


class Reply:
    """A response whose body may still be coming. Closing it closes the connection."""

    def __init__(self, connection: http.client.HTTPConnection):
        # The response takes the socket away from a connection that will not be kept.
        self._socket = connection.sock
        self._response = connection.getresponse()
        self._connection = connection
        self.status = self._response.status
        self.headers = self._response.headers

    @property
    def request_id(self) -> str:
        return self.headers["x-request-id"]

    def read(self) -> bytes:
        """The rest of the body. A body that is cut raises `http.client.IncompleteRead`."""
        return self._response.read()

    def piece(self) -> bytes:
        """What comes next of the body, as soon as it has arrived."""
        return self._response.read1()

    def json(self) -> dict:
        return json.loads(self.read())

    def events(self) -> Iterator[Event]:
        """Each event as soon as it has arrived; a body that is cut raises."""
        waiting = b""
        while piece := self.piece():
            *blocks, waiting = (waiting + piece).split(b"\n\n")
            yield from filter(None, map(parse_event, blocks))
        assert waiting == b"", f"the stream ends within an event: {waiting!r}"

    def close(self) -> None:
        """Leaves, as a client does that is not interested any more."""
        self._socket.close()
        self._response.close()
        self._connection.close()


def parse_event(block: bytes) -> Event | None:
    """One block between blank lines; none if it holds only comments."""
    fields: dict[str, str] = {}
    for line in block.decode().split("\n"):
        name, _, value = line.partition(":")
        if name:
            assert name in ("id", "event", "data") and name not in fields, block
            fields[name] = value.removeprefix(" ")
    if not fields:
        return None
    assert "data" in fields, block
    data = fields["data"]
    return Event(
        fields.get("id"), fields.get("event"), json.loads(data) if data[0] == "{" else data
    )


class Server:
    """Something on a port of this machine."""

    def __init__(self, port: int):
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def call(
        self,
        method: str,
        path: str,
        body: dict | None = None,
        seconds: float = 60,
        **headers: str,
    ) -> http.client.HTTPConnection:
        """Sends a request on a connection of its own, and does not wait."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        headers |= {} if body is None else {"content-type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        return connection

    def send(
        self,
        method: str,
        path: str,
        body: dict | None = None,
        seconds: float = 60,
        **headers: str,
    ) -> Reply:
        """As `call`; gives the reply once its head is there."""
        return Reply(self.call(method, path, body, seconds, **headers))

    def get(self, path: str) -> Reply:
        return self.send("GET", path)

    def post(self, path: str, body: dict, **headers: str) -> Reply:
        return self.send("POST", path, body, **headers)

    def answers(self, path: str) -> bool:
        """Whether a request to `path` succeeds, now."""
        try:
            reply = self.send("GET", path, seconds=5)
            reply.read()
            return reply.status == 200
        except OSError:
            return False

    def metrics(self) -> dict[str, float]:
        """Every series with its value."""
        text = self.get("/metrics").read().decode()
        return {
            series: float(value)
            for series, value in re.findall(r"^([^#\s]\S*(?: \S+})?) (\S+)$", text, re.MULTILINE)
        }
