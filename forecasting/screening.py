"""Screening: which outlooks to look at, what they come to in a line, and their file for a spreadsheet."""

from collections.abc import Collection

import pandas as pd

from forecasting.outlooks import CURRENT, ENDED, FAILED, NO_FORECAST, NOT_TESTED, STALE, SUSPECT

HIGH_VOLATILITY = 1.25
"""From this ratio of the expected volatility to that of the past year on, it counts as high."""

_STATES = {"wrong": [FAILED, STALE], "unforecast": [NO_FORECAST]}
_VERDICTS = {"beats": ["beats"], "ties": ["ties with"], "loses": ["loses to", SUSPECT], "untested": [NOT_TESTED]}

SCREENS = {
    "wrong": "Failed or stale",
    "unforecast": "No forecast",
    "volatile": "Volatility high",
    "beats": "Beats the random walk",
    "ties": "Ties with it",
    "loses": "Loses to it",
    "untested": "Not tested",
}
"""What can be asked for, in words."""


def screen_outlooks(table: pd.DataFrame, text: str = "", screens: Collection[str] = ()) -> pd.DataFrame:
    """Return the outlooks that are asked for.

    Parameters
    ----------
    table : as `read_outlooks` returns it
    text : parts of symbols, in either case, between spaces or commas: a symbol has any of them
    screens : of `SCREENS`; of several about the state, or about the verdict, any may hold; other names ask for nothing
    """
    if parts := text.upper().replace(",", " ").split():
        table = table[[any(part in symbol for part in parts) for symbol in table.index]]
    for column, meanings in (("state", _STATES), ("verdict", _VERDICTS)):
        if asked := [meanings[name] for name in screens if name in meanings]:
            table = table[table[column].isin(set().union(*asked))]
    return table[table["volatility_ratio"] >= HIGH_VOLATILITY] if "volatile" in screens else table


def sum_up_outlooks(table: pd.DataFrame) -> str:
    """Return how many outlooks there are and up to which session, and how many are not current."""
    many = f"{len(table):,} {'symbol' if len(table) == 1 else 'symbols'}"
    if table["last_session"].notna().any():
        many += f", prices up to {table['last_session'].max():%a %Y-%m-%d}"
    counts = table["state"].value_counts()
    if set(counts.index) == {ENDED}:
        return f"{many}, where their embedded histories end: forecasts of the past."
    states = [f"{counts[state]:,} {state}" for state in (FAILED, STALE, NO_FORECAST, ENDED) if state in counts]
    return f"{many}; {', '.join(states) if states else f'all {CURRENT}'}."


def outlook_csv(table: pd.DataFrame) -> str:
    """Return outlooks as CSV, without the closes; no text in it can become a spreadsheet's formula."""
    flags = [" ".join(names) if isinstance(names, tuple) else "" for names in table["flags"]]
    return table.drop(columns="closes").assign(flags=flags).to_csv()
