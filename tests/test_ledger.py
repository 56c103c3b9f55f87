from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from helpers import normal_forecast, utc
from ledger_helpers import KNOWN, killed, write_old_ledger

from forecasting.chain import NO_RECORDS, Head, extend_chain
from forecasting.errors import DataError
from forecasting.instruments import Instrument
from forecasting.ledger import Ledger
from forecasting.ledger_rows import forecast_of

BEFORE_OPEN = utc("2019-01-02 14:29:59")  # New York opens at 14:30 UTC


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
def test_a_missing_record_is_named(ledger, tmp_path, missing):
    issue(ledger)
    DeltaTable(str(tmp_path / "ledger")).delete(f"sequence = {missing}")
    with pytest.raises(DataError, match=rf"record {missing} is missing; after it comes record {missing + 1} \(AAA, "):
        ledger.verify()


@pytest.mark.parametrize("left", [0, 1, 2])
def test_records_cut_off_the_end_are_named_and_nothing_is_issued_after_them(ledger, tmp_path, left):
    issue(ledger)
    DeltaTable(str(tmp_path / "ledger")).delete(f"sequence > {left}")
    with pytest.raises(DataError, match=f"record {left + 1} is missing, and all up to 3; next: restore"):
        ledger.verify()
    with pytest.raises(DataError, match="record 3 should be its last one issued before, .* is missing; next: restore"):
        issue(ledger, normal_forecast("BBB"))
    assert len(ledger.read()) == left


def test_a_record_that_stands_twice_is_named(ledger, tmp_path):
    issue(ledger)
    table = DeltaTable(str(tmp_path / "ledger")).to_pyarrow_table().sort_by("sequence")
    write_deltalake(str(tmp_path / "ledger"), table.slice(1, 1), mode="append")
    with pytest.raises(DataError, match=r"record 2 \(AAA, origin 2018-12-31, horizon 2\) stands twice"):
        ledger.verify()


def test_a_forecast_that_is_chained_twice_is_named(ledger, tmp_path, monkeypatch):
    issue(ledger)
    monkeypatch.setattr(Ledger, "_present", lambda _self, _rows: set())
    issue(ledger, normal_forecast(horizon=1))
    with pytest.raises(DataError, match=r"record 4 \(AAA, .*, horizon 1\) stands twice: an earlier one is of the same"):
        ledger.verify()


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (None, r"ledger: record None \(AAA, .*, horizon 2\) has no place in the chain"),
        (0, r"ledger: record 0 \(AAA, .*, horizon 2\) has no place in the chain"),
        (10**9, r"ledger: record 4 is missing, and record 1000000000 \(AAA, .*, horizon 2\) has no place"),
    ],
)
def test_a_record_without_a_place_is_named(ledger, tmp_path, number, says):
    issue(ledger)
    table = DeltaTable(str(tmp_path / "ledger")).to_pyarrow_table().sort_by("sequence").slice(1, 1)
    stray = table.set_column(0, "sequence", pa.array([number], pa.int64()))
    write_deltalake(str(tmp_path / "ledger"), stray, mode="append")
    with pytest.raises(DataError, match=says):
        ledger.verify()


@pytest.mark.parametrize("with_their_hashes", [True, False])
def test_records_that_changed_places_are_named(ledger, tmp_path, with_their_hashes):
    issue(ledger, normal_forecast(), normal_forecast("BBB"))

    def swap(table):
        rows = table.to_pylist()
        rows[1]["sequence"], rows[4]["sequence"] = 5, 2
        if not with_their_hashes:
            rows[1]["hash"], rows[4]["hash"] = rows[4]["hash"], rows[1]["hash"]
        return type(table).from_pylist(rows, schema=table.schema)

    tampered(tmp_path, swap)
    with pytest.raises(DataError, match=r"record 2 stands in the place of record 5 \(AAA, .*, horizon 2\)"):
        ledger.verify()


def forged(table):
    """Return a ledger's table with the first forecast edited and all of the chain written anew."""
    rows = table.drop_columns(["sequence", "hash"]).to_pylist()
    rows[0]["expected"] = 1e6
    return extend_chain(pa.Table.from_pylist(rows, table.drop_columns(["sequence", "hash"]).schema), NO_RECORDS)[0]


def test_a_chain_that_was_written_anew_shows_by_its_head(ledger, tmp_path):
    issue(ledger)
    tampered(tmp_path, forged)
    with pytest.raises(DataError, match="record 3 has another hash than when it was the last one"):
        ledger.verify()
    with pytest.raises(DataError, match="record 3 should be its last one issued before, .* is another; next: restore"):
        issue(ledger, normal_forecast("BBB"))


def test_a_head_that_was_forged_too_shows_to_who_has_an_earlier_report(ledger, tmp_path):
    issue(ledger)
    reported = ledger.head()
    issue(ledger, normal_forecast("BBB"))
    assert ledger.verify([reported]) == 6
    tampered(tmp_path, forged)
    (tmp_path / "ledger" / "_head.json").unlink()
    assert ledger.verify() == 6
    with pytest.raises(DataError, match="record 3 has another hash than when it was the last one"):
        ledger.verify([reported])
    with pytest.raises(DataError, match="record 7 is missing, and all up to 9"):
        ledger.verify([Head(9, "0" * 64)])


def test_what_is_issued_while_the_chain_is_followed_is_no_record_without_a_place(ledger, monkeypatch):
    issue(ledger)
    window = Ledger._window

    def issued_after_the_last(self, head):
        records = window(self, head)
        if not len(records):
            issue(ledger, model_id="m2")
        return records

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "_window", issued_after_the_last)
        assert ledger.verify() == 3
    assert ledger.verify() == 6


def test_a_run_killed_after_its_records_and_before_the_head_is_repaired_by_the_next(ledger, monkeypatch):
    issue(ledger)
    with monkeypatch.context() as patch:
        patch.setattr("forecasting.ledger.write_json", killed)
        with pytest.raises(KeyboardInterrupt):
            issue(ledger, normal_forecast("BBB"))
    assert (ledger.verify(), ledger.head().rows) == (6, 6)  # readers see what was issued
    assert issue(ledger, normal_forecast("BBB")) == 0
    assert ledger._written_head() == ledger.head()
    assert issue(ledger, normal_forecast("CCC")) == 3
    assert ledger.verify() == 9


def test_a_run_killed_before_its_records_leaves_the_ledger_as_it_was(ledger, monkeypatch):
    issue(ledger)
    with monkeypatch.context() as patch:
        patch.setattr("forecasting.ledger.append_rows", killed)
        with pytest.raises(KeyboardInterrupt):
            issue(ledger, normal_forecast("BBB"))
    assert ledger.verify() == 3
    assert issue(ledger, normal_forecast("BBB")) == 3
    assert ledger.verify() == 6


def test_a_ledger_from_before_a_column_was_added_is_read_verified_and_appended_to(ledger, tmp_path):
    write_old_ledger(tmp_path / "ledger", 4)
    assert (ledger.verify(), ledger.head().rows) == (4, 4)
    old = ledger.read()
    assert old[["flags", "report_widening", "random_walk"]].isna().all(axis=None)
    forecast = forecast_of(old, Instrument.from_symbol("AAA"))
    assert (forecast.report_widening, forecast.has_market) == (None, True)
    for k in range(12):  # the old rows and the new ones are merged into one file
        walks = {"BBB": normal_forecast("BBB", sigma=0.02)}
        assert ledger.issue([normal_forecast("BBB")], f"m{k}", BEFORE_OPEN, KNOWN, walks, {"BBB": ["stale"]}) == 3
    assert len(DeltaTable(str(tmp_path / "ledger")).file_uris()) < 8
    assert ledger.verify() == 40
    pd.testing.assert_frame_equal(ledger.read(["AAA"]), old)
    assert ledger.read(["BBB"])["random_walk"].notna().all()


@pytest.mark.parametrize(("column", "value"), [("report_widening", 0.2), ("random_walk", [0.0] * 11), ("flags", None)])
def test_a_null_that_was_filled_and_a_value_that_was_removed_are_found(ledger, tmp_path, column, value):
    issue(ledger)

    def edit(table):
        rows = table.to_pylist()
        rows[1][column] = value
        return type(table).from_pylist(rows, schema=table.schema)

    tampered(tmp_path, edit)
    with pytest.raises(DataError, match="record 2 .* was edited"):
        ledger.verify()


def test_merging_files_leaves_the_chain_whole_and_settled_parts_alone(ledger, tmp_path, monkeypatch):
    monkeypatch.setattr("forecasting.ledger._SETTLED", 30_000)
    files = []
    for k in range(17):
        issue(ledger, *(normal_forecast(symbol, horizon=20) for symbol in ("CCC", "AAA", "BBB")), model_id=f"m{k}")
        files.append(set(DeltaTable(str(tmp_path / "ledger")).file_uris()))
    assert [len(f) for f in files[:8]] == [1, 2, 3, 4, 5, 6, 7, len(files[7])]
    assert files[7] <= files[16]
    assert len(files[16]) < 17
    assert ledger.verify() == 17 * 60
    assert ledger._written_head() == ledger.head()
    assert ledger.read(["AAA"])["sequence"].tolist() == [60 * k + 20 + h for k in range(17) for h in range(1, 21)]


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
