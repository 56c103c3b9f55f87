"""The hash chain of the ledger, by which an edited, missing, repeated or moved record shows.

Records are numbered from 1. Each carries the SHA-256 of its own content and of the hash before it. Columns that
are null take no part, so that records from before a column was added keep their hash.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import pyarrow as pa


class Head(NamedTuple):
    """The end of a chain: how many records there are, and the hash of the last one."""

    rows: int
    hash: str

    def __str__(self) -> str:
        return f"{self.rows}:{self.hash}"


NO_RECORDS = Head(0, "0" * 64)


@dataclass(frozen=True)
class Break:
    """Where a chain is broken.

    Parameters
    ----------
    head : of the records before it, which are whole
    found : the record found in the place of the next one, in words
    hash : the hash that record carries
    problem : `edited`, `missing` (the next one) or `twice` (the one found)
    """

    head: Head
    found: str
    hash: str
    problem: str


def extend_chain(records: pa.Table, head: Head) -> tuple[pa.Table, Head]:
    """Return records with their numbers and hashes, after a chain's head, and the new head."""
    numbers = range(head.rows + 1, head.rows + 1 + len(records))
    records = records.append_column("sequence", pa.array(numbers, pa.int64()))
    hashes = []
    for number, content in zip(numbers, _contents(records), strict=True):
        head = Head(number, _link(head.hash, content))
        hashes.append(head.hash)
    return records.append_column("hash", pa.array(hashes, pa.string())), head


def follow_chain(records: pa.Table, head: Head) -> tuple[Head, Break | None]:
    """Return the head after records that are ordered by number, or the last whole one and where it breaks."""
    hashes = records["hash"].to_pylist()
    for found, content in zip(hashes, _contents(records), strict=True):
        number = content.get("sequence")
        problem = None
        if number != head.rows + 1:
            problem = "twice" if number is not None and number <= head.rows else "missing"
        elif found != _link(head.hash, content):
            problem = "edited"
        if problem:
            return head, Break(head, name_record(content), found, problem)
        head = Head(head.rows + 1, found)
    return head, None


def find_moved(records: pa.Table, broken: Break) -> str | None:
    """Return, in words, which of the records is the one that belongs where a chain is broken; None where none is."""
    wanted = broken.head.rows + 1
    for found, content in zip(records["hash"].to_pylist(), _contents(records), strict=True):
        # moved with its hash, or exchanged for the one there without
        if content.get("sequence") != wanted and _link(broken.head.hash, content | {"sequence": wanted}) in {
            found,
            broken.hash,
        }:
            return name_record(content)
    return None


def name_record(content: dict[str, Any]) -> str:
    """Return what a record is called in a sentence."""
    origin = str(content.get("origin"))[:10]
    return (
        f"record {content.get('sequence')} ({content.get('symbol')}, origin {origin}, horizon {content.get('horizon')})"
    )


def _link(previous: str, content: dict[str, Any]) -> str:
    return hashlib.sha256((previous + json.dumps(content, sort_keys=True)).encode()).hexdigest()


def _contents(records: pa.Table) -> Iterator[dict[str, Any]]:
    """Yield what of each record is hashed: all that is not null, but for the hash; dates and instants as text."""
    names = [name for name in records.column_names if name != "hash"]
    columns = [_plain(records[name].combine_chunks()) for name in names]
    for values in zip(*columns, strict=True):
        yield {name: value for name, value in zip(names, values, strict=True) if value is not None}


def _plain(column: pa.Array) -> list[Any]:
    """Return a column as Python values, in a tenth of the time that `to_pylist` takes for lists and instants."""
    if pa.types.is_list(column.type):
        items = column.values
        flat = items.to_numpy().tolist() if pa.types.is_floating(items.type) else items.to_pylist()
        lists = [flat[begin:end] for begin, end in pairwise(column.offsets.to_pylist())]
        return [items if there else None for items, there in zip(lists, column.is_valid().to_pylist(), strict=True)]
    if pa.types.is_temporal(column.type):
        zone = None if pa.types.is_date(column.type) else column.type.tz
        encoded = column.cast(pa.timestamp("us", zone)).dictionary_encode()
        texts = [str(instant) for instant in encoded.dictionary.to_pylist()]
        return [None if i is None else texts[i] for i in encoded.indices.to_pylist()]
    return column.to_pylist()
