"""Requests whose length two servers may read differently, each with another request inside.

Every case is one request, which says `carrier`; what a server that reads it otherwise would take
for a second one says `smuggled`. None of it must ever be executed.
"""

import dataclasses
import json
from collections.abc import Callable, Iterator

CHAT = "/v1/chat/completions"
KEEP = "Host: gateway\r\nContent-Type: application/json\r\n"


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    sent: bytes


def body(prompt: str) -> str:
    return json.dumps({"messages": [{"role": "user", "content": prompt}]})


SMUGGLED_BODY = body("smuggled")
SMUGGLED = (
    f"POST {CHAT} HTTP/1.1\r\n{KEEP}Content-Length: {len(SMUGGLED_BODY)}\r\n\r\n{SMUGGLED_BODY}"
)
CARRIER = body("carrier")


def chunked(text: str) -> str:
    return f"{len(text):x}\r\n{text}\r\n0\r\n\r\n"


def request(headers: str, rest: str, line: str = f"POST {CHAT} HTTP/1.1") -> str:
    return f"{line}\r\n{KEEP}{headers}\r\n{rest}"


# Spelt so that some take it for the header and some do not.
ODD_TRANSFER_ENCODINGS = {
    "plain": "Transfer-Encoding: chunked\r\n",
    "case": "tRANSFER-eNCODING: cHuNkEd\r\n",
    "no blank": "Transfer-Encoding:chunked\r\n",
    "tab": "Transfer-Encoding:\tchunked\r\n",
    "tab behind": "Transfer-Encoding: chunked\t\r\n",
    "blanks behind": "Transfer-Encoding: chunked   \r\n",
    "vertical tab": "Transfer-Encoding:\x0bchunked\r\n",
    "form feed": "Transfer-Encoding: \x0cchunked\r\n",
    "blank before colon": "Transfer-Encoding : chunked\r\n",
    "tab before colon": "Transfer-Encoding\t: chunked\r\n",
    "blank before name": " Transfer-Encoding: chunked\r\n",
    "control before name": "\x01Transfer-Encoding: chunked\r\n",
    "folded": "Transfer-Encoding:\r\n chunked\r\n",
    "folded by tab": "Transfer-Encoding:\r\n\tchunked\r\n",
    "folded onto another": "X-Padding: a\r\n Transfer-Encoding: chunked\r\n",
    "xchunked": "Transfer-Encoding: xchunked\r\n",
    "chunkedx": "Transfer-Encoding: chunkedx\r\n",
    "quoted": 'Transfer-Encoding: "chunked"\r\n',
    "identity": "Transfer-Encoding: identity\r\n",
    "empty": "Transfer-Encoding:\r\n",
    "chunked, identity": "Transfer-Encoding: chunked, identity\r\n",
    "identity, chunked": "Transfer-Encoding: identity, chunked\r\n",
    "gzip, chunked": "Transfer-Encoding: gzip, chunked\r\n",
    "chunked, chunked": "Transfer-Encoding: chunked, chunked\r\n",
    "leading comma": "Transfer-Encoding: ,chunked\r\n",
    "parameter": "Transfer-Encoding: chunked;q=1\r\n",
    "twice": "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "twice, the last odd": "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
    "twice, the first odd": "Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n",
    "NUL behind": "Transfer-Encoding: chunked\0\r\n",
    "NUL before": "Transfer-Encoding: \0chunked\r\n",
    "bare CR before": "X-Padding: a\rTransfer-Encoding: chunked\r\n",
    "bare LF before": "X-Padding: a\nTransfer-Encoding: chunked\r\n",
    "bare LF behind": "Transfer-Encoding: chunked\n",
    "no-break space": "Transfer-Encoding:\xa0chunked\r\n",
    "underscore": "Transfer_Encoding: chunked\r\n",
    "hop by hop": "Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n",
}
# Those that a server may rightly take for another header: then the length counts alone, and what
# is behind it is a second request.
NOT_THE_HEADER = {"underscore", "folded onto another", "bare CR before", "identity"}

ODD_LENGTHS = {
    "plus": "Content-Length: +{}\r\n",
    "minus": "Content-Length: -{}\r\n",
    "hexadecimal": "Content-Length: 0x{:x}\r\n",
    "inner blank": "Content-Length: {} 0\r\n",
    "list": "Content-Length: {0},{0}\r\n",
    "list of two": "Content-Length: {},999\r\n",
    "semicolon": "Content-Length: {};\r\n",
    "decimal": "Content-Length: {}.0\r\n",
    "exponent": "Content-Length: {}e0\r\n",
    "underscores": "Content-Length: {}_0\r\n",
    "quoted": 'Content-Length: "{}"\r\n',
    "letters behind": "Content-Length: {}abc\r\n",
    "NUL behind": "Content-Length: {}\0\r\n",
    "over 64 bits": "Content-Length: 1844674407370955{}\r\n",
    "vertical tab": "Content-Length:\x0b{}\r\n",
    "blank before colon": "Content-Length : {}\r\n",
    "tab before colon": "Content-Length\t: {}\r\n",
    "folded": "Content-Length:\r\n {}\r\n",
    "twice, the second longer": "Content-Length: {}\r\nContent-Length: 999\r\n",
    "twice, the first longer": "Content-Length: 999\r\nContent-Length: {}\r\n",
    "twice, zero first": "Content-Length: 0\r\nContent-Length: {}\r\n",
    "twice, by case": "Content-Length: {}\r\ncontent-length: 0\r\n",
    "empty, then good": "Content-Length:\r\nContent-Length: {}\r\n",
}

ODD_CHUNKS = {
    "size too long for 64 bits": f"1000000000000000{len(CARRIER):x}\r\n{CARRIER}\r\n0\r\n\r\n",
    "size with sign": f"+{len(CARRIER):x}\r\n{CARRIER}\r\n0\r\n\r\n",
    "negative size": f"-{len(CARRIER):x}\r\n{CARRIER}\r\n0\r\n\r\n",
    "size with 0x": f"0x{len(CARRIER):x}\r\n{CARRIER}\r\n0\r\n\r\n",
    "underscore in size": f"0_{len(CARRIER):x}\r\n{CARRIER}\r\n0\r\n\r\n",
    "blank before size": f" {len(CARRIER):x}\r\n{CARRIER}\r\n0\r\n\r\n",
    "no size": f"\r\n{CARRIER}\r\n0\r\n\r\n",
    "size is no number": f"zz\r\n{CARRIER}\r\n0\r\n\r\n",
    "two zeros are no size": f"{len(CARRIER):x}\r\n{CARRIER}\r\n00x\r\n\r\n",
    "longer than its size": f"2\r\n{CARRIER}\r\n0\r\n\r\n",
    "no line end behind the data": f"{len(CARRIER):x}\r\n{CARRIER}0\r\n\r\n",
    "two signs for the line end": f"{len(CARRIER):x}\r\n{CARRIER}XX0\r\n\r\n",
    "bare CR behind the size": f"{len(CARRIER):x}\r{CARRIER}\r\n0\r\n\r\n",
    "bare LF behind the size": f"{len(CARRIER):x}\n{CARRIER}\r\n0\r\n\r\n",
    "bare LF behind the data": f"{len(CARRIER):x}\r\n{CARRIER}\n0\r\n\r\n",
    "bare LF in an extension": f"{len(CARRIER):x};a\nb\r\n{CARRIER}\r\n0\r\n\r\n",
    "bare CR in an extension": f"{len(CARRIER):x};a\rb\r\n{CARRIER}\r\n0\r\n\r\n",
    "NUL in an extension": f"{len(CARRIER):x};a\0\r\n{CARRIER}\r\n0\r\n\r\n",
    "bare LF behind the last": f"{len(CARRIER):x}\r\n{CARRIER}\r\n0\n\r\n",
    "bare LF at the end": f"{len(CARRIER):x}\r\n{CARRIER}\r\n0\r\n\n",
}


def odd_transfer_encodings() -> Iterator[tuple[str, str]]:
    for name, header in ODD_TRANSFER_ENCODINGS.items():
        # By its length the body ends behind the other request, by its chunks before it.
        hidden = chunked(CARRIER) + SMUGGLED
        yield f"length first, {name}", request(f"Content-Length: {len(hidden)}\r\n{header}", hidden)
        yield f"length last, {name}", request(f"{header}Content-Length: {len(hidden)}\r\n", hidden)
        # By its chunks the body holds the other request, by its length it ends before it.
        if name not in NOT_THE_HEADER:
            size = f"{len(SMUGGLED):x}\r\n"
            inside = f"{size}{SMUGGLED}\r\n0\r\n\r\n"
            header_and_length = f"Content-Length: {len(size)}\r\n{header}"
            yield f"short length, {name}", request(header_and_length, inside)


def odd_lengths() -> Iterator[tuple[str, str]]:
    for name, header in ODD_LENGTHS.items():
        yield f"length, {name}", request(header.format(len(CARRIER)), CARRIER + SMUGGLED)


def odd_chunks() -> Iterator[tuple[str, str]]:
    for name, chunks in ODD_CHUNKS.items():
        # Wrong chunks end the connection, and what is behind them is not looked at.
        yield f"chunk, {name}", request("Transfer-Encoding: chunked\r\n", chunks + SMUGGLED)
    # Some end the extension at the LF and read two bytes as data, others read on to the CRLF.
    extension = f"2;\nxx\r\n{len(SMUGGLED) + 7:x}\r\n0\r\n\r\n{SMUGGLED}\r\n\r\n0\r\n\r\n"
    yield "chunk, extension with LF", request("Transfer-Encoding: chunked\r\n", extension)
    # An extension that holds a request; trailers that pose as headers, or hold one.
    size = f"{len(CARRIER):x}"
    held = f'{size};x="{SMUGGLED_BODY}"\r\n{CARRIER}\r\n0\r\n\r\n'
    yield "chunk, long extension", request("Transfer-Encoding: chunked\r\n", held)
    for trailer in ("Content-Length: 5", "Transfer-Encoding: chunked", "Host: other"):
        trailers = f"{size}\r\n{CARRIER}\r\n0\r\n{trailer}\r\n\r\n"
        yield f"trailer {trailer}", request("Transfer-Encoding: chunked\r\n", trailers)
    folded = f"{size}\r\n{CARRIER}\r\n0\r\nX: " + SMUGGLED.replace("\r\n", "\r\n ") + "\r\n\r\n"
    yield "trailer that holds a request", request("Transfer-Encoding: chunked\r\n", folded)


def odd_heads() -> Iterator[tuple[str, str]]:
    hidden = chunked(CARRIER) + SMUGGLED
    inside = f"Content-Length: {len(SMUGGLED)}\r\n"
    for name, line in {
        "HTTP/1.0, chunked": f"POST {CHAT} HTTP/1.0",
        "HTTP/0.9": f"POST {CHAT} HTTP/0.9",
        "HTTP/1.2": f"POST {CHAT} HTTP/1.2",
        "HTTP/2.0": f"POST {CHAT} HTTP/2.0",
        "HTTP/1.1x": f"POST {CHAT} HTTP/1.1x",
        "lower case": f"POST {CHAT} http/1.1",
        "no version": f"POST {CHAT}",
        "two blanks": f"POST  {CHAT}  HTTP/1.1",
        "tabs": f"POST\t{CHAT}\tHTTP/1.1",
        "blank before": f" POST {CHAT} HTTP/1.1",
        "two paths": f"POST {CHAT} /api/chat HTTP/1.1",
        "odd method": f"PO\x01ST {CHAT} HTTP/1.1",
    }.items():
        headers = f"Content-Length: {len(hidden)}\r\nTransfer-Encoding: chunked\r\n"
        yield f"line, {name}", request(headers, hidden, line)
    # Refused before, or without, a look at the body: it must not be taken for a request.
    for name, line, headers in (
        ("wrong path", "POST /nowhere HTTP/1.1", inside),
        ("wrong method", f"PUT {CHAT} HTTP/1.1", inside),
        ("GET", "GET /api/models HTTP/1.1", inside),
        ("HEAD", "HEAD /health HTTP/1.1", inside),
        ("DELETE", "DELETE /api/chat/0 HTTP/1.1", inside),
        ("OPTIONS", f"OPTIONS {CHAT} HTTP/1.1", inside),
        ("TRACE", f"TRACE {CHAT} HTTP/1.1", inside),
        ("CONNECT", "CONNECT gateway:80 HTTP/1.1", inside),
        ("expectation", f"POST {CHAT} HTTP/1.1", f"Expect: 100-continue\r\n{inside}"),
        ("odd expectation", f"POST {CHAT} HTTP/1.1", f"Expect: a miracle\r\n{inside}"),
        ("websocket", "GET /api/models HTTP/1.1",
         f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
         f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{inside}"),
        ("h2c", "GET /api/models HTTP/1.1",
         f"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n{inside}"),
        ("length is hop by hop", f"POST {CHAT} HTTP/1.1", f"Connection: content-length\r\n{inside}"),
        ("close is hop by hop", f"POST {CHAT} HTTP/1.1", f"Connection: close, close\r\n{inside}"),
        ("second content type", f"POST {CHAT} HTTP/1.1", f"Content-Type: text/plain\r\n{inside}"),
        ("second host", f"POST {CHAT} HTTP/1.1", f"Host: other\r\n{inside}"),
        ("NUL in a value", f"POST {CHAT} HTTP/1.1", f"X-Padding: a\0b\r\n{inside}"),
        ("blank in a name", f"POST {CHAT} HTTP/1.1", f"X Padding: a\r\n{inside}"),
        ("no colon", f"POST {CHAT} HTTP/1.1", f"X-Padding\r\n{inside}"),
        ("absolute form", f"POST http://other{CHAT} HTTP/1.1", inside),
    ):
        yield f"body, {name}", request(headers, SMUGGLED, line)
    # A request inside a header's value, by all that someone may take for a line end.
    for name, end in (("CR", "\r"), ("LF", "\n"), ("NUL", "\0"), ("NEL", "\x85")):
        value = SMUGGLED.replace("\r\n", end)
        headers = f"X-Padding: {value}\r\nContent-Length: {len(CARRIER)}\r\n"
        if name != "LF":  # That one ends the head, by RFC 9112, and is a second request.
            yield f"header that holds a request, {name}", request(headers, CARRIER)
    line = f"POST {CHAT}?x=%0d%0a%0d%0aPOST%20{CHAT} HTTP/1.1"
    yield "path that holds a request", request(f"Content-Length: {len(SMUGGLED)}\r\n", SMUGGLED, line)


def cases() -> list[Case]:
    families: list[Callable[[], Iterator[tuple[str, str]]]] = [
        odd_transfer_encodings,
        odd_lengths,
        odd_chunks,
        odd_heads,
    ]
    return [Case(name, text.encode("latin-1")) for family in families for name, text in family()]
