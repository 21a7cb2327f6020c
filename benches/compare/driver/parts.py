"""Which part of ifmatch a line of it belongs to."""

import re
from pathlib import Path

from driver.build import ROOT
from driver.stacks import Place

IDENTIFY, PRECONDITIONS, DECIDE, LEDGER, TAG, METRICS = (
    "identify: the resource's name",
    "preconditions: reading them",
    "decide: what is claimed, and by which rules",
    "ledger: begin, settle, look up",
    "tag: making it",
    "metrics and log",
)
GUARD = (IDENTIFY, PRECONDITIONS, DECIDE, LEDGER, TAG, METRICS)
ROUTE, FORWARD, PROTOCOL, ELSEWHERE = (
    "finding the route",
    "forwarding: what carries a request on and its answer back",
    "HTTP and sockets, the kernel's part included",
    "the runtime, waiting included",
)
PARTS = (*GUARD, ROUTE, FORWARD, PROTOCOL, ELSEWHERE)

# The first that matches counts. A function is named behind its file where the file is of several parts.
_OF = (
    (ROUTE, r"identify/(route_table|target_path|plain_path|by_text)|proxy/(target|head)\.rs"),
    (IDENTIFY, r"identify/|proxy/handle\.rs:name_resource|proxy/ask\.rs:named"),
    (PRECONDITIONS, r"request/"),
    (DECIDE, r"decide/|proxy/(admit|changes|rules|twice|views|under_permit|observe)\.rs|proxy/handle\.rs:(write_way|effect_of)"),
    (DECIDE, r"proxy/read\.rs:(decide|stated|stamped)"),
    (LEDGER, r"ledger/|proxy/unjudged\.rs|proxy/gateway\.rs:places_are_free|proxy/write\.rs:(settle|forget|has_left)"),
    (TAG, r"proxy/(representation|shown_tag)\.rs|proxy/write\.rs:(tag_of|answers_with_tag)|proxy/read\.rs:put_tag"),
    (METRICS, r"report/|proxy/in_flight\.rs|proxy/outlive\.rs:tell"),
    (FORWARD, r"proxy/(handle|ask|write|read|pass|outlive|fields|outgoing|body|request_body|patience|cors|slips_by|verify|gateway)\.rs"),
    (PROTOCOL, r"http1/|proxy/"),
)
_FUNCTION = re.compile(r"^ *(?:pub(?:\([^)]*\))? )?(?:async )?fn (\w+)")


class Sources:
    """The source that the binary was built from: this tree's."""

    def __init__(self) -> None:
        self._functions: dict[str, list[str]] = {}

    def part_of(self, place: Place | None) -> str:
        if place is None:
            return ELSEWHERE
        named = f"{place.file}:{self._function(place)}"
        return next((part for part, pattern in _OF if re.match(pattern, named)), ELSEWHERE)

    def _function(self, place: Place) -> str:
        """The function that a line is in, by where the functions of its file begin."""
        if place.file not in self._functions:
            self._functions[place.file] = _functions(ROOT / "src" / place.file)
        functions = self._functions[place.file]
        return functions[min(place.line, len(functions)) - 1] if place.line and functions else ""


def _functions(file: Path) -> list[str]:
    """By line, the function that begins there or before."""
    names, name = [], ""
    for line in file.read_text().splitlines() if file.exists() else []:
        begins = _FUNCTION.match(line)
        name = begins[1] if begins else name
        names.append(name)
    return names
