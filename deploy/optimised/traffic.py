"""What the proxy is asked while it is trained, and what it has to answer."""

import json
import random
from dataclasses import dataclass, field
from itertools import count
from urllib.request import urlopen

from visitor import Condition, Unexpected, Visitor

CROWD = 32
"""Visitors at once: enough that a worker finds several of them ready at a time."""
ROUNDS = 600
ONE_BY_ONE = 10
NEWCOMERS = 200
COLLISIONS = 100
RESOURCES = 16
"""Of each kind, for each visitor."""

SMALL = b"x" * 1024
FEW = b'{"id":"17","state":"paid"}'
MUCH = b"x" * 20_000


@dataclass(frozen=True)
class Kind:
    """A sort of request. What all requests are made of by weight decides what the compiler takes for hot."""

    weight: int
    method: str
    path: str
    status: int
    condition: Condition = Condition.NONE
    content: bytes = field(default=b"", repr=False)
    pieces: bool = False

    def begin(self, visitor: Visitor, turn: int) -> str:
        """Sends one; the path that it went to."""
        path = self.path.format(id=f"{visitor.number}-{turn % RESOURCES}")
        fields = visitor.condition(self.condition, path)
        visitor.send(self.method, path, fields, self.content, self.pieces)
        return path

    def end(self, visitor: Visitor, path: str) -> None:
        """Reads its answer."""
        answer = visitor.receive(path)
        require(answer.status == self.status, f"{self}: {self.status} was expected, not\n{answer.head.decode()}")
        if self.method not in ("GET", "HEAD") and answer.status < 300 and answer.tag is None:
            visitor.forget(path)


TRAFFIC = (
    Kind(50, "GET", "/items/{id}", 200),
    Kind(8, "GET", "/items/{id}", 304, Condition.KNOWN),
    Kind(1, "HEAD", "/items/{id}", 200),
    Kind(4, "GET", "/large/{id}", 200),
    Kind(4, "GET", "/streamed/{id}", 200),
    Kind(20, "PUT", "/items/{id}", 200, Condition.FRESH, SMALL),
    Kind(3, "PATCH", "/items/{id}", 200, Condition.FRESH, FEW),
    Kind(1, "PUT", "/items/{id}", 200, Condition.FRESH, SMALL, pieces=True),
    Kind(1, "PUT", "/large/{id}", 200, Condition.FRESH, MUCH),
    Kind(2, "DELETE", "/items/{id}", 204, Condition.FRESH),
    Kind(3, "POST", "/items/{id}", 201, content=FEW),
    Kind(4, "PUT", "/items/{id}", 412, Condition.STALE, SMALL),
    Kind(4, "PUT", "/items/{id}", 428, content=SMALL),
    Kind(6, "GET", "/off/{id}", 200),
    Kind(2, "PUT", "/off/{id}", 200, content=SMALL),
    Kind(4, "GET", "/observed/{id}", 200),
    Kind(2, "PUT", "/observed/{id}", 200, content=SMALL),
    Kind(2, "GET", "/content/{id}", 200),
    Kind(1, "GET", "/content/{id}", 304, Condition.KNOWN),
    Kind(1, "PUT", "/content/{id}", 200, Condition.FRESH, SMALL),
    Kind(2, "GET", "/tagged/{id}", 200),
    Kind(1, "PUT", "/tagged/{id}", 200, Condition.FRESH, SMALL),
    Kind(2, "GET", "/viewed/{id}", 200),
    Kind(1, "PUT", "/waiting/{id}", 200, content=SMALL),
    Kind(1, "PUT", "/created/{id}", 200, content=SMALL),
    Kind(1, "POST", "/calls", 201, content=FEW),
    Kind(1, "PUT", "/orders/{id}", 200, content=FEW),
    Kind(1, "GET", "/nowhere/{id}", 404),
)


def train(port: int, admin: int) -> int:
    """All of it, once; how many requests that were. Fails at the first answer that is not what it has to be."""
    draw = random.Random(1)
    turns = count()
    visitors = [Visitor(port, number) for number in range(CROWD)]
    alone = visitors[0]
    for kind in TRAFFIC:
        for _ in range(ONE_BY_ONE):
            kind.end(alone, kind.begin(alone, next(turns)))
    for turn in range(ROUNDS):
        kinds = draw.choices(TRAFFIC, [kind.weight for kind in TRAFFIC], k=CROWD)
        paths = [kind.begin(visitor, turn) for kind, visitor in zip(kinds, visitors)]
        for kind, visitor, path in zip(kinds, visitors, paths):
            kind.end(visitor, path)
        if turn % 50 == 0:
            scrape(admin)
    for number in range(NEWCOMERS):
        newcomer = Visitor(port, CROWD + number)
        expect(newcomer, 200, "GET", "/items/1")
        newcomer.close()
    for number in range(COLLISIONS):
        collide(visitors, number)
        tell_twice(alone, number)
        share_a_name(alone, number)
        say_nothing(alone, number)
    for visitor in visitors:
        visitor.close()
    return ROUNDS * CROWD


def collide(visitors: list[Visitor], number: int) -> None:
    """Two writes of one state at once: one is forwarded, the other refused, and a retry of that is outdated."""
    first, second, third, *_ = visitors
    path = f"/held/{number}"
    tag = expect(third, 200, "GET", path)
    fields = f"If-Match: {tag}\r\n"
    first.send("PUT", path, fields, SMALL)
    second.send("PUT", path, fields, SMALL)
    expect(third, 200, "GET", f"/off/release/{number}")
    statuses = sorted(visitor.receive(path).status for visitor in (first, second))
    require(statuses in ([200, 409], [200, 412]), f"{path}: two writes at once were answered with {statuses}")
    expect(second, 412, "PUT", path, fields, SMALL)


def tell_twice(visitor: Visitor, number: int) -> None:
    """A request that is sent again hears the first one's answer."""
    for _ in range(2):
        expect(visitor, 201, "POST", "/payments", f'Idempotency-Key: "payment-{number}"\r\n', FEW)


def share_a_name(visitor: Visitor, number: int) -> None:
    """A value that has to be unique, and an error of the origin's that means a conflict."""
    for name, status in (("ann", 201), ("duplicate", 409)):
        content = json.dumps({"email": f"{name}{number}@example.com"}).encode()
        expect(visitor, status, "POST", "/customers", "", content)


def say_nothing(visitor: Visitor, number: int) -> None:
    """A write that states nothing, by a client that has read what it replaces."""
    path = f"/viewed/{number}"
    expect(visitor, 200, "GET", path)
    expect(visitor, 200, "PUT", path, "", SMALL)


def scrape(admin: int) -> None:
    """As Prometheus, an orchestrator and an operator do."""
    for path in ("metrics", "readyz", "livez", "conflicts"):
        with urlopen(f"http://127.0.0.1:{admin}/{path}", timeout=60) as answer:
            answer.read()


def expect(
    visitor: Visitor, status: int, method: str, path: str, fields: str = "", content: bytes = b""
) -> str | None:
    """One exchange that has to end with that status; the answer's tag."""
    answer = visitor.ask(method, path, fields, content)
    require(answer.status == status, f"{method} {path}: {status} was expected, not\n{answer.head.decode()}")
    return answer.tag


def require(true: bool, otherwise: str) -> None:
    if not true:
        raise Unexpected(otherwise)
