"""A client on one kept-alive connection: what it sends, and what it learns from the answers."""

import socket
from dataclasses import dataclass
from enum import Enum

DEADLINE = 60.0
"""Seconds that an answer may take: only a hang reaches it."""


class Unexpected(Exception):
    """The proxy answered otherwise than it must: a profile of that would be worth nothing."""


class Condition(Enum):
    """What a request says of the state that its author has seen."""

    NONE = "none"
    FRESH = "the newest tag in If-Match"
    STALE = "a tag in If-Match that a write has replaced"
    KNOWN = "the newest tag in If-None-Match"


LEAN = "Host: api.example.com\r\n"
BROWSER = (
    "Host: api.example.com\r\n"
    "Connection: keep-alive\r\n"
    'sec-ch-ua: "Chromium";v="141", "Not?A_Brand";v="8"\r\n'
    "sec-ch-ua-mobile: ?0\r\n"
    'sec-ch-ua-platform: "Linux"\r\n'
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/141.0.0.0 Safari/537.36\r\n"
    "Accept: application/json, text/plain, */*\r\n"
    "Origin: https://app.example.com\r\n"
    "Sec-Fetch-Site: same-site\r\n"
    "Sec-Fetch-Mode: cors\r\n"
    "Sec-Fetch-Dest: empty\r\n"
    "Referer: https://app.example.com/orders/17\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n"
    "Cookie: session=0f6c1e5a9b7d4c3e8f2a1b0c9d8e7f6a; theme=dark\r\n"
)


@dataclass(frozen=True)
class Answer:
    status: int
    head: bytes
    tag: str | None


class Visitor:
    """Sends one request at a time, to resources that no other visitor writes to."""

    def __init__(self, port: int, number: int) -> None:
        self.number = number
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()
        self._head_request = False
        self._tags: dict[str, str] = {}
        self._replaced: dict[str, str] = {}
        # Every other visitor is a browser; all of them are somebody.
        self._fields = (BROWSER if number % 2 else LEAN) + f"Authorization: Bearer visitor-{number}\r\n"

    def close(self) -> None:
        self._connection.close()

    def ask(self, method: str, path: str, fields: str = "", content: bytes = b"", pieces: bool = False) -> Answer:
        """One exchange."""
        self.send(method, path, fields, content, pieces)
        return self.receive(path)

    def send(self, method: str, path: str, fields: str = "", content: bytes = b"", pieces: bool = False) -> None:
        """A request, in one piece; its content in chunks if asked for."""
        self._head_request = method == "HEAD"
        if content:
            fields += "Content-Type: application/json\r\n"
            fields += "Transfer-Encoding: chunked\r\n" if pieces else f"Content-Length: {len(content)}\r\n"
        if pieces:
            content = b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content)
        self._connection.sendall(f"{method} {path} HTTP/1.1\r\n{self._fields}{fields}\r\n".encode() + content)

    def receive(self, path: str) -> Answer:
        """The answer to what was sent. Its tag is kept as the path's newest one."""
        while (end := self._received.find(b"\r\n\r\n") + 4) < 4:
            self._read()
        head = bytes(self._received[:end])
        del self._received[:end]
        status = int(head[9:12])
        self._skip_content(head, status)
        tag = _field(head, b"etag")
        if tag and status < 300:
            before = self._tags.get(path)
            if before not in (None, tag):
                self._replaced[path] = before
            self._tags[path] = tag
        return Answer(status, head, tag)

    def condition(self, condition: Condition, path: str) -> str:
        """The field for it; reads or writes first where no such tag is known."""
        match condition:
            case Condition.NONE:
                return ""
            case Condition.FRESH:
                return f"If-Match: {self._newest(path)}\r\n"
            case Condition.KNOWN:
                return f"If-None-Match: {self._newest(path)}\r\n"
            case Condition.STALE:
                if path not in self._replaced:
                    self.ask("PUT", path, f"If-Match: {self._newest(path)}\r\n", b"{}")
                return f"If-Match: {self._replaced[path]}\r\n"

    def forget(self, path: str) -> None:
        """After a write whose answer names no tag."""
        self._tags.pop(path, None)

    def _newest(self, path: str) -> str:
        if path not in self._tags:
            answer = self.ask("GET", path)
            if answer.tag is None:
                raise Unexpected(f"GET {path} has no tag:\n{answer.head.decode()}")
        return self._tags[path]

    def _read(self) -> None:
        piece = self._connection.recv(1 << 17)
        if not piece:
            raise Unexpected(f"the proxy closed a connection after {bytes(self._received)!r}")
        self._received += piece

    def _skip_content(self, head: bytes, status: int) -> None:
        if self._head_request or status in (204, 304):
            return
        if _field(head, b"transfer-encoding"):
            while (last := self._received.find(b"0\r\n\r\n")) < 0:
                self._read()
            end = last + 5
        else:
            end = int(_field(head, b"content-length") or 0)
            while len(self._received) < end:
                self._read()
        del self._received[:end]


def _field(head: bytes, name: bytes) -> str | None:
    """The value of the field with this name, in lower case, if the head has one."""
    start = head.lower().find(b"\r\n" + name + b":")
    if start < 0:
        return None
    start += len(name) + 3
    return head[start : head.index(b"\r\n", start)].decode().strip()
