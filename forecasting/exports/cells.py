"""Cells: whether the texts of a column are what its schema says, and what they stand for.

Columns come as dictionaries, so that a text that stands in many rows is looked at once. Of JSON Schema
these keywords are understood: `type`, `const`, `enum`, `pattern`, `format`, `minimum`, `exclusiveMinimum`,
`maximum`, and `allOf` of `if` and `then` about single columns.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from forecasting.exports.problems import MOST_NAMED, Findings, shown
from forecasting.exports.schemas import Schema

TEXTS = pa.dictionary(pa.int32(), pa.string())
"""The type of a column of cells."""

_NUMBER = "^-?[0-9]+([.][0-9]+)?([eE][+-]?[0-9]+)?$"
_FORMS = {
    "number": (_NUMBER, "a number such as -0.0125"),
    "integer": ("^-?[0-9]{1,9}$", "a whole number"),
    "boolean": ("^(True|False)$", "True or False"),
    "null": ("^$", "an empty cell"),
}
_LIMITS = {
    "minimum": (np.greater_equal, "at least"),
    "exclusiveMinimum": (np.greater, "above"),
    "maximum": (np.less_equal, "at most"),
}


@dataclass(frozen=True)
class _Column:
    """A column's cells: which of the different `texts` stands in each row, and the `values` that texts stand for."""

    codes: np.ndarray
    texts: pa.Array
    values: pa.Array

    def broken(self, spec: Mapping[str, Any]) -> tuple[np.ndarray, list[str]]:
        """Return, per row, the number of the first rule that its cell breaks, 0 for none, and the rules in words."""
        which, words = np.zeros(len(self.texts), dtype="int8"), [""]
        for holds, rule in self._rules(spec):
            which[~holds & (which == 0)] = len(words)
            words.append(rule)
        if "null" in _types(spec):
            which[_matches(self.texts, "^$")] = 0
        return which[self.codes], words

    def _rules(self, spec: Mapping[str, Any]) -> Iterator[tuple[np.ndarray, str]]:
        """Yield per rule, first things first, for which texts it holds, and its words."""
        kind = _kind(spec)
        if kind in _FORMS:
            pattern, words = _FORMS[kind]
            yield _matches(self.texts, pattern), words
        choices = [spec["const"]] if "const" in spec else spec.get("enum", [])
        if choices:
            allowed = pa.array([str(choice) for choice in choices])
            yield _flags(pc.is_in(self.texts, allowed)), f"{'one of ' * (len(choices) > 1)}{', '.join(choices)}"
        if "pattern" in spec:
            examples = f"such as {' or '.join(spec['examples'])}, " if "examples" in spec else ""
            yield _matches(self.texts, spec["pattern"]), f"a text {examples}of the pattern {spec['pattern']}"
        if "format" in spec:
            yield ~_flags(pc.is_null(self.values)), "a day that the calendar has"
        if pa.types.is_floating(self.values.type):
            numbers = self.values.to_numpy(zero_copy_only=False)
            yield np.isfinite(numbers), "a number of the float64 range"
            for keyword, (compare, words) in _LIMITS.items():
                if keyword in spec:
                    yield compare(numbers, spec[keyword]), f"a number {words} {spec[keyword]}"


def read_cells(schema: Schema, table: pa.Table, rows: np.ndarray, findings: Findings) -> pa.Table:
    """Return what the cells of a table of `TEXTS` stand for, and add those that break their column's rules.

    Dates and instants become timestamps without a zone, whole numbers too become float64, and the rest dictionaries of
    text; an empty cell is null.

    Parameters
    ----------
    rows : number of each row of the table, for the problems added
    """
    columns = {name: _read(table[name], schema.spec(name) or {}) for name in table.column_names}
    broken = {}
    for name, column in columns.items():
        broken[name], words = column.broken(schema.spec(name) or {})
        _add(findings, name, column, rows, broken[name], words)
    for condition in schema.content.get("allOf", ()):
        meets = np.full(table.num_rows, True)
        for name, spec in condition["if"]["properties"].items():
            meets &= columns[name].broken(spec)[0] == 0
        for name, spec in condition["then"]["properties"].items():
            which, words = columns[name].broken(spec)
            _add(findings, name, columns[name], rows, which * (meets & (broken[name] == 0)), words)
    return pa.table({name: _typed(column) for name, column in columns.items()})


def _add(
    findings: Findings, name: str, column: _Column, rows: np.ndarray, broken: np.ndarray, words: Sequence[str]
) -> None:
    """Add the cells of a column that break a rule, `broken` having its number."""
    places = np.flatnonzero(broken)
    for number in np.unique(broken[places]):
        at = places[broken[places] == number]
        texts = column.texts.take(pa.array(column.codes[at[:MOST_NAMED]])).to_pylist()
        findings.add(rows[at], name, [shown(text) for text in texts], words[number])


def _read(cells: pa.ChunkedArray, spec: Mapping[str, Any]) -> _Column:
    whole = cells.combine_chunks() if cells.num_chunks != 1 else cells.chunk(0)
    texts = whole.dictionary
    return _Column(whole.indices.to_numpy(zero_copy_only=False), texts, _values(texts, spec))


def _values(texts: pa.Array, spec: Mapping[str, Any]) -> pa.Array:
    """Return what different texts stand for; null, or of a number NaN, where they stand for nothing."""
    kind = _kind(spec)
    if kind in ("number", "integer"):
        numbers = pc.if_else(pc.match_substring_regex(texts, _NUMBER), texts, None)
        return pc.fill_null(numbers.cast(pa.float64()), np.nan)
    if "format" in spec:
        return pa.array([_moment(text) for text in texts.to_pylist()], pa.timestamp("us"))
    return texts


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.removesuffix("Z"))
    except ValueError:
        return None


def _typed(column: _Column) -> pa.Array:
    if pa.types.is_string(column.values.type):
        empty = _matches(column.texts, "^$")[column.codes]
        return pa.DictionaryArray.from_arrays(pa.array(column.codes, mask=empty), column.values)
    return column.values.take(pa.array(column.codes))


def _types(spec: Mapping[str, Any]) -> list[str]:
    types = spec.get("type", [])
    return [types] if isinstance(types, str) else list(types)


def _kind(spec: Mapping[str, Any]) -> str | None:
    """Return the type of a cell that is not empty, or null where each is empty."""
    types = _types(spec)
    return next((kind for kind in types if kind != "null"), types[0] if types else None)


def _matches(texts: pa.Array, pattern: str) -> np.ndarray:
    return _flags(pc.match_substring_regex(texts, pattern))


def _flags(truths: pa.Array) -> np.ndarray:
    return truths.to_numpy(zero_copy_only=False).astype(bool)


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Return what cells stand for as a frame; text columns are categories."""
    return table.unify_dictionaries().to_pandas()
