"""Medians and spreads over the rounds, and ratios within each of them."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from driver.window import Window

Figure = Callable[[Window], float]


@dataclass(frozen=True)
class Spread:
    """Over the rounds."""

    median: float
    least: float
    most: float

    def show(self, digits: int) -> str:
        if self.least == self.most:
            return f"{self.median:,.{digits}f}"
        return f"{self.median:,.{digits}f} [{self.least:,.{digits}f}–{self.most:,.{digits}f}]"


@dataclass(frozen=True)
class Figures:
    windows: list[Window]

    def of(self, case: str, proxy: str, paced: bool) -> list[Window]:
        """By round."""
        those = [w for w in self.windows if (w.case, w.proxy, w.rate is not None) == (case, proxy, paced)]
        return sorted(those, key=lambda window: window.round)

    def spread(self, case: str, proxy: str, paced: bool, figure: Figure) -> Spread | None:
        """None where the proxy did not take part in the case."""
        return _spread([figure(window) for window in self.of(case, proxy, paced)])

    def ratio(self, case: str, proxies: tuple[str, str], paced: bool, figure: Figure) -> Spread | None:
        """Of the first proxy to the second, each in the same round."""
        return self.ratio_of((case, proxies[0]), (case, proxies[1]), paced, figure)

    def share(self, case: str, proxies: tuple[str, str], paced: bool, figure: Figure) -> Spread | None:
        """Percent of the second proxy's that the first one lacks, each in the same round."""
        pairs = zip(*(self.of(case, proxy, paced) for proxy in proxies))
        return _spread([100 * (1 - figure(less) / figure(whole)) for less, whole in pairs])

    def ratio_of(self, one: tuple[str, str], other: tuple[str, str], paced: bool, figure: Figure) -> Spread | None:
        """Of a case and proxy to another, each in the same round."""
        pairs = zip(self.of(*one, paced), self.of(*other, paced))
        return _spread([figure(window) / figure(base) for window, base in pairs])


def _spread(values: list[float]) -> Spread | None:
    return Spread(median(values), min(values), max(values)) if values else None
