"""An API that knows nothing of preconditions, as a program: it prints its port and answers until it is ended.

The first segment of a path that has one of the names below says how a GET is answered; it may stand behind `/off`.
"""

import asyncio
import socket
import sys
from collections import defaultdict


def response(status: str, content: bytes, *fields: str, framing: str | None = None) -> bytes:
    """A message with the fields that APIs send."""
    head = [
        f"HTTP/1.1 {status}",
        "Server: origin/1.0",
        "Date: Mon, 23 Nov 2026 12:00:00 GMT",
        "Content-Type: application/json; charset=utf-8",
        framing or f"Content-Length: {len(content)}",
        *fields,
    ]
    return "\r\n".join([*head, "", ""]).encode() + content


def json(size: int) -> bytes:
    """An object of so many bytes, that an order could be."""
    start = b'{"id":"17","state":"new","text":"'
    return start + b"x" * (size - len(start) - 2) + b'"}'


def chunks(content: bytes, size: int) -> bytes:
    """Framed in pieces."""
    pieces = (content[at : at + size] for at in range(0, len(content), size))
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


RICH = (
    "Cache-Control: private, max-age=0, must-revalidate",
    "Vary: Accept-Encoding, Origin",
    "X-Request-Id: 5f0c1c5a-3f0e-4a8e-9a57-0d6a1a0d9f11",
    "X-Content-Type-Options: nosniff",
    "Strict-Transport-Security: max-age=31536000; includeSubDomains",
    "Set-Cookie: session=0f6c1e; Path=/; HttpOnly; Secure; SameSite=Lax",
    "X-RateLimit-Limit: 5000",
    "X-RateLimit-Remaining: 4987",
)
PLAIN_READ = response("200 OK", json(1024))
READS = {
    "items": response("200 OK", json(1024), *RICH),
    "large": response("200 OK", json(100 * 1024)),
    "streamed": response("200 OK", chunks(json(6000), 2000), framing="Transfer-Encoding: chunked"),
    "tagged": response("200 OK", json(1024), 'ETag: "origin-1"', "Last-Modified: Sun, 22 Nov 2026 12:00:00 GMT"),
    "created": response("404 Not Found", b"{}"),
    "missing": response("404 Not Found", b"{}"),
}
WRITES = {
    "POST": response("201 Created", b'{"id":"18"}', "Location: /items/18"),
    "DELETE": b"HTTP/1.1 204 No Content\r\nServer: origin/1.0\r\nDate: Mon, 23 Nov 2026 12:00:00 GMT\r\n\r\n",
}
WRITTEN = response("200 OK", b'{"written":true}')
DUPLICATE = response("500 Internal Server Error", b'{"error":"duplicate key value"}')


class Conversation(asyncio.Protocol):
    """A connection: its requests are answered one after the other."""

    held: defaultdict[str, list["Conversation"]] = defaultdict(list)
    released: defaultdict[str, int] = defaultdict(int)

    def __init__(self) -> None:
        self.received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        self.received += data
        while (end := self.received.find(b"\r\n\r\n") + 4) > 3:
            line, *fields = self.received[: end - 4].decode().lower().split("\r\n")
            whole = self._end_of_content(fields, end)
            if whole is None:
                return
            content = bytes(self.received[end:whole])
            del self.received[:whole]
            method, path, _ = line.upper().split(" ")
            self._answer(method, path.lower(), content)

    def _end_of_content(self, fields: list[str], start: int) -> int | None:
        """Where the request ends, if that is known yet."""
        for field in fields:
            name, _, value = field.partition(":")
            if name == "content-length":
                whole = start + int(value)
                return whole if len(self.received) >= whole else None
            if name == "transfer-encoding":
                last = self.received.find(b"0\r\n\r\n", start)
                return None if last < 0 else last + 5
        return start

    def _answer(self, method: str, path: str, content: bytes) -> None:
        first, *rest = path.strip("/").removeprefix("off/").split("/")
        if first == "held" and method == "PUT":
            self._hold(path)
        elif first == "release":
            self._release("/held/" + rest[0])
            self.transport.write(PLAIN_READ)
        elif method == "GET":
            self.transport.write(READS.get(first, PLAIN_READ))
        elif method == "HEAD":
            answer = READS.get(first, PLAIN_READ)
            self.transport.write(answer[: answer.index(b"\r\n\r\n") + 4])
        elif b"duplicate" in content:
            self.transport.write(DUPLICATE)
        else:
            self.transport.write(WRITES.get(method, WRITTEN))

    def _hold(self, path: str) -> None:
        """Answers when it is released, which may have been asked already."""
        if self.released[path]:
            self.released[path] -= 1
            self.transport.write(WRITTEN)
        else:
            self.held[path].append(self)

    def _release(self, path: str) -> None:
        if self.held[path]:
            self.held[path].pop().transport.write(WRITTEN)
        else:
            self.released[path] += 1


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Conversation, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(130)
