"""HTTP as it goes over the wire: requests that no library would send, and a server that remembers what it was sent."""

import base64
import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.client import HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import httpx

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def code(self) -> str | None:
        """The code of the registry's error body; None where there is none."""
        try:
            return httpx.Response(self.status, content=self.body).json()["errors"][0]["code"]
        except (ValueError, LookupError, TypeError):
            return None


def send(port: int, data: bytes, timeout: float = 20) -> Answer:
    """Sends these bytes, and reads the answer to them. Raises OSError when the connection is closed without one."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        with contextlib.suppress(ConnectionError):  # refused before all of it was read
            connection.sendall(data)
        return receive(connection, data.split(b" ", 1)[0].decode("latin-1"))


def receive(connection: socket.socket, method: str = "GET") -> Answer:
    response = HTTPResponse(connection, method=method)
    response.begin()
    return Answer(response.status, httpx.Headers(response.getheaders()), response.read())


def ask(
    port: int, method: str, target: str, headers: Headers = (), body: bytes = b"", host: str = "registry"
) -> Answer:
    """One request, spelled exactly so."""
    return send(port, request(method, target, headers, body, host))


def request(method: str, target: str, headers: Headers = (), body: bytes = b"", host: str = "registry") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers]
    lines += [f"Content-Length: {len(body)}"] if body or method in ("POST", "PUT", "PATCH") else []
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def encoded(login: tuple[str, str]) -> str:
    return base64.b64encode(":".join(login).encode()).decode()


def basic(login: tuple[str, str]) -> tuple[str, str]:
    return "Authorization", f"Basic {encoded(login)}"


def bearer(login: tuple[str, str]) -> tuple[str, str]:
    return "Authorization", f"Bearer {encoded(login)}"


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: httpx.Headers

    @property
    def path(self) -> str:
        """As the registry's router reads it: decoded once."""
        return unquote(self.target.partition("?")[0])

    @property
    def writes(self) -> bool:
        return self.method not in ("GET", "HEAD")


@dataclass
class Recorder:
    """Stands in for the registry: answers 200 to everything."""

    port: int = 0
    requests: list[Request] = field(default_factory=list)

    def take(self) -> list[Request]:
        """What came since the last time."""
        taken, self.requests[:] = list(self.requests), []
        return taken


@contextlib.contextmanager
def recording() -> Iterator[Recorder]:
    recorder = Recorder()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            recorder.requests.append(Request(self.command, self.path, httpx.Headers(list(self.headers.items()))))
            self.send_response(200)
            self.send_header("Content-Length", "8")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(b"recorded")

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    recorder.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield recorder
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
