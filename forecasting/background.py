"""Jobs in a process of their own, for whoever cannot wait for them: the dashboard starts them, sees them, cancels them.

A job is a command of the command line. It goes on whatever becomes of who started it, takes the workspace's lock as
any other does, and leaves its record; here stands what was asked last, and what the command said in the end.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd

from forecasting.errors import UsageError, WorkspaceBusy, WorkspaceError
from forecasting.pace import duration_text
from forecasting.processes import birth_of
from forecasting.records import running_job
from forecasting.workspace import Workspace, read_json, write_json

VERBS = ("backtest", "fetch", "forecast", "replay", "run", "score", "train")
"""What may be started; `promote` and `rollback` take no time."""

_STARTED, _OUTPUT, _MESSAGES = "started.json", "output.json", "messages.txt"


@dataclass(frozen=True)
class Job:
    """A job at work.

    Parameters
    ----------
    verb : what it is called
    started : UTC instant
    progress : `what` is being done, how much is `done`, of what `total`; None where it has not said
    command : as it was asked for; None where another process than the dashboard's started it, and may stop it
    cancelled : whether it was asked to stop
    """

    verb: str
    started: pd.Timestamp
    progress: dict[str, Any] | None
    command: tuple[str, ...] | None = None
    cancelled: bool = False

    @property
    def share(self) -> float:
        """How much of what is being done is done, from 0 to 1."""
        return min(self.progress["done"] / max(self.progress["total"], 1), 1.0) if self.progress else 0.0

    def doing(self, now: pd.Timestamp) -> str:
        """Return in words what is being done, for how long the job has been at work, and how long this takes yet."""
        since = f"for {duration_text(max((now - self.started).total_seconds(), 0))}"
        if self.progress is None:
            return f"at work {since}"
        what, left = self.progress["what"], self.progress.get("left_s")
        part = "" if what == self.verb else f"{what} "
        rest = "" if left is None else f", about {duration_text(left)} left"
        return f"{part}{self.share:.0%}{rest}, at work {since}"


@dataclass(frozen=True)
class Ending:
    """What came of the job that was started last.

    Parameters
    ----------
    command : as it was asked for
    started : UTC instant
    state : `done`, `partly` where some symbols failed, `failed`, or `cancelled`
    error : why it failed
    failures : cause by symbol, of those that failed
    result : what it printed with `--json`
    """

    command: tuple[str, ...]
    started: pd.Timestamp
    state: str
    error: str
    failures: dict[str, str]
    result: dict[str, Any]

    @property
    def summary(self) -> str:
        """What came of it in a sentence; empty where it failed or was cancelled."""
        said = self.result
        sentences = []
        if fetched := said.get("fetch", said if "added" in said else None):
            sentences.append(f"{fetched['added']:,} new bars, {fetched['quarantined']:,} rows put into quarantine.")
        if training := said.get("training", said if "promoted" in said else None):
            sentences.append(_training_summary(training))
        if backtest := said.get("backtest", said if "backtest_id" in said else None):
            sentences.append(str(backtest["summary"]))
        if issued := said.get("forecast", said if "ledger_rows" in said else None):
            sentences.append(f"{issued['ledger_rows']:,} new rows in the ledger, by model {issued['model_id']}.")
        if "matured" in said:
            sentences.append(f"{said['matured']:,} forecasts scored, {said['restated']:,} scored anew.")
        return " ".join(sentences)


@dataclass(frozen=True)
class _Asked:
    command: tuple[str, ...]
    started: str
    pid: int
    born: str | None
    cancelled: bool = False

    @property
    def is_at_work(self) -> bool:
        return self.born is not None and birth_of(self.pid) == self.born


def start_job(workspace: Workspace, command: Sequence[str], now: pd.Timestamp) -> None:
    """Start a command over a workspace in a process of its own, and return at once.

    Parameters
    ----------
    command : verb, of `VERBS`, and its arguments, as they would be typed after `tickercast`
    now : UTC instant

    Raises
    ------
    WorkspaceBusy
        A job is at work.
    UsageError
        The verb is not one of them.
    WorkspaceError
        The workspace cannot be written.
    """
    from filelock import FileLock, Timeout

    if not command or command[0] not in VERBS:
        raise UsageError(f"job {shlex.join(command)!r}: jobs are {', '.join(VERBS)}")
    with workspace.lock():  # nobody writes
        folder = workspace.background
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".starting", timeout=0):
            if job := job_at_work(workspace):
                raise WorkspaceBusy(f"{job.verb} is at work: one job at a time; next: wait for it, or cancel it")
            process = _spawn(workspace, command)
            asked = _Asked(tuple(command), now.isoformat(), process.pid, birth_of(process.pid))
            write_json(folder / _STARTED, asdict(asked))
    except Timeout as error:
        raise WorkspaceBusy("another job is being started: one at a time; next: wait for it") from error


def _spawn(workspace: Workspace, command: Sequence[str]) -> "subprocess.Popen[bytes]":
    whole = [sys.executable, "-m", "forecasting", *command, "--json", "--workspace", str(workspace.root)]
    folder = workspace.background
    with (folder / _OUTPUT).open("wb") as output, (folder / _MESSAGES).open("wb") as messages:
        process = subprocess.Popen(  # noqa: S603
            whole, stdin=subprocess.DEVNULL, stdout=output, stderr=messages, start_new_session=True
        )
    # asked how it ended, or it would stay as a zombie
    threading.Thread(target=process.wait, daemon=True).start()
    return process


def job_at_work(workspace: Workspace) -> Job | None:
    """Return the job that is at work, whoever started it; None where none is."""
    asked, record = _last_asked(workspace), running_job(workspace)
    if asked and asked.is_at_work:
        own = record if record and record["pid"] == asked.pid else None
        return Job(
            asked.command[0], pd.Timestamp(asked.started), own and own["progress"], asked.command, asked.cancelled
        )
    if record:
        return Job(record["verb"], pd.Timestamp(record["started"]), record["progress"])
    return None


def last_ending(workspace: Workspace) -> Ending | None:
    """Return what came of the job that was started last; None where it is at work, or none was started."""
    asked = _last_asked(workspace)
    if asked is None or asked.is_at_work:
        return None
    said: dict[str, Any] = {}
    with suppress(OSError, ValueError):
        said = json.loads((workspace.background / _OUTPUT).read_text())
    if not said and not asked.cancelled:
        said = {"error": f"it ended without a result; next: see jobs/background/{_MESSAGES} in the workspace"}
    failures = {symbol: cause["cause"] if isinstance(cause, dict) else str(cause) for symbol, cause in _failures(said)}
    error = str(said.get("error", ""))
    state = "failed" if error else "partly" if failures else "done" if said else "cancelled"
    return Ending(asked.command, pd.Timestamp(asked.started), state, error, failures, said)


def cancel_job(workspace: Workspace) -> bool:
    """Stop the job that was started last, all its processes; return whether it was at work.

    What it published before stays, and what it left half-done is taken up again or cleared away by the next one.
    """
    asked = _last_asked(workspace)
    if asked is None or not asked.is_at_work:
        return False
    write_json(workspace.background / _STARTED, asdict(replace(asked, cancelled=True)))
    with suppress(ProcessLookupError):  # it has just ended
        os.killpg(asked.pid, signal.SIGTERM)
    return True


def _last_asked(workspace: Workspace) -> _Asked | None:
    try:
        return read_json(workspace.background / _STARTED, lambda v: _Asked(**{**v, "command": tuple(v["command"])}))
    except (FileNotFoundError, WorkspaceError):  # no job is lost by it
        return None


def _training_summary(training: dict[str, Any]) -> str:
    model, champion = training["model_id"], training["champion"]
    if training["promoted"]:
        outcome = f"Model {model} was promoted and serves {training['universe']} now"
    elif model == champion:
        outcome = f"Model {model} serves {training['universe']} already"
    else:
        outcome = f"Model {model} was not promoted, {champion} goes on serving {training['universe']}"
    return f"{outcome}: {training['reason']}."


def _failures(said: dict[str, Any]) -> Any:
    failures = said.get("failures") or (said.get("fetched") or {}).get("failures") or {}
    return failures.items() if isinstance(failures, dict) else ()
