"""What is asked of the proxies, and what they must answer."""

from dataclasses import dataclass
from enum import Enum

NGINX, HAPROXY, PIPE, IFMATCH, NGINX_LUA = "nginx", "haproxy", "pipe", "ifmatch", "nginx-lua"
PROXIES = (NGINX, HAPROXY, PIPE, IFMATCH, NGINX_LUA)
# The same process, asked for what is below a route in mode "off": what that takes less is the guard's own share. Two processes of
# one program differ by some percent for as long as they live.
UNGUARDED = "ifmatch-off"
GUARDS = (IFMATCH, NGINX_LUA)

# What a case that is answered by the guard is compared with: the same requests, forwarded.
_SHORT = (NGINX, IFMATCH, NGINX_LUA)
_PLAIN = (NGINX, HAPROXY, PIPE, IFMATCH)
_ALL = (NGINX, HAPROXY, PIPE, IFMATCH, UNGUARDED, NGINX_LUA)

STALE_TAG = '"0000000000000000.00000000.0.00000000"'


class Tag(Enum):
    """Which tag a request that never changes states."""

    NONE = "none"
    STALE_IF_MATCH = "stale If-Match"
    CURRENT_IF_NONE_MATCH = "current If-None-Match"


@dataclass(frozen=True)
class Constant:
    """The same request again and again, sent by wrk and by h2load."""

    method: str
    path: str
    tag: Tag = Tag.NONE


@dataclass(frozen=True)
class Carried:
    """Sent by our own `load`: requests that depend on earlier answers. And those that nginx answers with 428: it sends no reason
    phrase, and h2load takes no status from such a line."""

    workload: str


@dataclass(frozen=True)
class Case:
    name: str
    title: str
    connections: int
    requests: Constant | Carried
    guarded: frozenset[int]
    """The statuses that a guard may answer with."""
    proxies: tuple[str, ...] = PROXIES

    def statuses(self, proxy: str) -> frozenset[int]:
        return self.guarded if proxy in GUARDS else _OK


_OK = frozenset({200})
_GET = Constant("GET", "/1k/get")
_GET_LARGE = Constant("GET", "/100k/get")
_PUT_STALE = Constant("PUT", "/1k/get", Tag.STALE_IF_MATCH)
_GET_KNOWN = Constant("GET", "/1k/get", Tag.CURRENT_IF_NONE_MATCH)

CASES = (
    Case("get-1k", "GET 1 KiB", 64, _GET, _OK, _ALL),
    Case("get-100k", "GET 100 KiB", 64, _GET_LARGE, _OK, _PLAIN),
    Case("put-1k", "PUT 1 KiB, fresh If-Match", 64, Carried("put"), _OK, _ALL),
    Case("put-412", "PUT 1 KiB, stale If-Match: 412", 64, _PUT_STALE, frozenset({412}), _SHORT),
    Case("put-428", "PUT 1 KiB, no If-Match: 428", 64, Carried("blind"), frozenset({428}), _SHORT),
    Case("get-304", "GET 1 KiB, current If-None-Match: 304", 64, _GET_KNOWN, frozenset({304}), _SHORT),
    Case("mix", "90 % GET, 10 % PUT, a million resources", 64, Carried("mix"), frozenset({200, 409, 412})),
    Case("get-1k-1000", "GET 1 KiB, 1,000 connections", 1000, _GET, _OK, _PLAIN),
    Case("put-1k-1000", "PUT 1 KiB, 1,000 connections", 1000, Carried("put"), _OK, _PLAIN),
)
