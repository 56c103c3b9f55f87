import csv
import gzip
from dataclasses import replace

import numpy as np
import pytest
from export_helpers import (
    cells,
    checked,
    issued_scores,
    ledger_rows,
    price_rows,
    score_rows,
    track_record,
    written,
)
from helpers import normal_forecast
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from forecasting.errors import DataError, UsageError
from forecasting.exports import reader
from forecasting.exports.files import csv_text
from forecasting.exports.forecasts import long_table, wide_table
from forecasting.exports.schemas import schemas
from forecasting.exports.validation import check_file

SOON = replace(normal_forecast("VOD.L", horizon=3), report_widening=np.array([0.02, 0.15, 0.2]), has_market=False)
ROWS = ledger_rows(normal_forecast("AAA", horizon=3), SOON)
LONG, WIDE = csv_text(long_table(ROWS)), csv_text(wide_table(ROWS))
PRICES, BACKTEST = csv_text(price_rows()), csv_text(score_rows())
SCORES, RECORD = csv_text(issued_scores()), csv_text(track_record())
SLOT = ("target", "output_type", "output_type_id")


def put(row, **texts):
    """Return a change that puts texts into the cells of a row, the first one being 0."""
    return lambda rows: rows[row].update(texts)


def put_all(where, **texts):
    """Return a change that puts texts into the cells of all rows that have those of `where`."""

    def change(rows):
        chosen = [row for row in rows if where.items() <= row.items()]
        assert chosen
        for row in chosen:
            row.update(texts)

    return change


def without(**where):
    def change(rows):
        rows[:] = [row for row in rows if not where.items() <= row.items()]

    return change


def swap(column, one, other):
    def change(rows):
        rows[one][column], rows[other][column] = rows[other][column], rows[one][column]

    return change


def at(*slot, horizon="1"):
    """Return the position of a row of the first symbol in the long file."""
    wanted = {"symbol": "AAA", "horizon": horizon, **dict(zip(SLOT, slot, strict=True))}
    return next(i for i, row in enumerate(cells(LONG)) if wanted.items() <= row.items())


LOW, HIGH = at("close", "quantile", "0.1"), at("close", "quantile", "0.25")
MEDIAN, MEAN, DOWN = at("close", "median", ""), at("close", "mean", ""), at("log_return", "pmf", "down")

BROKEN_CELLS = [
    (LONG, put(3, origin="1/2/2019"), "origin", "a text such as 2019-01-02"),
    (LONG, put(3, target_session="2019-02-30"), "target_session", "a day that the calendar has"),
    (LONG, put(3, origin="43465"), "origin", "a text such as 2019-01-02"),
    (LONG, put(3, as_of="2018-12-31 22:00:00"), "as_of", "a text such as 2019-01-02T21:00:00Z"),
    (LONG, put(3, value="NaN"), "value", "a number such as -0.0125"),
    (LONG, put(3, value=""), "value", "a number such as -0.0125"),
    (LONG, put(3, value="1e999"), "value", "a number of the float64 range"),
    (LONG, put(3, value="2.506,85"), "value", "a number such as -0.0125"),
    (LONG, put(3, value="-2400"), "value", "a number above 0"),
    (LONG, put(DOWN, value="1.5"), "value", "a number at most 1"),
    (LONG, put(DOWN, output_type_id="0.5"), "output_type_id", "one of down, up"),
    (LONG, put(MEAN, output_type_id="0.5"), "output_type_id", "an empty cell"),
    (LONG, put(MEAN, target="log_return"), "target", "close"),
    (LONG, put(3, output_type_id=""), "output_type_id", "a text such as 0.05"),
    (LONG, put(3, currency="usd"), "currency", "a text such as USD or GBp"),
    (LONG, put(3, estimated="FALSE"), "estimated", "True or False"),
    (LONG, put(3, horizon="1.0"), "horizon", "a whole number"),
    (LONG, put(3, horizon="0"), "horizon", "a number at least 1"),
    (LONG, put(3, flags="wider"), "flags", "a text such as report_likely"),
    (LONG, put(3, symbol="=A1+B1"), "symbol", "a text such as AAPL"),
    (LONG, put(3, mode="Live"), "mode", "one of live, replay"),
    (WIDE, put(3, report_widening="12%"), "report_widening", "a number such as -0.0125"),
    (WIDE, put(3, **{"q0.25": "2,400.5"}), "q0.25", "a number such as -0.0125"),
    (WIDE, put(3, **{"q0.25": ""}), "q0.25", "a number such as -0.0125"),
    (WIDE, put(3, prob_up="50.1"), "prob_up", "a number at most 1"),
    (PRICES, put(3, volume="-1"), "volume", "a number at least 0"),
    (PRICES, put(3, close="0"), "close", "a number above 0"),
    (PRICES, put(3, basis="adjusted"), "basis", "one of traded, split, total"),
    (BACKTEST, put(3, coverage_80="80.1"), "coverage_80", "a number at most 1"),
    (BACKTEST, put(3, suspected_leak="0"), "suspected_leak", "True or False"),
    (SCORES, put(1, hit_80="yes"), "hit_80", "True or False"),
    (SCORES, put(1, crps=""), "crps", "a number such as -0.0125"),
    (RECORD, put(1, view="last"), "view", "one of first, now"),
]
BROKEN_RULES = [
    (LONG, swap("value", LOW, HIGH), "rising_quantiles", HIGH, "value"),
    (LONG, lambda rows: rows.pop(LOW), "whole_forecast", 0, "output_type_id"),
    (LONG, without(symbol="VOD.L", output_type_id="0.9"), "whole_forecast", LONG.count(",AAA,"), "output_type_id"),
    (LONG, without(output_type="median", target="close"), "whole_forecast", 0, "output_type_id"),
    (LONG, lambda rows: rows.append(rows[4]), "one_row_per_key", LONG.count("\n") - 1, "output_type_id"),
    (LONG, put(5, flags="stale"), "same_facts", 5, "flags"),
    (LONG, put(5, currency="GBP"), "same_facts", 5, "currency"),
    (LONG, put(5, mode="replay"), "same_facts", 5, "mode"),
    (LONG, put(5, last_close="123.4"), "same_facts", 5, "last_close"),
    (LONG, put(5, target_session="2019-01-03"), "same_facts", 5, "target_session"),
    (LONG, put(MEDIAN, value="123.44"), "median_is_quantile", MEDIAN, "value"),
    (LONG, put(LOW, value="121.9"), "prices_follow_returns", LOW, "value"),
    (LONG, put(MEAN, value="150"), "mean_follows_quantiles", MEAN, "value"),
    (LONG, put(DOWN, value="0.6"), "probabilities_add_up", DOWN, "value"),
    (LONG, put(DOWN + 1, value="0.6"), "probability_follows_quantiles", DOWN + 1, "value"),
    (LONG, without(symbol="AAA", horizon="3"), "whole_horizons", 27, "horizon"),
    (LONG, without(symbol="AAA", horizon="2"), "whole_horizons", 27, "horizon"),
    (LONG, put_all({"horizon": "1"}, target_session="2018-12-31"), "target_after_origin", 0, "target_session"),
    (LONG, put_all({"symbol": "AAA", "horizon": "2"}, last_close="123.4500000001"), "one_last_close", 27, "last_close"),
    (LONG, put_all({"symbol": "AAA", "horizon": "3"}, currency="EUR"), "one_currency", 54, "currency"),
    (LONG, put_all({"horizon": "1"}, as_of="2019-01-03T00:00:00Z"), "live_in_time", 0, "as_of"),
    (LONG, put_all({"symbol": "AAA", "horizon": "2"}, flags="stale"), "steady_flags", 27, "flags"),
    (WIDE, put(1, **{"q0.75": "1"}), "rising_quantiles", 1, "q0.75"),
    (WIDE, put(1, expected="1"), "mean_follows_quantiles", 1, "expected"),
    (WIDE, lambda rows: rows.pop(1), "whole_horizons", 1, "horizon"),
    (WIDE, lambda rows: rows.pop(5), "whole_horizons", 4, "horizon"),
    (WIDE, lambda rows: rows.append(rows[0]), "one_row_per_key", 6, "horizon"),
    (WIDE, swap("target_session", 0, 1), "target_after_origin", 1, "target_session"),
    (WIDE, put(4, flags="no_market"), "report_flag", 4, "flags"),
    (WIDE, put(0, flags="report_likely"), "report_flag", 0, "flags"),
    (WIDE, put(3, flags=""), "steady_flags", 4, "flags"),
    (WIDE, put(1, currency="GBp"), "one_currency", 1, "currency"),
    (WIDE, put(1, last_close="123.4"), "one_last_close", 1, "last_close"),
    (WIDE, put(0, as_of="2019-01-03T00:00:00Z"), "live_in_time", 0, "as_of"),
    (PRICES, put(1, high="101"), "high_low", 1, "high"),
    (PRICES, put(1, low="101.2"), "high_low", 1, "low"),
    (PRICES, put(1, session="2019-01-02"), "one_row_per_key", 1, "session"),
    (PRICES, put(1, currency="GBp"), "one_currency", 1, "currency"),
    (PRICES, put(1, basis="traded"), "one_basis", 1, "basis"),
    (BACKTEST, put(1, forecaster="network"), "one_row_per_key", 1, "forecaster"),
    (BACKTEST, put(1, rows="99"), "same_rows", 1, "rows"),
    (BACKTEST, put(1, network_skill_low="0.5"), "interval_ends", 1, "network_skill_low"),
    (SCORES, put(1, sequence="1"), "one_row_per_key", 1, "view"),
    (SCORES, put(2, symbol="BBB"), "same_facts", 2, "symbol"),
    (SCORES, put(0, hit_50="True", hit_80="False"), "nested_hits", 0, "hit_80"),
    (SCORES, put_all({"sequence": "1"}, target_session="2018-12-31"), "target_after_origin", 0, "target_session"),
    (RECORD, put(1, model_id="all"), "one_row_per_key", 1, "horizon"),
    (RECORD, put(1, compared="51"), "counts", 1, "compared"),
    (RECORD, put(1, sessions="51"), "counts", 1, "sessions"),
    (RECORD, put(1, low_80="0.9"), "interval_ends", 1, "low_80"),
    (RECORD, put(1, low="0.9"), "interval_ends", 1, "low"),
]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("checked") / "file.csv"


@pytest.mark.parametrize("text", [LONG, WIDE, PRICES, BACKTEST, SCORES, RECORD])
def test_a_file_is_valid_as_it_was_written(tmp_path, text):
    report = checked(tmp_path, text)
    assert report.valid
    assert report.problems == ()
    assert report.rows == text.count("\n") - 1


@pytest.mark.parametrize(("text", "change", "column", "rule"), BROKEN_CELLS)
def test_a_cell_that_is_not_what_its_column_holds_is_named(tmp_path, text, change, column, rule):
    report = checked(tmp_path, text, change)
    assert report.count == 1
    (problem,) = report.problems
    assert problem.column == column
    assert problem.rule.startswith(rule)
    row = cells((tmp_path / "file.csv").read_text())[problem.row - 2]
    assert problem.found == (repr(row[column]) if row[column] else "nothing")


@pytest.mark.parametrize(("text", "change", "rule", "row", "column"), BROKEN_RULES)
def test_rows_that_do_not_fit_each_other_are_named(tmp_path, text, change, rule, row, column):
    report = checked(tmp_path, text, change)
    words = next(s.rules[rule] for s in schemas() if s.name == report.schema)
    found = [problem for problem in report.problems if problem.rule == words]
    assert found, report.problems
    assert (found[0].row, found[0].column) == (row + 2, column)


def test_every_rule_is_broken_by_one_of_these():
    for schema in schemas():
        tried = {rule for text, _, rule, *_ in BROKEN_RULES if text.startswith(",".join(schema.columns))}
        assert {*schema.rules} <= tried, schema.name


def test_what_is_missing_is_said(tmp_path):
    report = checked(tmp_path, LONG, lambda rows: rows.pop(LOW))
    begin = "row 2, column output_type_id: found no close quantile 0.1; the rule: each forecast and horizon has"
    assert report.problems[0].sentence.startswith(begin)


def test_the_first_problems_are_named_by_row_and_the_rest_counted(tmp_path):
    report = checked(tmp_path, LONG, lambda rows: [row.update(currency="", value="x") for row in rows[10:]])
    assert report.count == 2 * (LONG.count("\n") - 1 - 10)
    assert len(report.problems) == 20
    assert [problem.row for problem in report.problems] == sorted([*range(12, 22), *range(12, 22)])


def test_cells_come_before_what_rows_say_together(tmp_path):
    def change(rows):
        swap("value", LOW, HIGH)(rows)
        put(0, mode="x")(rows)

    assert [problem.column for problem in checked(tmp_path, LONG, change).problems] == ["mode"]


def saved(path, content):
    path.write_bytes(content)
    return path


def test_line_ends_a_mark_and_gzip_change_nothing(tmp_path):
    marked = b"\xef\xbb\xbf" + LONG.replace("\n", "\r\n").encode()
    for content in (marked, gzip.compress(LONG.encode()), LONG.rstrip("\n").encode()):
        report = check_file(saved(tmp_path / "file", content))
        assert (report.valid, report.rows) == (True, LONG.count("\n") - 1)


def test_quotes_that_another_program_added_change_nothing(tmp_path):
    path = tmp_path / "file.csv"
    with path.open("w", newline="") as handle:
        csv.writer(handle, quoting=csv.QUOTE_ALL).writerows(csv.reader(LONG.splitlines()))
    assert check_file(path).valid


def test_bytes_that_are_no_utf_8_are_named_with_their_row(tmp_path, monkeypatch):
    lines = LONG.encode().splitlines(keepends=True)
    lines[40] = lines[40].replace(b",USD,", b",\xe9SD,")
    for block in (reader._BLOCK, 2**10):
        monkeypatch.setattr(reader, "_BLOCK", block)
        with pytest.raises(DataError, match="file is not UTF-8: row 41 holds the byte 0xe9; next: "):
            check_file(saved(tmp_path / "file", b"".join(lines)))


def test_a_letter_that_lies_across_two_reads_is_still_one(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "_BLOCK", 2**9)
    text = LONG.replace(",USD,", ",US\N{EURO SIGN},")
    report = check_file(saved(tmp_path / "file", text.encode()))
    assert {p.found for p in report.problems} == {"'US\N{EURO SIGN}'"}
    assert report.count == LONG.count("\n") - 1


def test_rows_of_another_length_are_named_and_leave_the_numbers_of_others_right(tmp_path):
    lines = LONG.splitlines()
    lines[4] += ",9"
    lines[7] = lines[7].rpartition(",")[0]
    lines[9] = ""
    lines[12] = lines[12].replace("USD", "usd")
    report = check_file(saved(tmp_path / "file", "\n".join(lines).encode()))
    whole = [(p.row, p.found[:9]) for p in report.problems if p.column is None]
    assert whole == [(5, "16 fields"), (8, "14 fields")]
    assert {p.row for p in report.problems if p.column is not None} == {10, 13}
    assert ("currency", "'usd'") in [(p.column, p.found) for p in report.problems if p.row == 13]


def test_a_file_whose_rows_are_all_of_another_length_is_counted_to_its_end(tmp_path):
    report = check_file(saved(tmp_path / "file", WIDE.replace("\n", ",9\n").replace(",9\n", "\n", 1).encode()))
    assert (report.count, report.rows) == (WIDE.count("\n"), 0)
    assert [p.row for p in report.problems] == [1, *range(2, WIDE.count("\n") + 1)]


def test_row_numbers_stay_right_in_a_file_of_many_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "_BLOCK", 2**12)
    lines = LONG.splitlines()
    for i in (20, 60, 61, 140):
        lines[i] += ",9"
    lines[139], lines[150] = (lines[i].replace(",live,", ",,") for i in (139, 150))
    report = check_file(saved(tmp_path / "file", "\n".join(lines).encode()))
    assert [p.row for p in report.problems] == [21, 61, 62, 140, 141, 151]
    assert report.count == 6


def test_a_field_that_is_far_too_long_ends_the_reading_with_the_row(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "_BLOCK", 2**12)
    lines = LONG.splitlines()
    lines[100] = lines[100].replace(",USD,", f",{'U' * 2**14},")
    with pytest.raises(DataError, match="cannot be read on after row .*: a row is longer than 4096 bytes"):
        check_file(saved(tmp_path / "file", "\n".join(lines).encode()))


def test_a_long_text_is_shown_by_its_beginning(tmp_path):
    (problem,) = checked(tmp_path, LONG, put(3, currency="U" * 5000)).problems
    assert len(problem.sentence) < 300


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "has no header"),
        (b"\n\n", "has no header"),
        (LONG.encode("utf-16"), "is text in UTF-16: an export is CSV in UTF-8"),
        (b"PK\x03\x04 and more", "is a ZIP archive, as spreadsheets are"),
        (LONG.replace(",", ";").encode(), "has semicolons between columns, an export has commas"),
        (LONG.replace("flags,", "").encode(), "is not that of forecasts-long-1: it lacks flags"),
        ("höhe,weite\n1,2\n".encode("latin-1"), "its header is not UTF-8"),
        (b"a,b\n1,2\n", "no schema .* has the header 'a,b'"),
        (bytes(range(9, 200)) * 9, "its header|no schema"),
    ],
)
def test_what_is_no_export_is_refused_in_words(tmp_path, content, said):
    with pytest.raises(UsageError, match=f"file.*{said}.*; next: "):
        check_file(saved(tmp_path / "file", content))


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UsageError, match="none.csv: No such file or directory; next: check the path"):
        check_file(tmp_path / "none.csv")
    with pytest.raises(UsageError, match="Is a directory"):
        check_file(tmp_path)


@pytest.mark.parametrize("cut", [30, -30])
def test_an_archive_that_was_cut_off_is_named(tmp_path, cut):
    packed = gzip.compress(LONG.encode())
    with pytest.raises(DataError, match="is cut off or damaged"):
        check_file(saved(tmp_path / "file", packed[:cut]))


def test_a_header_alone_is_no_file(tmp_path):
    (problem,) = check_file(saved(tmp_path / "file", LONG.encode().partition(b"\n")[0])).problems
    assert problem.sentence == "row 1: found no whole row; the rule: a file has at least one row"


VALUES = [float(row["value"]) for row in cells(LONG)]


@settings(max_examples=25)
@given(row=st.integers(0, len(VALUES) - 1), value=st.sampled_from(VALUES) | st.floats(0, 200))
def test_another_number_in_place_of_any_is_found(place, row, value):
    assume(abs(value - VALUES[row]) > 1e-6)
    rows = cells(LONG)
    rows[row]["value"] = repr(value)
    place.write_text(written(rows))
    assert not check_file(place).valid
