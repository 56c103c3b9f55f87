"""Simulated evenings; in a process of their own `evenings_simulated.py WORKSPACE COUNT` prints a JSON line for each.

The clock is moved by sleeping alone; all else is real: each evening is a run of the evening job for two
simulated symbols, with a training every 20 sessions.
"""

import json
import os
import resource
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock
from live_evenings import SMALL, LiveSource

from forecasting.evening_report import EveningReport
from forecasting.retraining import retrain
from forecasting.scheduler import Schedule, read_calendars, run_schedule
from forecasting.universe import make_universe
from forecasting.workspace import Workspace

UNIVERSE = make_universe(["SYN1", "SYN2"])


class Simulation:
    """Evenings from the beginning of 2018 on; what is measured after each is kept by `keep`."""

    def __init__(self, workspace: Workspace, count: int, keep: Callable[[dict[str, Any]], None]) -> None:
        self.workspace, self.left, self.keep = workspace, count, keep
        self.now, self.source = pd.Timestamp("2018-01-01 12:00", tz="UTC").as_unit("us"), LiveSource()

    def clock(self) -> pd.Timestamp:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += pd.Timedelta(seconds=seconds)

    def evening(self) -> EveningReport:
        self.source.now = self.now
        return retrain(self.workspace, UNIVERSE, self.source, SMALL, clock=self.clock)

    def measure(self, report: EveningReport) -> None:
        self.left -= 1
        lock = FileLock(self.workspace.root / ".lock", timeout=0)
        with lock:  # as another process would get it
            pass
        self.keep(
            {
                "session": str(report.sessions[-1].date()),
                "issued": report.issued,
                "memory": _resident(),
                "open_files": len(os.listdir("/dev/fd")),
                "threads": threading.active_count(),
                "lock_files": len(list(self.workspace.root.rglob("*lock*"))),
            }
        )

    def run(self) -> None:
        run_schedule(
            Schedule(
                workspace=self.workspace,
                universe=UNIVERSE.name,
                job=self.evening,
                calendars=lambda: read_calendars(self.workspace, UNIVERSE.symbols),
                clock=self.clock,
                sleep=self.sleep,
                stop=lambda: self.left <= 0,
                show=self.measure,
                on_failure=lambda report, _path: sys.exit(report.summary),
                say=lambda _words: None,
            )
        )


def _resident() -> int:
    """Return the bytes of memory held now, or where the system does not tell, the most that was."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except FileNotFoundError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    Simulation(Workspace(sys.argv[1]), int(sys.argv[2]), lambda told: print(json.dumps(told), flush=True)).run()
