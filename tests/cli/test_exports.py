import json
import re

import pytest
from cli_helpers import Tickercast
from export_helpers import small_workspace
from typer.testing import CliRunner

from forecasting.cli.verbs import app
from forecasting.exports.validation import check_file


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A workspace that a test must not change."""
    return Tickercast(small_workspace(tmp_path_factory.mktemp("filled") / "place").root)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--what", "prices"], ["prices-split.csv"]),
        (["BBB", "--what", "prices", "--basis", "traded"], ["prices-traded.csv"]),
        (["--what", "scores"], [r"scores\.csv", r"track-record\.csv"]),
        (["--what", "backtests"], [r"walk-20181231-.*\.csv"]),
        (["--origin", "2018-12-31"], [r"forecast-2018-12-31-m1\.csv", r"forecast-2018-12-31-m1-wide\.csv"]),
        ([], [r"forecast-2018-12-31-m1\.csv", r"latest\.csv", r"forecast-.*-wide\.csv", r"latest-wide\.csv"]),
    ],
)
def test_what_is_asked_for_is_written_and_valid(filled, tmp_path, arguments, names):
    before = filled.fingerprint()
    result, values = filled.json("export", *arguments, "--to", str(tmp_path / "out"))
    assert result.exit_code == 0
    files = [path for path in values["files"] if path.endswith(".csv")]
    assert len(files) == len(names)
    for name, path in zip(names, files, strict=True):
        assert re.fullmatch(name, path.rpartition("/")[2])
        assert check_file(path).valid
        schema = f"{tmp_path}/out/{check_file(path).schema}.schema.json"
        assert schema in values["files"]
    assert filled.fingerprint() == before


def test_only_the_symbols_named_are_written(filled, tmp_path):
    filled("export", "BBB", "--what", "prices", "--to", str(tmp_path))
    assert {line.split(",")[0] for line in (tmp_path / "prices-split.csv").read_text().splitlines()[1:]} == {"BBB"}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--what", "all"], 2, "--what 'all': what can be exported: forecasts, .*prices; next: --what forecasts"),
        (["AAA"], 2, "symbols without use for --what forecasts; next: --what prices"),
        (["--what", "prices", "--model", "x"], 2, "--model without use for --what prices; next: --what forecasts"),
        (["--what", "prices", "--basis", "x"], 2, "price basis 'x': price bases are traded, split, total"),
        (["NOPE", "--what", "prices"], 1, "no prices of NOPE .*next: "),
        (["--what", "scores", "--model", "m9"], 1, "no forecast of model m9 has been scored; next: tickercast score"),
        (["--what", "backtests", "--backtest", "../x"], 1, r"no backtest '\.\./x' .*next: "),
        (["--origin", "31.12.2018"], 2, "--origin '31.12.2018': a session is a date such as 2019-01-02"),
        (["--origin", "2018-12-25"], 1, "has issued no forecast from 2018-12-25: .*next: "),
    ],
)
def test_what_cannot_be_exported_is_one_clear_line(filled, arguments, code, said):
    before = filled.fingerprint()
    result = filled("export", *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert re.search(said, result.stderr), result.stderr
    assert filled.fingerprint() == before


def test_a_file_is_validated_by_its_path_or_by_its_name_among_the_exports(filled):
    path = filled.workspace / "exports" / "latest.csv"
    for name in (str(path), "latest.csv"):
        result = filled("validate", name)
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout == f"{path}: forecasts-long-1, 270 rows: valid\n"
    assert filled.json("validate", "latest-wide.csv")[1] == {
        "file": str(filled.workspace / "exports" / "latest-wide.csv"),
        "schema": "forecasts-wide-1", "rows": 10, "valid": True, "problems": [], "count": 0,
    }  # fmt: skip


def test_what_is_wrong_is_printed_by_row_and_column_and_ends_with_1(filled, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text((filled.workspace / "exports" / "latest.csv").read_text().replace(",USD,", ",usd,"))
    result = CliRunner().invoke(app, ["validate", str(path)])
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0] == f"{path}: forecasts-long-1, 270 rows: 270 problems"
    assert lines[1].startswith("row 2, column currency: found 'usd'; the rule: a text such as USD or GBp")
    assert (len(lines), lines[-1]) == (22, "and 250 more")
    assert "mine.csv breaks its schema forecasts-long-1; next: " in result.stderr
    result = CliRunner().invoke(app, ["validate", str(path), "--json"])
    assert result.exit_code == 1
    values = json.loads(result.stdout)
    assert (values["valid"], values["count"], len(values["problems"])) == (False, 270, 20)
    assert set(values["problems"][0]) == {"row", "column", "found", "rule"}


def test_what_is_no_export_ends_with_2(filled, tmp_path):
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    for name, said in ((str(tmp_path / "other.csv"), "no schema"), ("none.csv", "none.csv: No such file")):
        result = filled("validate", name)
        assert (result.exit_code, result.stdout) == (2, "")
        assert said in result.stderr
