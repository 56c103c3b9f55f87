"""Universes: symbols that share a model, under a name."""

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from forecasting.errors import UsageError
from forecasting.instruments import validate_symbol

_SHORT = 4  # symbols that still make a readable name


@dataclass(frozen=True)
class Universe:
    """Symbols that share a model, under a name."""

    name: str
    symbols: tuple[str, ...]


def make_universe(symbols: Sequence[str]) -> Universe:
    """Return the universe of symbols named one by one; the same symbols always get the same name.

    >>> make_universe(["MSFT", "AAPL", "MSFT"])
    Universe(name='AAPL,MSFT', symbols=('AAPL', 'MSFT'))
    """
    chosen = tuple(sorted({validate_symbol(s) for s in symbols}))
    name = ",".join(chosen)
    if len(chosen) > _SHORT:
        name = f"{chosen[0]}+{len(chosen) - 1}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
    return Universe(name, chosen)


def universe_folder() -> Path:
    """Return where the universes that come with tickercast are: in the checkout, or inside the package."""
    package = Path(__file__).resolve().parent
    shipped = package / "_universes"
    return shipped if shipped.is_dir() else package.parent / "data" / "universes"


def read_universe(asked: str) -> Universe:
    """Return the universe of a CSV file with a column `symbol`, by its path or the name of a shipped one.

    Raises
    ------
    UsageError
        There is no such file, or it has no symbols.
    InvalidSymbol
    """
    path = Path(asked)
    if not path.is_file():
        path = universe_folder() / f"{asked}.csv"
    if not path.is_file():
        shipped = ", ".join(sorted(p.stem for p in universe_folder().glob("*.csv")))
        raise UsageError(
            f"universe {asked!r}: no such file, nor one of the shipped universes ({shipped}); next: --universe FILE, "
            "a CSV file with a column `symbol`"
        )
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            symbols = [row["symbol"].strip() for row in csv.DictReader(handle) if (row.get("symbol") or "").strip()]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(
            f"universe {path} is not a CSV file ({error}); next: a text file with a column `symbol`"
        ) from error
    if not symbols:
        raise UsageError(f"universe {path} has no symbols: it is a CSV file with a column `symbol`, one symbol a row")
    return Universe(path.stem, make_universe(symbols).symbols)
