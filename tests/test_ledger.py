from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from deltalake import DeltaTable, write_deltalake
from helpers import normal_forecast, utc

from forecasting.errors import DataError
from forecasting.ledger import Ledger, forecast_of

BEFORE_OPEN = utc("2019-01-02 14:29:59")  # New York opens at 14:30 UTC
KNOWN = utc("2018-12-31 22:00")


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    return Ledger(tmp_path / "ledger")


def issue(ledger, *forecasts, model_id="m1", now=BEFORE_OPEN) -> int:
    return ledger.issue(forecasts or [normal_forecast()], model_id, now, KNOWN)


def test_an_issued_forecast_reads_back_as_it_was(ledger):
    forecast = normal_forecast(horizon=3)
    assert issue(ledger, forecast) == 3
    assert ledger.verify() == 3
    back = forecast_of(ledger.read(), forecast.instrument)
    assert np.array_equal(back.values, forecast.values)
    assert np.array_equal(back.estimated, forecast.estimated)
    assert back.target_sessions.equals(forecast.target_sessions)
    assert (back.origin, back.last_close, back.levels) == (forecast.origin, forecast.last_close, forecast.levels)
    rows = ledger.read()
    assert rows["prob_up"].tolist() == forecast.prob_up().tolist()
    assert rows["expected"].tolist() == forecast.expected_price().tolist()
    assert rows["data_as_of"].tolist() == [KNOWN] * 3


def test_issuing_again_adds_nothing_and_changes_nothing(ledger):
    issue(ledger)
    before = ledger.read()
    revised = replace(normal_forecast(), values=normal_forecast().values * 2)
    assert issue(ledger, revised, now=BEFORE_OPEN + pd.Timedelta(hours=1)) == 0
    pd.testing.assert_frame_equal(ledger.read(), before)
    assert issue(ledger, normal_forecast(horizon=5)) == 2  # the horizons that were not there
    assert issue(ledger, model_id="m2") == 3
    assert ledger.verify() == 8


def test_issuing_nothing_is_allowed(ledger, tmp_path):
    assert ledger.issue([], "m1", BEFORE_OPEN, KNOWN) == 0
    assert ledger.verify() == 0
    assert list(tmp_path.iterdir()) == []
    issue(ledger)
    assert ledger.issue([], "m1", BEFORE_OPEN, KNOWN) == 0
    assert ledger.read(symbols=[]).empty


def test_a_row_is_live_until_its_own_target_session_opens(ledger):
    issue(ledger, normal_forecast("AAA"), now=BEFORE_OPEN)
    issue(ledger, normal_forecast("BBB"), now=BEFORE_OPEN + pd.Timedelta(seconds=1))
    assert ledger.read(["AAA"])["mode"].tolist() == ["live", "live", "live"]
    assert ledger.read(["BBB"])["mode"].tolist() == ["replay", "live", "live"]
    assert ledger.read(["BBB"])["as_of"].tolist() == [BEFORE_OPEN + pd.Timedelta(seconds=1)] * 3


@pytest.mark.parametrize("source", ["sample", "synthetic"])
def test_an_embedded_source_is_always_replay_as_of_the_origins_close(ledger, source):
    issue(ledger, normal_forecast("^GSPC", origin="2018-12-24", source=source), now=utc("2018-12-24 20:00"))
    rows = ledger.read()
    assert set(rows["mode"]) == {"replay"}
    assert set(rows["as_of"]) == {utc("2018-12-24 18:00")}  # the early close of Christmas Eve


def test_the_newest_origin_and_of_it_the_model_that_issued_last_is_the_latest(ledger):
    issue(ledger, normal_forecast(origin="2018-12-28"), model_id="m3")
    issue(ledger, normal_forecast(), normal_forecast("BBB"), model_id="m1")
    issue(ledger, normal_forecast(), model_id="m2")
    latest = ledger.latest().groupby("symbol")[["origin", "model_id"]].agg(set)
    newest = pd.Timestamp("2018-12-31")
    assert latest.to_dict("index") == {
        "AAA": {"origin": {newest}, "model_id": {"m2"}},
        "BBB": {"origin": {newest}, "model_id": {"m1"}},
    }
    assert set(ledger.latest(model_id="m3")["origin"]) == {pd.Timestamp("2018-12-28")}


def test_rows_read_back_in_the_order_of_their_issue(ledger):
    issue(ledger, normal_forecast("ZZZ"))
    issue(ledger, normal_forecast("AAA"))
    assert ledger.read()["symbol"].tolist() == ["ZZZ"] * 3 + ["AAA"] * 3
    assert ledger.read()["sequence"].tolist() == [1, 2, 3, 4, 5, 6]
    assert ledger.read(["AAA"], "m1", ["horizon"])["horizon"].tolist() == [1, 2, 3]
    assert ledger.read(model_id="m2").empty


def tampered(tmp_path, change) -> None:
    """Rewrite the table behind the ledger's back."""
    path = str(tmp_path / "ledger")
    table = DeltaTable(path)
    write_deltalake(path, change(table.to_pyarrow_table().sort_by("sequence")), mode="overwrite")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("last_close", 100.0),
        ("mode", "replay"),
        ("as_of", utc("2018-12-31 23:00")),
        ("prob_up", 0.75),
        ("model_id", "m9"),
        ("target_session", pd.Timestamp("2019-01-09").date()),
        ("estimated", True),
        ("values", [0.0] * 11),
        ("hash", "0" * 64),
    ],
)
def test_an_edited_record_is_found_and_named(ledger, tmp_path, column, value):
    issue(ledger, normal_forecast(), normal_forecast("BBB"))

    def edit(table):
        rows = table.to_pylist()
        assert rows[3][column] != value
        rows[3][column] = value
        return type(table).from_pylist(rows, schema=table.schema)

    tampered(tmp_path, edit)
    with pytest.raises(
        DataError, match=r"record 4 \(BBB, origin 2018-12-31, horizon 1\) was edited after it was issued"
    ):
        ledger.verify()


def test_a_record_edited_by_deltas_own_update_is_found(ledger, tmp_path):
    issue(ledger)
    DeltaTable(str(tmp_path / "ledger")).update(predicate="sequence = 2", updates={"last_close": "99.0"})
    assert ledger.read()["last_close"].tolist() == [123.45, 99.0, 123.45]
    with pytest.raises(DataError, match="record 2 .* was edited"):
        ledger.verify()


def test_a_record_exchanged_for_another_valid_one_breaks_the_chain_after_it(ledger, tmp_path):
    issue(ledger)
    values = normal_forecast().values.copy()
    values[1] *= 2
    other = Ledger(tmp_path / "other")
    issue(other, replace(normal_forecast(), values=values))
    foreign = DeltaTable(str(tmp_path / "other")).to_pyarrow_table().sort_by("sequence").to_pylist()[1]

    def exchange(table):
        rows = table.to_pylist()
        rows[1] = foreign  # its own hash is right after record 1, which both ledgers share
        return type(table).from_pylist(rows, schema=table.schema)

    tampered(tmp_path, exchange)
    with pytest.raises(DataError, match="record 3 .* was edited"):
        ledger.verify()


@pytest.mark.parametrize("missing", [1, 2])
def test_a_missing_record_is_found(ledger, tmp_path, missing):
    issue(ledger)
    DeltaTable(str(tmp_path / "ledger")).delete(f"sequence = {missing}")
    with pytest.raises(DataError, match=f"record {missing} is missing or stands twice"):
        ledger.verify()


def test_a_record_that_stands_twice_is_found(ledger, tmp_path):
    issue(ledger)
    table = DeltaTable(str(tmp_path / "ledger")).to_pyarrow_table().sort_by("sequence")
    write_deltalake(str(tmp_path / "ledger"), table.slice(1, 1), mode="append")
    with pytest.raises(DataError, match="record 3 is missing or stands twice"):
        ledger.verify()


def test_two_records_that_changed_places_are_found(ledger, tmp_path):
    issue(ledger)

    def swap(table):
        rows = table.to_pylist()
        rows[1]["sequence"], rows[2]["sequence"] = 3, 2
        return type(table).from_pylist(rows, schema=table.schema)

    tampered(tmp_path, swap)
    with pytest.raises(DataError, match="record 2 .* was edited"):
        ledger.verify()


def test_compaction_and_vacuum_leave_the_chain_whole(ledger, tmp_path):
    for symbol in ("AAA", "BBB", "CCC"):
        issue(ledger, normal_forecast(symbol))
    before = ledger.read()
    table = DeltaTable(str(tmp_path / "ledger"))
    table.optimize.compact()
    table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    assert ledger.verify() == 9
    pd.testing.assert_frame_equal(ledger.read(), before)
    assert issue(ledger, normal_forecast("DDD")) == 3
    assert ledger.verify() == 12
