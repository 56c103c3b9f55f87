"""The log: one JSON line per step of a job, kept within a stated size.

A line has `at` (UTC instant at which the step ended, ISO 8601), `job`, `pid`, `step`, `seconds`, `counts`, `outcome`
(`ok`, or `failed`) and `detail`. A full file of `MOST_BYTES` becomes `tickercast.log.1`, the one before it
`.2`, up to `OLD_FILES`. The file is opened for each line and closed again, so that none stays open in a process that
runs for months. A line that a kill or a full disk cut short is left as it is; the next one starts afresh.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pandas as pd

from forecasting.errors import in_one_line

MOST_BYTES = 1_000_000
"""Of a file of the log: about 4,000 lines."""

OLD_FILES = 5
"""Full files that are kept beside the one that is written."""


@dataclass(frozen=True)
class StepRecord:
    """What a step did.

    Parameters
    ----------
    name
    seconds : it took
    counts : of what it handled, by name
    detail : in words; of a step that failed, why
    failed : whether it ended with an error
    """

    name: str
    seconds: float
    counts: Mapping[str, int]
    detail: str
    failed: bool = False


@dataclass
class Step:
    """A step that runs; who runs it notes what will be worth knowing, and whether it failed without an error."""

    counts: dict[str, int] = field(default_factory=dict)
    detail: str = ""
    failed: bool = False


class JobLog:
    """The log of one run of a job; `records` are its steps so far, `problem` says why lines could not be written.

    Parameters
    ----------
    folder : a workspace's `logs`; it is created by the first line
    job : name, such as the verb
    clock : tells the UTC instant

    Examples
    --------
    ::

        log = JobLog(workspace.logs, "retrain", utc_now)
        with log.step("fetch") as step, record.step("fetch"):
            step.counts["bars"] = store_prices(...).added
    """

    def __init__(self, folder: Path, job: str, clock: Callable[[], pd.Timestamp]) -> None:
        self._path = folder / "tickercast.log"
        self._job, self._clock = job, clock
        self._records: list[StepRecord] = []
        self.problem: str | None = None

    @property
    def records(self) -> tuple[StepRecord, ...]:
        """The steps so far, those that failed included."""
        return tuple(self._records)

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Run a step, and log it when it has ended, well or not; what it raises goes on."""
        began, step = time.perf_counter(), Step()
        try:
            yield step
        except BaseException as error:
            step.detail, step.failed = in_one_line(error), True
            raise
        finally:
            self._add(name, time.perf_counter() - began, step)

    def note(self, name: str, detail: str = "", **counts: int) -> None:
        """Log what takes no time."""
        self._add(name, 0.0, Step(counts, detail))

    def _add(self, name: str, seconds: float, step: Step) -> None:
        counts = {key: int(count) for key, count in step.counts.items()}  # of numpy's kind, too
        record = StepRecord(name, round(seconds, 3), counts, step.detail, step.failed)
        self._records.append(record)
        line = {
            "at": self._clock().isoformat(),
            "job": self._job,
            "pid": os.getpid(),
            "step": name,
            "seconds": record.seconds,
            "counts": counts,
            "outcome": "failed" if step.failed else "ok",
            "detail": record.detail,
        }
        try:
            _append_line(self._path, json.dumps(line))
        except OSError as error:  # the job matters more than its log
            self.problem = self.problem or f"{self._path} cannot be written ({error.strerror or error})"


def _append_line(path: Path, line: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size + len(line) >= MOST_BYTES:
        _rotate(path)
    with path.open("a+b", buffering=0) as file:
        if size := file.seek(0, os.SEEK_END):
            file.seek(size - 1)
        cut_short = size and file.read(1) != b"\n"
        file.write(b"\n" * bool(cut_short) + line.encode() + b"\n")


def _rotate(path: Path) -> None:
    names = [path, *(path.with_name(f"{path.name}.{n}") for n in range(1, OLD_FILES + 1))]
    for newer, older in reversed(list(pairwise(names))):
        if newer.exists():
            newer.replace(older)
