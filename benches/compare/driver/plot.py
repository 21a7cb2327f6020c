"""The ratios to nginx as a picture."""

from pathlib import Path

from matplotlib import pyplot
from matplotlib.axes import Axes

from driver.cases import HAPROXY, IFMATCH, NGINX, NGINX_LUA, PIPE
from driver.figures import Figure, Figures
from driver.results import Results

COLOURS = {IFMATCH: "#d62728", NGINX_LUA: "#9467bd", HAPROXY: "#1f77b4", PIPE: "#7f7f7f"}
ROW = 0.16


def write(results: Results, file: Path) -> None:
    figures = Figures(results.windows)
    cases = results.plan.cases
    picture, (left, right) = pyplot.subplots(1, 2, figsize=(13, 1.4 + 0.85 * len(cases)), sharey=True)
    _panel(left, results, figures, True, lambda window: window.cpu)
    left.set_title("CPU a request at a fixed rate (less is better)")
    _panel(right, results, figures, False, lambda window: window.requests_per_second)
    right.set_title("requests/s, saturated (more is better)")
    left.set_yticks(range(len(cases)), [case.title for case in cases])
    left.invert_yaxis()
    handles, labels = left.get_legend_handles_labels()
    picture.legend(handles, labels, loc="lower center", ncols=len(labels), frameon=False)
    picture.suptitle("Ratio to plain nginx in the same round: median, least and most")
    picture.tight_layout(rect=(0, 0.05, 1, 0.99))
    picture.savefig(file, dpi=110)
    pyplot.close(picture)


def _panel(axes: Axes, results: Results, figures: Figures, paced: bool, figure: Figure) -> None:
    for place, (proxy, colour) in enumerate(COLOURS.items()):
        rows, medians, below, above = [], [], [], []
        for row, case in enumerate(results.plan.cases):
            ratio = figures.ratio(case.name, (proxy, NGINX), paced, figure)
            if ratio is not None:
                rows.append(row + ROW * (place - (len(COLOURS) - 1) / 2))
                medians.append(ratio.median)
                below.append(ratio.median - ratio.least)
                above.append(ratio.most - ratio.median)
        axes.barh(rows, medians, height=ROW * 0.9, color=colour, label=proxy)
        axes.errorbar(medians, rows, xerr=(below, above), fmt="none", ecolor="black", elinewidth=0.8, capsize=2)
        for height, value, more in zip(rows, medians, above):
            axes.annotate(f" {value:.2f}", (value + more, height), va="center", fontsize=7)
    axes.axvline(1, color="black", linewidth=1)
    axes.margins(x=0.1)
    axes.set_xlim(left=0)
    axes.spines[["top", "right"]].set_visible(False)
