import json
import re
import shutil
import socket
import subprocess
import sys

import pandas as pd
import pytest
from cli_helpers import SMALL, Tickercast
from typer.testing import CliRunner

from forecasting.cli.verbs import app
from forecasting.events import no_events
from forecasting.ingestion import yahoo
from forecasting.ingestion.provider import Fetched
from forecasting.ingestion.synthetic import SyntheticProvider, make_market
from forecasting.instruments import Instrument
from forecasting.ledger import Ledger
from forecasting.store import PriceStore

VERBS = [
    "fetch", "train", "backtest", "audit", "forecast", "run", "export", "validate", "score", "quality", "retrain",
    "replay", "schedule", "status", "dashboard",
]  # fmt: skip


@pytest.fixture
def copy(filled, tmp_path):
    """A copy of the filled workspace that a test may change."""
    shutil.copytree(filled.workspace, tmp_path / "copy")
    return Tickercast(tmp_path / "copy")


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example_and_the_common_options(tickercast, verb):
    result = tickercast(verb, "--help")
    assert result.exit_code == 0
    text = " ".join(result.stdout.split())
    assert f"Example: tickercast {verb}" in text
    for option in ("--workspace", "--json", "--verbose"):
        assert option in text


def test_help_imports_neither_torch_nor_pandas():
    code = (
        "import sys\nsys.argv = ['tickercast', '--help']\nfrom forecasting.cli.verbs import app\n"
        "try:\n    app()\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('torch', 'pandas', 'numpy', 'streamlit', 'plotly') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert out.splitlines()[-1] == "[]"
    for verb in VERBS:
        assert re.search(rf"^\s+{verb}\b", out, re.MULTILINE)


def test_the_main_job_prints_the_comparison_the_verdict_and_the_paths(filled):
    text = filled.first_run.stdout
    assert "Walk-forward test of SYN1, SYN2: every origin" in text
    assert "RW EWMA" in text
    assert re.search(r"^ +5 +\d+\.\d\d", text, re.MULTILINE)
    assert "Against a random walk with EWMA volatility" in " ".join(text.split())
    for path in re.findall(r"wrote (.+)", text):
        assert (filled.workspace / "exports").samefile(path.rpartition("/")[0])
    assert "tickercast dashboard" in text


def test_forecasts_of_the_past_are_replay_on_real_sessions(filled):
    rows = Ledger(filled.workspace / "ledger").read()
    assert set(rows["mode"]) == {"replay"}
    assert set(rows["as_of"]) == {pd.Timestamp("2018-12-31 21:00", tz="UTC")}
    assert [d.date().isoformat() for d in sorted(set(rows["target_session"]))] == [
        "2019-01-02", "2019-01-03", "2019-01-04", "2019-01-07", "2019-01-08",
    ]  # fmt: skip


def test_a_second_run_adds_nothing_to_the_ledger_and_writes_the_same_csv(copy):
    before = copy.fingerprint()
    result, values = copy.json("run", "SYN1", "SYN2", *SMALL)
    assert result.exit_code == 0
    assert values["fetch"]["added"] == 0
    assert values["forecast"]["ledger_rows"] == 0
    changed = {name for name, digest in copy.fingerprint().items() if before.get(name) != digest}
    fetched = ("jobs/", "prices/fetches/", "prices/instruments.json", "workspace.json")  # that, and when, it was asked
    assert all(name.startswith(fetched) for name in changed), changed


def test_two_fresh_runs_with_one_seed_write_byte_identical_csvs(filled, tickercast):
    assert tickercast("run", "SYN2", "SYN1", *SMALL).exit_code == 0
    exports = [
        {p.name: p.read_bytes() for p in (place.workspace / "exports").iterdir()} for place in (filled, tickercast)
    ]
    assert exports[0] == exports[1]
    assert len(exports[0]) == 6


def test_another_seed_makes_another_model(copy, filled):
    _, first = filled.json("status")
    result, values = copy.json("train", "--seed", "7", "--epochs", "1", "--window", "60", "--horizon", "5")
    assert result.exit_code == 0
    assert values["model_id"] != first["champions"][0]["model_id"]


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_other_cells_train_and_forecast_from_the_command_line(copy, cell):
    _, trained = copy.json("train", "--cell", cell, "--epochs", "1", "--window", "60", "--horizon", "3")
    assert trained["model_id"].startswith(cell)
    result, values = copy.json("forecast", "SYN1", "--model", trained["model_id"])
    assert result.exit_code == 0
    assert len(values["forecasts"]["SYN1"]["sessions"]) == 3


def test_a_symbol_that_is_not_there_is_fetched_and_forecast_or_refused_with_its_cause(copy):
    result, values = copy.json("forecast", "SYN9", "--fetch")
    assert result.exit_code == 0
    assert (list(values["forecasts"]), values["outsiders"], values["failures"]) == (["SYN9"], ["SYN9"], {})
    assert "not among what the model was trained on: SYN9" in copy("forecast", "SYN9", "--fetch").stdout
    result, values = copy.json("forecast", "NOPE", "--fetch")
    assert result.exit_code == 1
    assert "NOPE could not be fetched" in values["error"]
    assert values["failures"]["NOPE"]["kind"] == "unknown_symbol"


def test_the_steps_one_by_one_give_what_the_main_job_gives(filled, tickercast):
    model = ["--epochs", "1", "--window", "60", "--horizon", "5"]
    assert tickercast("fetch", "SYN1", "SYN2", "--source", "synthetic").exit_code == 0
    assert tickercast("train", *model).exit_code == 0
    assert tickercast("backtest", "--test-sessions", "60", *model).exit_code == 0
    assert tickercast("forecast").exit_code == 0
    (tickercast.workspace / "exports" / "latest.csv").unlink()
    assert tickercast("export").exit_code == 0
    one, other = filled.fingerprint(), tickercast.fingerprint()
    for name in one:
        # these two say when the prices were fetched
        if name.endswith(("backtest.json", "report.html")):
            continue
        if name.startswith(("exports/", "backtests/")) or name.endswith(".safetensors"):
            assert other[name] == one[name], name


def test_status_shows_prices_models_and_forecasts(filled):
    result, values = filled.json("status")
    assert result.exit_code == 0
    assert [s["symbol"] for s in values["symbols"]] == ["SYN1", "SYN2"]
    assert values["symbols"][0]["last"] == values["symbols"][0]["last_forecast_from"] == "2018-12-31"
    assert values["champions"][0]["universe"] == "SYN1,SYN2"
    facts = ("currency", "major_currency", "minor_unit", "calendar", "price_basis")
    assert [values["symbols"][0][name] for name in facts] == ["USD", "USD", 1, "XNYS", "traded"]
    shown = filled("status").stdout
    assert "prices in USD: SYN1, SYN2\n" in shown
    assert max(map(len, shown.split("model ")[0].splitlines()[1:])) <= 80


def test_status_of_nothing_says_what_fills_it_and_creates_nothing(tickercast):
    result = tickercast("status")
    assert result.exit_code == 0
    assert "next: tickercast run --source sample" in result.stdout
    assert not tickercast.workspace.exists()


def test_one_unknown_symbol_is_named_and_the_rest_goes_on(tickercast):
    result, values = tickercast.json("run", "SYN1", "NOPE", *SMALL)
    assert result.exit_code == 3
    assert list(values["fetch"]["failures"]) == ["NOPE"]
    assert values["fetch"]["failures"]["NOPE"]["kind"] == "unknown_symbol"
    assert "next:" in values["fetch"]["failures"]["NOPE"]["cause"]
    assert list(values["forecast"]["forecasts"]) == ["SYN1"]
    shown = tickercast("status").stdout
    assert re.search(r"^ *NOPE +none +none +0 +0 +0 ", shown, re.MULTILINE)
    assert "last fetch failed: NOPE: " in shown


def test_export_writes_to_a_folder_of_choice(filled, tmp_path):
    before = filled.fingerprint()
    assert filled("export", "--to", str(tmp_path / "out")).exit_code == 0
    assert (tmp_path / "out" / "latest.csv").read_bytes() == (filled.workspace / "exports/latest.csv").read_bytes()
    assert filled.fingerprint() == before


def test_a_universe_file_names_its_model(tickercast, tmp_path):
    (tmp_path / "mine.csv").write_text("symbol,note\nSYN1,first\nSYN2,\n")
    assert tickercast("run", "--universe", str(tmp_path / "mine.csv"), *SMALL).exit_code == 0
    _, values = tickercast.json("status")
    assert values["champions"][0]["universe"] == "mine"


REFUSED = [
    (["run", "--source", "nowhere"], 2, r"source 'nowhere': sources are .*; next:"),
    (["run", "--source", "sample", "FOO"], 1, r"FOO: the sample holds .*; next:"),
    (["run", "--source", "sample", "--horizon", "0"], 2, r"horizon 0: .* from 1 to 60; next:"),
    (["run", "--source", "sample", "--window", "1"], 2, r"window 1: .*next:"),
    (["run", "--source", "sample", "--window", "6000"], 1, r"has 5031 bars.* needs 6060 bars.*next:"),
    (["run", "--source", "sample", "--test-sessions", "4900"], 1, r"needs \d+; next: fewer --test-sessions"),
    (["run", "--source", "sample", "--test-sessions", "0"], 2, r"test_sessions 0"),
    (["run", "--source", "sample", "--cell", "transformer"], 2, r"cells are rnn, gru, lstm"),
    (["run", "--source", "sample", "--test-sessions", "20"], 2, r"must be longer than the horizon of 20.*next:"),
    (["run", "--source", "sample", "--seed", "9" * 30], 2, r"a seed is a whole number from 0"),
    (["train", "--seed", "-1"], 2, r"a seed is a whole number from 0"),
    (["run"], 2, r"no symbols: .*next:"),
    (["run", "../../etc/passwd"], 2, r"symbol .*next:"),
    (["run", "=CMD"], 2, r"symbol '=CMD'"),
    (["run", "--universe", "no-such-file"], 2, r"universe 'no-such-file'.*next:"),
    (["run", "SYN1", "--universe", "us20"], 2, r"one or the other"),
    (["fetch", "A" * 300], 2, r"symbol"),
    (["train", "GOOG"], 1, r"no prices of GOOG.*next: tickercast fetch GOOG"),
    (["backtest", "--test-sessions", "5000"], 1, r"next: fewer --test-sessions"),
    (["backtest", "--baselines", "some", *SMALL[2:]], 2, r"kinds of baselines are standard, all; next:"),
    (["backtest", "--embargo", "-1"], 2, r"an embargo is a whole number of sessions"),
    (["backtest", "--train-sessions", "20"], 2, r"a training part of 20 .* longer than the horizon of 20.*next:"),
    (["backtest", "--jobs", "0"], 2, r"at least one process works; next:"),
    (["backtest", "--backend", "dask"], 2, r"next: --backend dask --scheduler"),
    (["backtest", "--repeat", "../../etc"], 1, r"no backtest '../../etc' in the workspace, which holds .*next:"),
    (["audit", "GOOG"], 1, r"no prices of GOOG.*next: tickercast fetch GOOG|no model.*next:"),
    (["forecast", "GOOG"], 1, r"no prices of GOOG"),
    (["forecast", "GOOG", "--source", "yahoo"], 2, r"--source without --fetch.*next:"),
    (["forecast", "GOOG", "--fetch", "--source", "nowhere"], 2, r"source 'nowhere': sources are .*next:"),
    (["forecast", "--model", "rnn-1"], 1, r"model rnn-1 .*next:"),
    (["export", "--model", "rnn-1"], 1, r"no forecast; next:"),
]


@pytest.mark.parametrize(
    ("arguments", "code", "pattern"), REFUSED, ids=lambda v: " ".join(v) if isinstance(v, list) else ""
)
def test_bad_input_is_one_clear_line_and_changes_nothing(copy, arguments, code, pattern):
    before = copy.fingerprint()
    result = copy(*arguments)
    assert result.exit_code == code
    assert re.search(pattern, result.stderr), result.stderr
    assert "Traceback" not in result.output
    assert copy.fingerprint() == before


@pytest.mark.parametrize("arguments", [a for a, _, _ in REFUSED], ids=" ".join)
def test_bad_input_creates_no_workspace(tickercast, arguments):
    assert tickercast(*arguments).exit_code in (1, 2)
    assert not tickercast.workspace.exists()


def test_a_refusal_as_json_carries_its_cause(tickercast):
    result, values = tickercast.json("run", "--source", "sample", "FOO")
    assert result.exit_code == 1
    assert values["failures"]["FOO"]["kind"] == "unknown_symbol"
    assert "the sample holds" in values["failures"]["FOO"]["cause"]


def test_a_workspace_that_is_a_file_is_refused_and_kept(tmp_path):
    path = tmp_path / "note.txt"
    path.write_text("mine")
    result = Tickercast(path)("run", *SMALL)
    assert result.exit_code == 1
    assert "is a file" in result.stderr
    assert path.read_text() == "mine"


def test_a_newer_workspace_is_refused_and_kept(copy):
    (copy.workspace / "workspace.json").write_text(json.dumps({"format": 99, "revision": 1}))
    before = copy.fingerprint()
    for verb in ("run", "status", "forecast"):
        result = copy(verb)
        assert result.exit_code == 1
        assert "format 99" in result.stderr
    assert copy.fingerprint() == before


def test_a_damaged_model_is_refused_and_nothing_is_issued(copy):
    weights = next((copy.workspace / "models").glob("*/weights.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x55")
    before = copy.fingerprint()
    result = copy("forecast")
    assert result.exit_code == 1
    assert "is damaged: the SHA-256" in result.stderr
    assert copy.fingerprint() == before


def test_a_running_job_is_named_with_its_own_exit_code(copy):
    from forecasting.workspace import Workspace

    with Workspace(copy.workspace).lock():
        result = copy("forecast")
    assert result.exit_code == 4
    assert "another tickercast is writing" in result.stderr


def test_without_network_each_symbol_fails_with_its_cause_and_nothing_changes(copy, tickercast, monkeypatch):
    def offline(*_args, **_kwargs):
        raise ConnectionError("no route")

    import yfinance

    monkeypatch.setattr(yfinance.Ticker, "history", offline)
    monkeypatch.setattr(yahoo.YahooProvider.__init__, "__defaults__", (None, 2, 0.0))
    for place in (copy, tickercast):
        before = place.fingerprint()
        result = place("run", "AAPL", "MSFT")
        assert result.exit_code == 1
        assert re.search(r"AAPL: Yahoo cannot be reached.*\n\s+MSFT: Yahoo cannot be reached", result.stderr)
        assert place.fingerprint() == before
    assert not tickercast.workspace.exists()


def test_json_is_json_even_where_a_p_value_is_not_a_number(tickercast):
    small = ["--epochs", "1", "--window", "60", "--horizon", "5", "--test-sessions", "9"]
    result, values = tickercast.json("run", "SYN1", "--source", "synthetic", *small)
    assert result.exit_code == 0
    assert "NaN" not in result.stdout
    assert values["backtest"]["scores"][-1]["p_random_walk"] is None


def test_where_every_answer_is_unusable_each_symbol_is_named_with_its_cause(tickercast, monkeypatch):
    def garbage(_self, request):
        bars = pd.DataFrame({"symbol": [request.symbol], "session": ["soon"]})
        return Fetched(Instrument.from_symbol(request.symbol, "synthetic"), bars, no_events())

    monkeypatch.setattr(SyntheticProvider, "fetch", garbage)
    for verb in ("fetch", "run"):
        result = tickercast(verb, "SYN1", "SYN2", "--source", "synthetic")
        assert result.exit_code == 1
        assert re.search(r"SYN1: bars lack the columns .*\n\s+SYN2: bars lack", result.stderr)
    assert not tickercast.workspace.exists()


def test_a_persons_own_file_is_fetched_trained_on_and_forecast(tickercast, tmp_path):
    market = make_market("SYN1").loc["2014":, ["open", "high", "low", "close", "volume"]]
    market.rename_axis("Date").rename(columns=str.title).to_csv(tmp_path / "MINE.csv")
    result = tickercast("fetch", "--files", str(tmp_path / "MINE.csv"))
    assert result.exit_code == 2
    assert re.search(r"prices None: state what .*next: .*--prices split", result.stderr)
    assert not tickercast.workspace.exists()
    files = ["fetch", "--files", str(tmp_path / "MINE.csv"), "--prices", "traded"]
    _, fetched = tickercast.json(*files)
    assert fetched["added"] == len(market)
    assert tickercast.json(*files)[1]["added"] == 0
    assert tickercast("train", "--epochs", "1", "--window", "60", "--horizon", "3").exit_code == 0
    _, issued = tickercast.json("forecast")
    assert issued["forecasts"]["MINE"]["last_close"] == pytest.approx(market["close"].iloc[-1], rel=1e-12)


def test_files_are_no_source_of_the_main_job(tickercast):
    result = tickercast("run", "--source", "files")
    assert result.exit_code == 2
    assert "next: tickercast fetch --files" in result.stderr


def test_what_to_type_next_names_the_workspace_that_was_asked_for(filled, tickercast):
    shown = filled.first_run.stdout
    assert f"status --workspace {filled.workspace}" in shown
    refused = tickercast("train")
    assert f"next: tickercast fetch --source sample (add --workspace {tickercast.workspace})" in refused.stderr


def test_a_port_that_is_taken_is_named_with_the_next_one(tickercast):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = tickercast("dashboard", "--port", str(port))
    assert result.exit_code == 1
    assert f"port {port} of 127.0.0.1 cannot be used" in result.stderr
    assert tickercast("dashboard", "--port", "80000").exit_code == 2


def test_a_table_whose_file_is_gone_is_named_and_nothing_is_trained(copy):
    next((copy.workspace / "ledger").glob("*.parquet")).unlink()
    before = copy.fingerprint()
    for verb in (["run", "SYN1", "SYN2", *SMALL], ["train", "--seed", "3"]):
        result = copy(*verb)
        assert result.exit_code == 1
        assert re.search(r"ledger cannot be read .*next:", result.stderr)
        assert copy.fingerprint() == before


def test_status_lists_all_models_and_names_a_damaged_backtest_beside_the_rest(copy):
    assert copy("train", "--seed", "5", "--epochs", "1", "--window", "60", "--horizon", "5").exit_code == 0
    folder = next((copy.workspace / "backtests").iterdir())
    (folder / "backtest.json").write_text("{}")
    result, values = copy.json("status")
    assert result.exit_code == 0
    assert len(values["models"]) == 2
    assert len(values["symbols"]) == 2
    assert re.search(rf"{folder.name} is not whole", values["backtests"][0])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["fetch", "--source", "sample", "--prices", "split"], "--prices without --files"),
        (
            ["fetch", "--source", "sample", "--currency", "EUR", "--decimal", ","],
            "--currency, --decimal without --files",
        ),
        (["fetch", "--files", "x.csv", "--source", "sample"], "--files and --source together"),
    ],
)
def test_options_that_would_do_nothing_are_refused(tickercast, arguments, says):
    result = tickercast(*arguments)
    assert result.exit_code == 2
    assert says in result.stderr
    assert not tickercast.workspace.exists()


def test_a_workspace_without_a_name_is_refused():
    result = CliRunner().invoke(app, ["status", "--workspace", ""])
    assert result.exit_code == 2
    assert "an empty name" in result.stderr


def test_what_a_stored_symbol_is_cannot_be_changed_by_the_way(tickercast, tmp_path):
    bars = sample_file(tmp_path / "AAA.csv")
    assert tickercast("fetch", "--files", str(bars), "--prices", "split", "--currency", "EUR").exit_code == 0
    for option, name in (
        (["--currency", "GBp"], "currency EUR"),
        (["--currency", "EUR", "--calendar", "XLON"], "XNYS"),
    ):
        result = tickercast("fetch", "--files", str(bars), "--prices", "split", *option)
        assert result.exit_code == 1
        assert name in result.stderr
    assert PriceStore(tickercast.workspace / "prices").instruments()["AAA"].currency == "EUR"


def test_the_money_of_a_symbol_outside_the_united_states_is_asked_for_and_told_in_words(tickercast, tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    for name in ("AAA", "VOD.L"):
        sample_file(folder / f"{name}.csv")
    files = ["fetch", "--files", str(folder), "--prices", "split"]
    result, values = tickercast.json(*files)
    assert (result.exit_code, values["symbols"]) == (3, ["AAA"])
    assert values["failures"]["VOD.L"]["kind"] == "unknown_currency"
    assert re.search(r"XLON.* not guessed; next: .*VOD\.L.*--currency", values["failures"]["VOD.L"]["cause"])
    assert tickercast("fetch", "VOD.L", *files[1:], "--currency", "GBp").exit_code == 0
    shown = tickercast("status").stdout
    assert "prices in USD: AAA\n" in shown
    assert "prices in GBp (pence, 1/100 GBP): VOD.L\n" in shown
    assert "VOD.L: files, XLON, GBp (pence, 1/100 GBP), 2019-01-02 to" in tickercast("quality").stdout


def test_dates_that_have_not_come_are_held_back_by_name(tickercast, tmp_path):
    bars = sample_file(tmp_path / "AAA.csv", "2099-01-05")
    assert tickercast("fetch", "--files", str(bars), "--prices", "split").exit_code == 0
    assert PriceStore(tickercast.workspace / "prices").quarantined()["rule"].tolist() == ["future_session"]


def sample_file(path, *more):
    rows = [f"{day},1,2,0.5,1.5,100" for day in ("2019-01-02", "2019-01-03", "2019-01-04", *more)]
    path.write_text("Date,Open,High,Low,Close,Volume\n" + "\n".join(rows) + "\n")
    return path
