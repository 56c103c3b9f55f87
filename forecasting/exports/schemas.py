"""The published schemas of exported files: JSON Schema for a row, with the order of columns and the rules across rows.

A header is of one schema and of one version of it: what changes a schema's meaning changes its header.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from forecasting.errors import UsageError
from forecasting.workspace import write_atomic

_FOLDER = Path(__file__).resolve().parent.parent / "schemas"
_SUFFIX = ".schema.json"
_NEAR = 0.5  # of a schema's columns, in a header that is likely meant to be its


@dataclass(frozen=True)
class Schema:
    """What a kind of exported file holds.

    Parameters
    ----------
    name : with its version, such as `prices-1`
    content : the JSON Schema of a row as an object. `x-columns` has the columns in their order; those of
        `patternProperties` follow, by the number behind their first letter. `x-key` has the columns that tell rows
        apart, `x-rules` the rules across rows, by name
    """

    name: str
    content: Mapping[str, Any]

    @property
    def columns(self) -> list[str]:
        """The columns that every file of this kind begins with, in their order."""
        return list(self.content["x-columns"])

    @property
    def key(self) -> list[str]:
        """The columns that tell one row from another."""
        return list(self.content["x-key"])

    @property
    def rules(self) -> Mapping[str, str]:
        """The rules across rows, in words, by name."""
        return dict(self.content["x-rules"])

    def spec(self, column: str) -> Mapping[str, Any] | None:
        """Return the JSON Schema of a column's cells; None where the schema has no such column."""
        patterns = self.content.get("patternProperties", {})
        found = (spec for pattern, spec in patterns.items() if re.search(pattern, column))
        return self.content["properties"].get(column) or next(found, None)

    def has_header(self, header: Sequence[str]) -> bool:
        """Return whether a file with this header is of this kind."""
        fixed, more = list(header[: len(self.columns)]), header[len(self.columns) :]
        return (
            fixed == self.columns
            and {*self.content["required"]} <= {*header}
            and all(self.spec(column) for column in more)
            and more == sorted(set(more), key=lambda column: float(column[1:]))
        )


@lru_cache
def schemas() -> tuple[Schema, ...]:
    """Return all schemas, by name."""
    return tuple(
        Schema(path.name.removesuffix(_SUFFIX), json.loads(path.read_text(encoding="utf-8")))
        for path in sorted(_FOLDER.glob(f"*{_SUFFIX}"))
    )


def find_schema(header: Sequence[str]) -> Schema:
    """Return the schema that a header is of.

    Raises
    ------
    UsageError
        It is of none; where one is near, the error names how they differ.
    """
    for schema in schemas():
        if schema.has_header(header):
            return schema
    names = ", ".join(s.name for s in schemas())
    nearest = max(schemas(), key=lambda s: len({*s.columns} & {*header}) / len(s.columns))
    if len({*nearest.columns} & {*header}) < _NEAR * len(nearest.columns):
        raise UsageError(
            f"no schema ({names}) has the header {','.join(header)[:200]!r}; next: a file of tickercast export"
        )
    lacks = [c for c in nearest.content["required"] if c not in header]
    foreign = [c for c in header if nearest.spec(c) is None]
    differs = [f"lacks {', '.join(lacks)}"] * bool(lacks) + [f"also has {', '.join(foreign)}"[:200]] * bool(foreign)
    raise UsageError(
        f"its header is not that of {nearest.name}: it {' and '.join(differs) or 'has another order'}; next: the file "
        "as it was written"
    )


def publish_schema(schema: Schema, folder: Path) -> list[Path]:
    """Put a schema beside the files that follow it, unless it is there already; return what was written."""
    source, path = _FOLDER / f"{schema.name}{_SUFFIX}", folder / f"{schema.name}{_SUFFIX}"
    content = source.read_bytes()
    if path.is_file() and path.read_bytes() == content:
        return []
    write_atomic(path, content)
    return [path]
