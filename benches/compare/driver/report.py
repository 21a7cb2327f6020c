"""The Markdown file."""

from collections.abc import Iterable
from pathlib import Path

from driver.cases import IFMATCH, PROXIES, UNGUARDED, Case
from driver.figures import Figure, Figures, Spread
from driver.results import Results
from driver.window import Window

# A proxy that takes less of its core than this while it is saturated was not what limited the figures.
BUSY = 0.9
# A fixed rate was held if so much of it was answered.
HELD = 0.97

OTHERS = tuple(proxy for proxy in PROXIES if proxy != IFMATCH)


def write(results: Results, file: Path) -> None:
    figures = Figures(results.windows)
    parts = [*_head(results), *_ratios(results, figures), *_guard(results, figures), *_refusals(figures), *_idle(results)]
    for case in results.plan.cases:
        parts += _case(results, figures, case)
    file.write_text("\n".join(parts))


def _head(results: Results) -> list[str]:
    return [
        "# The comparison's last run",
        "",
        "Written by `benches/compare/run`; [its README](../README.md) says what the words mean and what is not fair.",
        "Figures are medians over the rounds, with the least and the most in brackets; ratios are taken within each round.",
        "",
        *_table(["", ""], ([name, words] for name, words in results.about.items())),
        "![Ratios to nginx](ratios.png)",
        "",
    ]


def _ratios(results: Results, figures: Figures) -> list[str]:
    def section(title: str, paced: bool, figure: Figure) -> list[str]:
        rows = (
            [case.title, *(_show(figures.ratio(case.name, (IFMATCH, other), paced, figure), 2) for other in OTHERS)]
            for case in results.plan.cases
        )
        return [f"### {title}", "", *_table(["", *(f"to {other}" for other in OTHERS)], rows)]

    return [
        "## ifmatch as a ratio to each",
        "",
        *section("CPU a request at the fixed rate (less is better)", True, lambda window: window.cpu),
        *section("Requests a second, saturated (more is better)", False, lambda window: window.requests_per_second),
        *section("p99 at the fixed rate (less is better)", True, lambda window: window.p99),
    ]


def _guard(results: Results, figures: Figures) -> list[str]:
    rows = []
    for case in results.plan.cases:
        shares = [figures.share(case.name, (UNGUARDED, IFMATCH), paced, lambda w: w.cpu) for paced in (True, False)]
        if all(shares):
            rows.append([case.title, *(_show(share, 1) for share in shares)])
    head = ["", "% of CPU a request, at the fixed rate", "saturated"]
    return ["### What of that is the guard's own", "", *_table(head, rows)] if rows else []


def _refusals(figures: Figures) -> list[str]:
    rows = []
    for case, forwarded in (("put-412", "put-1k"), ("put-428", "put-1k"), ("get-304", "get-1k")):
        ratio = figures.ratio_of((case, IFMATCH), (forwarded, IFMATCH), True, lambda window: window.cpu)
        if ratio is not None:
            rows.append([case, forwarded, ratio.show(2)])
    head = ["case", "to the forwarded", "CPU a request, each at its fixed rate"]
    return ["### What ifmatch's own answers cost", "", *_table(head, rows)] if rows else []


def _idle(results: Results) -> list[str]:
    rows = ([proxy, f"{size / 1024:.1f}"] for proxy, size in results.idle.items())
    return ["## Memory of an idle keep-alive client", "", *_table(["proxy", "KiB"], rows)]


def _case(results: Results, figures: Figures, case: Case) -> list[str]:
    capacity = results.capacities[case.name]
    head = ["proxy", "requests/s", "p50 µs", "p99 µs", "p99.9 µs", "CPU µs", "core busy", "peak MiB", "refused %"]
    titles = {False: "saturated", True: f"at {capacity.rate:,} requests/s"}
    direct, held = capacity.direct, capacity.direct_paced
    origin = (
        f"{case.connections:,} connections. The origin alone: {direct.requests_per_second:,.0f} requests/s; "
        f"at the fixed rate p50 {held.p50:,.0f} µs, p99 {held.p99:,.0f} µs."
    )
    parts = [f"## {case.title}", "", origin, ""]
    for paced, title in titles.items():
        rows = [_row(figures.of(case.name, proxy, paced), proxy) for proxy in case.proxies]
        parts += [f"### {case.title}, {title}", "", *_table(head, rows), *_doubts(figures, case, paced)]
    return parts


def _row(windows: list[Window], proxy: str) -> list[str]:
    figures = Figures(windows)

    def show(figure: Figure, digits: int) -> str:
        return _show(figures.spread(windows[0].case, proxy, windows[0].rate is not None, figure), digits)

    return [
        proxy,
        show(lambda window: window.requests_per_second, 0),
        show(lambda window: window.p50, 0),
        show(lambda window: window.p99, 0),
        show(lambda window: window.p999, 0),
        show(lambda window: window.cpu, 1),
        show(lambda window: window.busy, 2),
        f"{max(window.peak for window in windows) / 2**20:.1f}",
        show(lambda window: window.refused * 100, 2),
    ]


def _doubts(figures: Figures, case: Case, paced: bool) -> list[str]:
    """Sentences on what must not be read as the proxies' own figures."""
    doubts = []
    for proxy in case.proxies:
        windows = figures.of(case.name, proxy, paced)
        late = sum(w.rate is not None and w.requests_per_second < HELD * w.rate for w in windows)
        slack = sum(w.rate is None and w.busy < BUSY for w in windows)
        if late:
            doubts.append(f"{proxy} did not hold the rate in {late} of {len(windows)} rounds.")
        if slack:
            doubts.append(f"{proxy} had time left in {slack} of {len(windows)} rounds: something else was the limit.")
    return [*doubts, ""] if doubts else []


def _show(spread: Spread | None, digits: int) -> str:
    return spread.show(digits) if spread else "–"


def _table(head: list[str], rows: Iterable[list[str]]) -> list[str]:
    lines = [f"| {' | '.join(cells)} |" for cells in rows]
    return [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *lines, ""]
