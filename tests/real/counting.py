"""An upstream that answers each chat request with its own prompt, and remembers all of them."""

import http.client
import http.server
import json
import threading
from typing import Any

from wire import Server


class QuietServer(http.server.ThreadingHTTPServer):
    """A peer that resets its connection is nothing to tell of."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class Echo(Server):
    """Of OpenAI's dialect, by threads of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._prompts: list[str] = []
        self._faults: list[str] = []
        self._server = QuietServer(("127.0.0.1", 0), self._handler())
        super().__init__(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def prompts(self) -> list[str]:
        with self._lock:
            return list(self._prompts)

    def faults(self) -> list[str]:
        """What no gateway should have sent."""
        with self._lock:
            return list(self._faults)

    def note(self, prompt: str, headers: http.client.HTTPMessage) -> None:
        lengths = headers.get_all("content-length", [])
        framed = len(lengths) == 1 and lengths[0].isdigit() and "transfer-encoding" not in headers
        with self._lock:
            self._prompts.append(prompt)
            if not framed:
                self._faults.append(str(headers))

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        echo = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer({"object": "list", "data": [{"id": "echo", "object": "model"}]})

            def do_POST(self) -> None:
                length = int(self.headers.get("content-length", 0))
                request = json.loads(self.rfile.read(length))
                prompt = request["messages"][-1]["content"]
                echo.note(prompt, self.headers)
                message = {"role": "assistant", "content": prompt}
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                self._answer({"object": "chat.completion", "choices": [choice]})

            def _answer(self, document: dict[str, Any]) -> None:
                body = json.dumps(document).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler
