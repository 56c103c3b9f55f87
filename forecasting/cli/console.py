"""What all verbs share: errors as one line, exit codes, progress for people and for logs."""

import json
import math
import os
import shlex
import shutil
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from forecasting.cli.stopping import Interrupt
from forecasting.config import Progress, no_progress
from forecasting.errors import FetchError, TickercastError
from forecasting.pace import Pace, duration_text

PARTLY_DONE = 3
_INTERRUPTED = 130
_WORTH_TELLING_S = 5  # how long the rest takes, where no bar is shown


def typed(arguments: str, workspace: Path | None) -> str:
    """Return a command as it can be typed again: with its path where it is not on the PATH, in the same workspace."""
    called = Path(sys.argv[0])
    name = "tickercast"
    if called.name == name and shutil.which(name) != shutil.which(called):
        name = os.path.relpath(called) if called.absolute().is_relative_to(Path.cwd()) else str(called)
    return f"{name} {arguments}" + (f" --workspace {shlex.quote(str(workspace))}" if workspace else "")


def say(text: str) -> None:
    """Print a line that is not the result, on standard error."""
    typer.echo(text, err=True)


def show_json(value: Any) -> None:
    """Print the result as one JSON document on standard output; what is not a number is null."""
    typer.echo(json.dumps(_finite(value), indent=1, default=str, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def reported_errors(as_json: bool, verbose: bool, workspace: Path | None) -> Iterator[None]:
    """Turn what goes wrong into a line with its cause, and into the exit code of `forecasting.errors`.

    Where a workspace was asked for, the line says that the next command needs it too. SIGTERM interrupts, as Ctrl-C
    does.
    """
    before = signal.getsignal(signal.SIGTERM)
    try:
        if before == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, Interrupt())
        yield
    except TickercastError as error:
        if verbose:
            traceback.print_exc()
        causes, kinds = (error.causes, error.kinds) if isinstance(error, FetchError) else ({}, {})
        if as_json:
            failures = {symbol: {"kind": kinds[symbol], "cause": cause} for symbol, cause in causes.items()}
            show_json({"error": str(error), "failures": failures})
        hint = f" (add --workspace {workspace})" if workspace and "next: tickercast" in str(error) else ""
        say(f"tickercast: {error}{hint}")
        for symbol, cause in causes.items():
            say(f"  {symbol}: {cause}")
        raise typer.Exit(error.exit_code) from error
    except OSError as error:
        if verbose:
            traceback.print_exc()
        if as_json:
            show_json({"error": str(error)})
        say(f"tickercast: {error}; next: check free space and permissions")
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        say("tickercast: interrupted; what was published before stays")
        raise typer.Exit(_INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def shown_progress(as_json: bool) -> Iterator[Progress]:
    """Give a progress callback: bars where a person watches, a line each quarter elsewhere, none for JSON."""
    interrupt = signal.getsignal(signal.SIGTERM)
    with _shown(as_json) as shown:
        if not isinstance(interrupt, Interrupt):
            yield shown
            return

        def watched(what: str, done: int, total: int) -> None:
            interrupt.raise_if_lost()
            shown(what, done, total)

        yield watched


@contextmanager
def _shown(as_json: bool) -> Iterator[Progress]:
    if as_json:
        yield no_progress
    elif sys.stderr.isatty():
        yield from _bars()
    else:
        quarters: dict[str, int] = {}
        pace = Pace()

        def line(what: str, done: int, total: int) -> None:
            left = pace.left(what, done, total) or 0.0
            quarter = 4 * done // total
            if quarter > quarters.get(what, 0):
                quarters[what] = quarter
                rest = f", about {duration_text(left)} left" if left > _WORTH_TELLING_S else ""
                say(f"{what}: {25 * quarter}%{rest}")

        yield line


def _bars() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import Progress as Bars

    with Bars(console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def bar(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield bar


def exit_if_partly(incomplete: object) -> None:
    """End with the exit code of what is partly done, where there is something incomplete."""
    if incomplete:
        raise typer.Exit(PARTLY_DONE)
