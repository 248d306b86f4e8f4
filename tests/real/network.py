"""Two hosts with a wire between them, by network namespaces: for what a loopback never does."""

import contextlib
import ctypes
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator

CLONE_NEWNET = 0x4000_0000
ESTABLISHED = 1
GATEWAY, CLIENT = "10.79.0.1", "10.79.0.2"


def why_not() -> str | None:
    """Why there can be no namespaces here, if so."""
    if os.geteuid() != 0:
        return "namespaces need root"
    if not shutil.which("ip"):
        return "there is no `ip`: install iproute2"
    probe = f"tidegate-{os.getpid()}-probe"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True)
    if made.returncode:
        return f"no namespace can be made: {made.stderr.strip()}"
    ip("netns", "del", probe)
    return None


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, timeout=10)


class Network:
    """The namespaces go when `close` is called, and with them the wire."""

    def __init__(self) -> None:
        names = [f"tidegate-{os.getpid()}-{end}" for end in ("gateway", "client")]
        self._gateway, self._client = names
        try:
            for name in names:
                ip("netns", "add", name)
                ip("-n", name, "link", "set", "lo", "up")
            far = ["peer", "name", "wire", "netns", self._client]
            ip("-n", self._gateway, "link", "add", "wire", "type", "veth", *far)
            for name, address in zip(names, (GATEWAY, CLIENT), strict=True):
                ip("-n", name, "addr", "add", f"{address}/24", "dev", "wire")
                ip("-n", name, "link", "set", "wire", "up")
            # Known for ever: a neighbour that cannot be found would be an error, not a silence.
            for name, address, other in (
                (self._gateway, CLIENT, self._client),
                (self._client, GATEWAY, self._gateway),
            ):
                ip("-n", name, "neigh", "replace", address, "lladdr", mac(other), "dev", "wire")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        for name in (self._gateway, self._client):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, timeout=10)

    def at_the_gateway(self) -> contextlib.AbstractContextManager[None]:
        """What this thread opens and starts within is on the gateway's host."""
        return inside(self._gateway)

    def connect(self, port: int) -> socket.socket:
        """A connection from the client's host."""
        with inside(self._client):
            return socket.create_connection((GATEWAY, port), timeout=10)

    def vanish(self) -> None:
        """From now on nobody has the client's address: what is sent to it is dropped, and what is
        left of its connections says nothing."""
        ip("-n", self._client, "addr", "flush", "dev", "wire")


def mac(name: str) -> str:
    show = ["ip", "-n", name, "-o", "link", "show", "dev", "wire"]
    words = subprocess.run(show, check=True, capture_output=True, text=True, timeout=10).stdout.split()
    return words[words.index("link/ether") + 1]


@contextlib.contextmanager
def inside(name: str) -> Iterator[None]:
    with open("/proc/thread-self/ns/net") as before:
        enter(f"/var/run/netns/{name}")
        try:
            yield
        finally:
            enter(f"/proc/self/fd/{before.fileno()}")


def enter(path: str) -> None:
    """Takes this thread, and what it starts, to another namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(path) as namespace:
        if libc.setns(namespace.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {path}")


def believes_to_be_connected(client: socket.socket) -> bool:
    """Whether a connection's own end has seen neither an end nor a reset."""
    (state,) = struct.unpack_from("B", client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8))
    return state == ESTABLISHED
