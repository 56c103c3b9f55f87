"""A command of the user's own, run when an evening ends badly; never through a shell."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from forecasting.errors import TickercastError, UsageError
from forecasting.evening_report import EveningReport, report_to_json
from forecasting.logs import JobLog

TIME_LIMIT_S = 60
"""A command that takes longer is killed, with all that it started."""

_STANDARD_ERROR = 2


def parse_command(text: str) -> tuple[str, ...]:
    """Return a command given as a JSON list: the program and its arguments, each a string of its own.

    >>> parse_command('["echo", "an evening failed"]')
    ('echo', 'an evening failed')

    Raises
    ------
    UsageError
        It is no such list, or no such program is there.
    """
    try:
        command = json.loads(text)
    except ValueError:
        command = None
    if not (isinstance(command, list) and command and all(isinstance(part, str) for part in command)):
        raise UsageError(
            f"command {text!r}: a JSON list of strings, the program first, since no shell takes it apart; next: "
            """--on-failure '["mail", "-s", "tickercast failed", "me@example.org"]'"""
        )
    if shutil.which(command[0]) is None:
        raise UsageError(f"command {text!r}: there is no program {command[0]!r} that can be run; next: its full path")
    return tuple(command)


def run_on_failure(command: Sequence[str], report: EveningReport, path: Path | None, log: JobLog) -> str | None:
    """Run a command with the report as JSON on its standard input; what it prints goes to standard error.

    Its environment has `TICKERCAST_UNIVERSE`, `TICKERCAST_OUTCOME`, `TICKERCAST_EXIT_CODE`, `TICKERCAST_SUMMARY` (one
    line) and `TICKERCAST_REPORT`, the path of the JSON, empty where it could not be written. It may take
    `TIME_LIMIT_S`.

    Returns
    -------
    what went wrong with the command, which is in the log too, or None; it is never an error of the job
    """
    try:
        with log.step("on_failure") as step:
            step.detail = command[0]
            _run(command, report, path)
    except TickercastError as error:
        return str(error)
    return None


def _run(command: Sequence[str], report: EveningReport, path: Path | None) -> None:
    told = {
        "UNIVERSE": report.universe,
        "OUTCOME": report.outcome,
        "EXIT_CODE": str(report.exit_code),
        "SUMMARY": report.summary,
        "REPORT": str(path or ""),
    }
    name = f"the command on failure {command[0]!r}"
    try:
        with subprocess.Popen(  # noqa: S603
            list(command),
            stdin=subprocess.PIPE,
            stdout=_STANDARD_ERROR,
            env=os.environ | {f"TICKERCAST_{key}": value for key, value in told.items()},
            text=True,
            start_new_session=True,  # a group of its own, to be killed as one
        ) as process:
            try:
                process.communicate(json.dumps(report_to_json(report), indent=1) + "\n", timeout=TIME_LIMIT_S)
            except subprocess.TimeoutExpired as late:
                os.killpg(process.pid, signal.SIGKILL)
                raise TickercastError(f"{name} took longer than {TIME_LIMIT_S} s and was killed") from late
    except (OSError, ValueError) as error:
        raise TickercastError(f"{name} could not be run ({error})") from error
    if process.returncode:
        raise TickercastError(f"{name} ended with {process.returncode}")
