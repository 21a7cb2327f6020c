"""Shows before each window that the guard is on, where there is one, and that there is none elsewhere."""

from http.client import HTTPConnection
from itertools import count

from driver.cases import GUARDS
from driver.failure import Failure
from driver.servers import Server

CONTENT = b"x" * 1024
_fresh = count(1)


class Probe:
    def __init__(self, server: Server) -> None:
        self._connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
        self._name = server.name

    def ask(self, method: str, path: str, expected: int, **fields: str) -> str | None:
        """The tag of an answer that must have that status. Fields are named with "_" for "-"."""
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        content = CONTENT if method == "PUT" else None
        self._connection.request(method, path, content, headers)
        answer = self._connection.getresponse()
        answer.read()
        if answer.status != expected:
            raise Failure(f"{self._name} answers {method} {path} {fields} with {answer.status}, not {expected}")
        return answer.getheader("ETag")

    def close(self) -> None:
        self._connection.close()


def prove(server: Server) -> None:
    """A lost update is prevented by a guard, and by nothing else."""
    probe = Probe(server)
    path = f"{server.below}probe-{next(_fresh)}"
    read = probe.ask("GET", path, 200)
    if server.name not in GUARDS:
        _require(read is None, f"{server.name} stamps a read with {read}")
        probe.ask("PUT", path, 200, If_Match='"stale"')
        probe.ask("PUT", path, 200)
    else:
        if read is None:
            raise Failure(f"{server.name} does not stamp a read")
        probe.ask("GET", path, 304, If_None_Match=read)
        written = probe.ask("PUT", path, 200, If_Match=read)
        _require(written not in (None, read), f"{server.name} gives a write the tag {written} after {read}")
        probe.ask("PUT", path, 412, If_Match=read)
        probe.ask("PUT", path, 428)
        again = probe.ask("GET", path, 200, If_None_Match=read)
        _require(again == written, f"{server.name} stamps {again} after the write of {written}")
    probe.close()


def _require(true: bool, otherwise: str) -> None:
    if not true:
        raise Failure(otherwise)


def current_tag(server: Server, path: str) -> str | None:
    probe = Probe(server)
    tag = probe.ask("GET", path, 200)
    probe.close()
    return tag
