import json
import re
from datetime import datetime

import jsonschema
import numpy as np
import pyarrow as pa
import pytest
from export_helpers import cells, issued_scores, ledger_rows, price_rows, score_rows, track_record
from helpers import normal_forecast
from hypothesis import given
from hypothesis import strategies as st

from forecasting.currencies import CURRENCY_RULE
from forecasting.errors import UsageError
from forecasting.exports.cells import read_cells
from forecasting.exports.files import csv_text
from forecasting.exports.forecasts import long_table, wide_table
from forecasting.exports.problems import Findings
from forecasting.exports.schemas import find_schema, publish_schema, schemas
from forecasting.forecasts import FLAGS, WIDER
from forecasting.instruments import SYMBOL_RULE
from forecasting.scoring import SCORES_SCHEMA
from forecasting.track_record import make_track_record

NAMES = ["backtest-1", "forecasts-long-1", "forecasts-wide-1", "prices-1", "scores-1", "track-record-1"]
ROWS = ledger_rows(normal_forecast("AAA", horizon=2))
WRITTEN = {
    "forecasts-long-1": cells(csv_text(long_table(ROWS))),
    "forecasts-wide-1": cells(csv_text(wide_table(ROWS))),
    "prices-1": cells(csv_text(price_rows())),
    "backtest-1": cells(csv_text(score_rows())),
    "scores-1": cells(csv_text(issued_scores())),
    "track-record-1": cells(csv_text(track_record())),
}
TEXT = st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), max_size=12)
LIKELY = st.sampled_from(
    ["", "nan", "inf", "1e999", "-1", "0", "0.5", "1", "1.0", "2.5", "1e-3", "+1", "1,5", " 1", "True", "TRUE", "true",
     "2019-01-02", "2019-02-30", "1/2/2019", "2019-1-2", "2019-01-02T21:00:00Z", "2019-01-02T25:00:00Z",
     "2019-01-02 21:00", "2019-01-02T21:00:00.000001Z", "AAA", "aaa", "^GSPC", "=A1", "-A1", "@A1", "USD", "usd", "GBp",
     "gbp", "live", "Live", "report_likely", "report_likely stale", "report_likely  stale", "close", "quantile",
     "median", "mean", "pmf", "down", "0.25", "0.250", "log_return", "split", "network"]
)  # fmt: skip


def named(name):
    return next(schema for schema in schemas() if schema.name == name)


def texts_of(spec):
    """Return the pattern or the choices of a column of text; None of another column."""
    types = [spec["type"]] if isinstance(spec["type"], str) else spec["type"]
    return (spec.get("pattern") or "|".join(spec["enum"])) if "string" in types else None


def test_they_are_json_schemas_with_an_own_version_each():
    assert [schema.name for schema in schemas()] == NAMES
    for schema in schemas():
        jsonschema.Draft202012Validator.check_schema(schema.content)
        assert schema.content["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        kind, _, version = schema.name.rpartition("-")
        assert schema.content["$id"] == f"urn:tickercast:schema:{kind}:{version}"
        assert schema.columns == list(schema.content["properties"])
        assert {*schema.key} <= {*schema.columns} <= {*schema.content["required"]}
        assert all(spec["description"].endswith(".") for spec in schema.content["properties"].values())


def test_their_texts_follow_the_rules_of_the_engine():
    for schema in schemas():
        found = schema.content["properties"]
        assert found.get("symbol", {"pattern": SYMBOL_RULE})["pattern"] == SYMBOL_RULE
        assert found.get("currency", {"pattern": CURRENCY_RULE})["pattern"] == CURRENCY_RULE
        if "flags" in found:
            assert all(re.search(found["flags"]["pattern"], name) for name in FLAGS)
            assert {*re.findall("[a-z]+_?[a-z]+", found["flags"]["pattern"])} == {*FLAGS}
    assert f"at least {WIDER}" in named("forecasts-wide-1").rules["report_flag"]


def test_scores_are_exported_as_they_are_stored():
    assert named("scores-1").columns == SCORES_SCHEMA.names
    assert named("track-record-1").columns == list(make_track_record(issued_scores()))


def test_both_exports_of_forecasts_say_the_same_of_the_columns_they_share():
    long, wide = (named(f"forecasts-{form}-1") for form in ("long", "wide"))
    shared = [column for column in long.columns if column in wide.columns]
    assert shared == [column for column in wide.columns if column in long.columns]
    assert len(shared) == 11
    assert all(long.spec(column) == wide.spec(column) for column in shared)
    both = {name for name in wide.rules if name in long.rules} - {"one_row_per_key"}
    assert {"whole_horizons", "one_currency", "live_in_time", "rising_quantiles"} <= both
    assert all(long.rules[name] == wide.rules[name] for name in both)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", " ="])
@given(rest=TEXT)
def test_no_text_of_any_schema_can_become_a_formula(start, rest):
    for schema in schemas():
        for spec in schema.content["properties"].values():
            if pattern := texts_of(spec):
                assert not re.fullmatch(pattern, start + rest)


@pytest.mark.parametrize("name", NAMES)
def test_every_row_that_is_written_is_valid_json_of_its_schema(name):
    schema = named(name)
    validator = jsonschema.Draft202012Validator(schema.content)
    for row in WRITTEN[name]:
        assert list(validator.iter_errors(as_object(schema, row))) == []


def as_object(schema, row):
    """Return the object that a row of cells is, as the schemas describe it."""
    return {name: as_value(schema.spec(name), text) for name, text in row.items()}


def as_value(spec, text):
    types = [spec["type"]] if isinstance(spec["type"], str) else spec["type"]
    if text == "" and "null" in types:
        return None
    if types[0] == "boolean":
        return {"True": True, "False": False}.get(text, text)
    if types[0] == "integer" and re.fullmatch("-?[0-9]{1,9}", text):
        return int(text)
    if types[0] == "number" and re.fullmatch("-?[0-9]+([.][0-9]+)?([eE][+-]?[0-9]+)?", text):
        return float(text) if np.isfinite(float(text)) else text
    return text


CHECKER = jsonschema.FormatChecker()


@CHECKER.checks("date-time", raises=ValueError)
def is_instant(text):
    return not isinstance(text, str) or bool(datetime.fromisoformat(text))


def problems(schema, rows):
    findings = Findings()
    columns = {name: pa.array([row[name] for row in rows]) for name in rows[0]}
    table = pa.table({name: texts.dictionary_encode() for name, texts in columns.items()})
    read_cells(schema, table, np.arange(len(rows)), findings)
    return findings


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_cells_are_judged_as_a_validator_of_json_schema_judges_them(name, data):
    schema, rows = named(name), WRITTEN[name]
    row = dict(data.draw(st.sampled_from(rows[:40])))
    column = data.draw(st.sampled_from(list(row)))
    row[column] = data.draw(LIKELY | TEXT)
    validator = jsonschema.Draft202012Validator(schema.content, format_checker=CHECKER)
    errors = [str(error.message) for error in validator.iter_errors(as_object(schema, row))]
    assert bool(problems(schema, [row]).count) == bool(errors), errors


def test_a_header_is_found_with_its_version_and_a_near_one_is_told_apart():
    wide = list(WRITTEN["forecasts-wide-1"][0])
    for schema, rows in WRITTEN.items():
        assert find_schema(list(rows[0])).name == schema
    for header, said in (
        ([c for c in wide if c != "flags"], "not that of forecasts-wide-1: it lacks flags;"),
        ([*wide, "note"], "it also has note;"),
        ([c.replace("q0.25", "q0,25") for c in wide], "it also has q0,25;"),
        ([*wide[1:], wide[0]], "it has another order;"),
        ([*wide[:-1], wide[-2]], "it has another order;"),
        ([c for c in wide if c != "q0.5"], "it lacks q0.5;"),
        (["a", "b"], "no schema .backtest-1, forecasts-long-1, .* has the header 'a,b'"),
        ([], "no schema"),
    ):
        with pytest.raises(UsageError, match=said):
            find_schema(header)


def test_a_published_schema_is_the_packages_own_and_is_written_where_it_is_not(tmp_path):
    schema = named("prices-1")
    (path,) = publish_schema(schema, tmp_path)
    assert json.loads(path.read_text()) == schema.content
    assert publish_schema(schema, tmp_path) == []
