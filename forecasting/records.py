"""What jobs did, and when."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd

from forecasting.workspace import Workspace, write_json


class JobRecord:
    """The JSON record of a job under a workspace's `jobs` folder: verb, start, process, seconds per finished step.

    It is written with the first step that ends well, so a job that is refused leaves none.
    """

    def __init__(self, workspace: Workspace, verb: str, now: pd.Timestamp) -> None:
        self._workspace = workspace
        self._record = {"verb": verb, "started": now.isoformat(), "pid": os.getpid()}
        self._path = workspace.jobs / f"{now:%Y%m%dT%H%M%S}-{verb}-{os.getpid()}.json"
        self._seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Run a step that writes; publish when it has ended well."""
        began = time.perf_counter()
        yield
        self._seconds[name] = round(time.perf_counter() - began, 2)
        write_json(self._path, {**self._record, "seconds": self._seconds})
        self._workspace.publish()
