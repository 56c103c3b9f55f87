"""The Delta tables of the price store: their columns and types. `data/README.md` says what they mean."""

import pyarrow as pa

from forecasting.bars import BAR_COLUMNS
from forecasting.journal import KNOWN_AT

SESSION_TYPE = pa.date32()
_DAY, _NUMBER, _TEXT, _COUNT = SESSION_TYPE, pa.float64(), pa.string(), pa.int64()
_BARS = [("symbol", _TEXT), ("session", _DAY), *((c, _NUMBER) for c in BAR_COLUMNS[2:]), KNOWN_AT]
_RANGE = [("symbol", _TEXT), KNOWN_AT, ("first", _DAY), ("last", _DAY)]
_CHANGES = [("bars", _COUNT), ("withdrawn", _COUNT), ("events", _COUNT), ("largest", _NUMBER), ("cause", _TEXT)]
SCHEMAS = {
    name: pa.schema(fields)
    for name, fields in {
        "bars_1d": _BARS,
        "events": [("symbol", _TEXT), ("session", _DAY), ("kind", _TEXT), ("value", _NUMBER), KNOWN_AT],
        "quarantine": [*_BARS, ("rule", _TEXT)],
        "restatements": [*_RANGE, *_CHANGES],
        "fetches": [*_RANGE, ("outcome", _TEXT), ("cause", _TEXT), ("bars", _COUNT)],
    }.items()
}
FETCH_COLUMNS = [field.name for field in SCHEMAS["fetches"] if field.name != KNOWN_AT.name]
