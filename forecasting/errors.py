"""Everything tickercast raises on purpose.

TickercastError              exit 1   one line: what was asked, what was found, the rule, the next command
 |-- UsageError              exit 2   the request itself breaks a rule
 |    `-- InvalidSymbol
 |-- DataError                        the data cannot serve the request
 |    |-- BarsError                   a frame breaks the canonical contract of bars
 |    |-- FetchError                  no symbol could be fetched; carries the cause for each
 |    `-- TooFewBars
 |-- WorkspaceError                   the folder cannot be used
 |    |-- WorkspaceNewer              written by a newer tickercast
 |    `-- WorkspaceBusy      exit 4   another job holds the lock
 `-- ModelError                       a model cannot be trained, saved or loaded
      |-- Diverged                    the loss left the finite numbers; carries the history
      `-- BundleError                 a saved model is missing, damaged or of another format
"""

from collections.abc import Mapping
from typing import Any


class TickercastError(Exception):
    """Base of all deliberate errors; its text is one line a person can act on."""

    exit_code = 1


def in_one_line(error: BaseException) -> str:
    """Return what went wrong as one line; what was not raised on purpose says its kind.

    >>> in_one_line(DataError("no prices; next: tickercast fetch")), in_one_line(KeyError("a"))
    ('no prices; next: tickercast fetch', "KeyError: 'a'")
    """
    kind = "" if isinstance(error, TickercastError) else f"{type(error).__name__}: "
    return kind + " ".join(str(error).split())


class UsageError(TickercastError):
    """The request breaks a stated rule."""

    exit_code = 2


class InvalidSymbol(UsageError):
    """A symbol that does not match the rule in `forecasting.bars`."""


class DataError(TickercastError):
    """The data at hand cannot serve the request."""


class BarsError(DataError):
    """A frame breaks the canonical contract of bars."""


class FetchError(DataError):
    """No symbol could be fetched.

    Attributes
    ----------
    causes : mapping of symbol to cause
    kinds : mapping of symbol to the one word for it
    """

    def __init__(self, message: str, causes: Mapping[str, str], kinds: Mapping[str, str]) -> None:
        super().__init__(message)
        self.causes, self.kinds = dict(causes), dict(kinds)


class TooFewBars(DataError):
    """A history is too short for the window, the split or the forecast asked for."""


class WorkspaceError(TickercastError):
    """The workspace folder cannot be used."""


class WorkspaceNewer(WorkspaceError):
    """The workspace was written by a newer tickercast."""


class WorkspaceBusy(WorkspaceError):
    """Another job holds the workspace's lock."""

    exit_code = 4


class ModelError(TickercastError):
    """A model cannot be trained, saved or loaded."""


class Diverged(ModelError):
    """Training left the finite numbers; the network was given back its last good weights.

    Attributes
    ----------
    history : an `Epoch` for each one before it
    """

    def __init__(self, message: str, history: tuple[Any, ...] = ()) -> None:
        super().__init__(message)
        self.history = history


class BundleError(ModelError):
    """A saved model is missing, damaged or of another format."""
