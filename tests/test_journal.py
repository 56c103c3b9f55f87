import threading

import pandas as pd
import pyarrow as pa
import pytest
from helpers import utc

from forecasting.errors import WorkspaceError
from forecasting.journal import KNOWN_AT, Journal, newest
from forecasting.tables import append_rows

MONDAY, TUESDAY = utc("2019-01-07 22:00"), utc("2019-01-08 22:00")
SCHEMAS = {
    name: pa.schema([("symbol", pa.string()), ("value", pa.float64()), KNOWN_AT]) for name in ("first", "second")
}


@pytest.fixture
def journal(tmp_path) -> Journal:
    return Journal(tmp_path, SCHEMAS, "facts", lambda stored: stored)


def frame(*values: float, symbol: str = "AAA") -> pd.DataFrame:
    return pd.DataFrame({"symbol": symbol, "value": list(values)})


def values(journal, name, until=None) -> list[float]:
    return journal.rows(name, until or journal.published().known_until)["value"].tolist()


def test_before_the_first_batch_nothing_is_published(journal, tmp_path):
    assert journal.published().facts == {}
    assert values(journal, "first") == []
    assert list(tmp_path.iterdir()) == []


def test_the_rows_of_a_batch_carry_one_instant_and_stand_beside_their_facts(journal):
    journal.publish({"first": frame(1.0, 2.0), "second": frame(3.0)}, {"AAA": "old"}, MONDAY)
    journal.publish({"first": frame(4.0)}, {"AAA": "new"}, TUESDAY)
    assert journal.published().facts == {"AAA": "new"}
    assert sorted(values(journal, "first", MONDAY)) == [1.0, 2.0]
    assert sorted(values(journal, "first")) == [1.0, 2.0, 4.0]
    assert set(journal.rows("first", TUESDAY)["known_at"]) == {MONDAY, TUESDAY}


def test_a_clock_that_went_back_does_not_reorder_what_was_known(journal):
    assert journal.publish({"first": frame(1.0)}, {}, TUESDAY) == TUESDAY
    after = journal.publish({"first": frame(2.0)}, {}, MONDAY)
    assert after == TUESDAY + pd.Timedelta(milliseconds=1)
    assert values(journal, "first", TUESDAY) == [1.0]


@pytest.mark.parametrize("table", ["first", "second"])
def test_what_a_killed_writer_left_is_not_seen_and_is_dropped_by_the_next(journal, tmp_path, table):
    journal.publish({"first": frame(1.0), "second": frame(2.0)}, {"AAA": "old"}, MONDAY)
    # killed between the append to a table and the end of the batch
    (tmp_path / "unpublished").touch()
    append_rows(tmp_path / table, frame(99.0).assign(known_at=TUESDAY), SCHEMAS[table])
    assert 99.0 not in values(journal, table)
    journal.publish({"second": frame(3.0)}, {"AAA": "new"}, TUESDAY + pd.Timedelta(hours=1))
    assert values(journal, "first") == [1.0]
    assert sorted(values(journal, "second")) == [2.0, 3.0]
    assert not (tmp_path / "unpublished").exists()


def test_what_a_killed_first_writer_left_is_dropped_too(journal, tmp_path):
    (tmp_path / "unpublished").touch()
    append_rows(tmp_path / "first", frame(99.0).assign(known_at=MONDAY), SCHEMAS["first"])
    assert values(journal, "first") == []
    journal.publish({"first": frame(1.0)}, {}, MONDAY)
    assert values(journal, "first") == [1.0]


def test_a_batch_that_cannot_be_written_is_not_seen(journal, tmp_path):
    journal.publish({"first": frame(1.0)}, {"AAA": "old"}, MONDAY)
    (tmp_path / "second").write_text("in the way of the table")
    with pytest.raises(WorkspaceError, match="second cannot be written"):
        journal.publish({"first": frame(2.0), "second": frame(3.0)}, {"AAA": "new"}, TUESDAY)
    assert values(journal, "first") == [1.0]
    assert journal.published().facts == {"AAA": "old"}
    (tmp_path / "second").unlink()
    journal.publish({"first": frame(4.0), "second": frame(5.0)}, {"AAA": "new"}, TUESDAY)
    assert sorted(values(journal, "first")) == [1.0, 4.0]


def test_many_batches_keep_few_files_and_every_row(journal, tmp_path):
    for day in range(40):
        journal.publish({"first": frame(float(day))}, {}, MONDAY + pd.Timedelta(days=day))
    assert sorted(values(journal, "first")) == [float(day) for day in range(40)]
    assert sorted(values(journal, "first", MONDAY + pd.Timedelta(days=9))) == [float(day) for day in range(10)]
    assert len(list((tmp_path / "first").glob("*.parquet"))) <= 20


def test_readers_see_whole_batches_while_a_writer_works(journal):
    journal.publish({"first": frame(0.0), "second": frame(0.0)}, {"AAA": 0}, MONDAY)
    torn, done = [], threading.Event()

    def read() -> None:
        while not done.is_set():
            published = journal.published()
            seen = {max(values(journal, name, published.known_until)) for name in SCHEMAS} | {published.facts["AAA"]}
            if len(seen) > 1:
                torn.append(seen)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for k in range(1, 31):
            batch = {name: frame(float(k)) for name in SCHEMAS}
            journal.publish(batch, {"AAA": k}, MONDAY + pd.Timedelta(days=k))
    finally:
        done.set()
        reader.join()
    assert torn == []


def test_the_newest_row_of_each_key_is_found_whatever_the_order():
    rows = pd.DataFrame(
        {
            "symbol": ["B", "A", "B", "A", "A"],
            "session": pd.to_datetime(["2019-01-02", "2019-01-03", "2019-01-02", "2019-01-02", "2019-01-03"]),
            "value": [1.0, 2.0, 3.0, 4.0, 5.0],
            "known_at": [TUESDAY, MONDAY, MONDAY, MONDAY, TUESDAY],
        }
    )
    for dtype in ("str", pd.CategoricalDtype(["B", "A"])):
        found = newest(rows.astype({"symbol": dtype}), ["symbol", "session"])
        assert found["symbol"].astype(str).tolist() == ["A", "A", "B"]
        assert found["value"].tolist() == [4.0, 5.0, 1.0]
    assert newest(rows.iloc[:0], ["symbol", "session"]).empty


def test_instants_are_rounded_up_to_what_statistics_can_tell_apart(journal):
    at = MONDAY + pd.Timedelta(microseconds=123_456)
    assert journal.publish({"first": frame(1.0)}, {}, at) == MONDAY + pd.Timedelta(milliseconds=124)
    assert journal.publish({"first": frame(2.0)}, {}, at) == MONDAY + pd.Timedelta(milliseconds=125)


@pytest.mark.parametrize("known_until", ["null", '"2019-01-07 22:00"', "7", '"soon"'])
def test_a_state_without_an_instant_is_an_error_that_names_the_file(journal, tmp_path, known_until):
    (tmp_path / "facts.json").write_text(f'{{"known_until": {known_until}, "facts": {{}}}}')
    with pytest.raises(WorkspaceError, match=r"facts\.json cannot be read"):
        journal.published()


def test_what_fails_after_a_batch_is_published_is_left_to_the_next(journal, monkeypatch):
    def broken(*_args):
        raise KeyError("statistics")

    monkeypatch.setattr("forecasting.journal.tidy", broken)
    journal.publish({"first": frame(1.0)}, {}, MONDAY)
    assert values(journal, "first") == [1.0]
