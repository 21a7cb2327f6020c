"""An origin and a client, as small as they can be: one connection each, one request at a time."""

import socket
import threading
from dataclasses import dataclass


@dataclass
class Response:
    """A final answer: its status and its fields, by their names in lower case."""

    status: int
    fields: dict[str, str]


class Message:
    """Reads messages with a Content-Length from a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.file = connection.makefile("rb")

    def next(self) -> tuple[str, dict[str, str]] | None:
        """The first line and the fields of the next message, its content read; None at the end."""
        line = self.file.readline().decode().strip()
        if not line:
            return None
        fields = {}
        while field := self.file.readline().decode().strip():
            name, _, value = field.partition(":")
            fields[name.lower()] = value.strip()
        if not line.startswith("HTTP/1.1 304"):
            self.file.read(int(fields.get("content-length", "0")))
        return line, fields


class Origin:
    """Answers 1 KiB of JSON to GET and two bytes to everything else."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "Origin":
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        messages = Message(connection)
        while message := messages.next():
            line, _ = message
            content = b'{"text":"' + b"x" * 1013 + b'"}' if line.startswith("GET") else b"{}"
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
            connection.sendall(head.encode() + content)


class Client:
    """One kept-alive connection to the proxy."""

    def __init__(self, port: int) -> None:
        self.connection = socket.create_connection(("127.0.0.1", port))
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.messages = Message(self.connection)

    def ask(self, method: str, path: str, fields: dict[str, str] | None = None, content: bytes = b"") -> Response:
        """One exchange. Its request looks like those of wrk, and is sent in one piece."""
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in (fields or {}).items())
        if content:
            head += f"Content-Length: {len(content)}\r\n"
        self.connection.sendall(head.encode() + b"\r\n" + content)
        message = self.messages.next()
        if message is None:
            raise ConnectionError("the proxy closed the connection")
        line, answered = message
        return Response(int(line.split()[1]), answered)
