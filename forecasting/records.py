"""What jobs do, and did: one JSON record each, which readers see change while the job runs."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pandas as pd

from forecasting.config import Progress
from forecasting.errors import WorkspaceError
from forecasting.pace import Pace
from forecasting.processes import birth_of
from forecasting.workspace import Workspace, write_json

_INTERVAL_S = 1.0  # between two writes of how far a job is
_LOOKED_BACK = 5  # records among which the last job's is; one it did not end is the newest


class JobRecord:
    """The JSON record of a job under a workspace's `jobs` folder; `data/README.md` has its keys.

    Entered within the workspace's lock, it says `running`, and in the end `done`, `failed` or `cancelled`. A job that
    ends before a step of it has begun to work, because it is refused or there is nothing to do, leaves none.

    Parameters
    ----------
    workspace
    verb : what the job is called
    now : UTC instant of its start
    """

    def __init__(self, workspace: Workspace, verb: str, now: pd.Timestamp) -> None:
        self._workspace = workspace
        self._path = workspace.jobs / f"{now:%Y%m%dT%H%M%S}-{verb}-{os.getpid()}.json"
        pid = os.getpid()
        self._record: dict[str, Any] = {"verb": verb, "started": now.isoformat(), "pid": pid, "born": birth_of(pid)}
        self._record |= {"state": "running", "progress": None, "seconds": {}}
        self._in_step = self._has_begun = False
        self._written_at = 0.0

    def __enter__(self) -> Self:
        _close_killed(self._workspace.jobs)
        self._write()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._has_begun:
            self._path.unlink(missing_ok=True)
            with suppress(OSError):  # other records are there
                self._path.parent.rmdir()
        elif error is None:
            self._end("done")
        elif kind is KeyboardInterrupt:
            with suppress(WorkspaceError):
                self._end("cancelled")
        else:
            with suppress(WorkspaceError):  # the error that ended the job is the one to tell
                self._end("failed", error=str(error) or type(error).__name__)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Run a step that writes; publish when it has ended well."""
        began = time.perf_counter()
        self._in_step = True
        try:
            yield
        finally:
            self._in_step = False
        self._has_begun = True
        self._record["seconds"][name] = round(time.perf_counter() - began, 2)
        self._record["progress"] = None
        self._write()
        self._workspace.publish()

    def watch(self, progress: Progress) -> Progress:
        """Return a callback that hands progress on and keeps it in the record, written once a second."""
        pace = Pace()

        def watched(what: str, done: int, total: int) -> None:
            progress(what, done, total)
            self._has_begun |= self._in_step
            left = pace.left(what, done, total)
            self._record["progress"] = {"what": what, "done": done, "total": total, "left_s": left and round(left, 1)}
            if time.monotonic() - self._written_at >= _INTERVAL_S:
                with suppress(WorkspaceError):  # no reason to give up the work itself
                    self._write()

        return watched

    def _end(self, state: str, **more: str) -> None:
        self._record |= {"state": state, **more}
        self._write()

    def _write(self) -> None:
        write_json(self._path, self._record)
        self._written_at = time.monotonic()


def running_job(workspace: Workspace) -> dict[str, Any] | None:
    """Return the record of the job that is at work; None where none is."""
    for record in _last_records(workspace.jobs).values():
        if record.get("state") == "running":
            born = birth_of(record["pid"])
            if born and born == record.get("born", born):
                return record
    return None


def _close_killed(jobs: Path) -> None:
    """Note of a job that still says it runs that it was killed: whoever holds the lock knows that none does."""
    for path, record in _last_records(jobs).items():
        if record.get("state") == "running":
            write_json(path, {**record, "state": "killed"})


def _last_records(jobs: Path) -> dict[Path, dict[str, Any]]:
    """Return the newest records; none of those that cannot be read, which nothing depends on."""
    records = {}
    for path in sorted(jobs.glob("*.json"))[-_LOOKED_BACK:]:
        with suppress(OSError, ValueError):
            records[path] = json.loads(path.read_text())
    return records
