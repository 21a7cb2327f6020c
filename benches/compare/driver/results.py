"""Everything that a run found, and the raw numbers as JSON."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from driver.campaign import Capacity, Plan
from driver.window import Window


@dataclass(frozen=True)
class Results:
    about: dict[str, str]
    plan: Plan
    capacities: dict[str, Capacity]
    """By case."""
    windows: list[Window]
    idle: dict[str, float]
    """Bytes an idle client, by proxy."""

    def write_json(self, file: Path) -> None:
        raw = {
            "about": self.about,
            "capacities": {case: asdict(capacity) for case, capacity in self.capacities.items()},
            "idle": self.idle,
        }
        # A line a window, so that two runs can be compared by eye.
        windows = ",\n".join(json.dumps(asdict(window)) for window in self.windows)
        file.write_text(f'{json.dumps(raw, indent=1)[:-2]},\n "windows": [\n{windows}\n]}}\n')
