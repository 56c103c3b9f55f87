import json
import re
import shlex

import pandas as pd
import pytest
from helpers import random_walk

DAYS = random_walk(bars=300).sessions


@pytest.fixture
def bad(tickercast, tmp_path):
    """A workspace with a person's file that has a fault of each kind, and one without any."""
    bars = random_walk(bars=300).bars
    prices = ["open", "high", "low", "close"]
    bars.loc[DAYS[:60], prices] *= 4  # a split that was not applied
    bars.loc[DAYS[:60], "volume"] /= 4
    bars.loc[DAYS[100:103], prices] *= 100
    bars.loc[DAYS[120], ["high", "close"]] *= 1.5
    bars.loc[DAYS[140:147], prices] = bars.loc[DAYS[140], prices].to_numpy()
    bars.loc[DAYS[140:147], "volume"] = 0.0
    bars.loc[DAYS[200:202], ["low", "close"]] = -37.63
    bars.loc[DAYS[220], "high"] = 1.0
    saturday = bars.loc[[DAYS[250]]].set_axis([DAYS[250] + pd.Timedelta(days=5 - DAYS[250].weekday())])
    bars = pd.concat([bars.drop(DAYS[160:163]), saturday]).rename_axis("Date").sort_index()
    folder = tmp_path / "files"
    folder.mkdir()
    bars.to_csv(folder / "BAD.csv")
    random_walk(bars=300, seed=1).bars.rename_axis("Date").to_csv(folder / "GOOD.csv")
    result = tickercast("fetch", "--files", str(folder), "--prices", "split")
    assert result.exit_code == 0, result.output
    return tickercast


EXPECTED = [
    ("flag", "missed_split", 60, 60, 1),
    ("flag", "unit_error", 100, 102, 3),
    ("flag", "spike", 120, 120, 1),
    ("flag", "stale_run", 140, 146, 7),
    ("flag", "gap", 160, 162, 3),
    ("quarantined", "not_positive", 200, 201, 2),
    ("quarantined", "high_low", 220, 220, 1),
]


def test_each_fault_of_a_file_is_named_with_its_sessions(bad):
    result, findings = bad.json("quality", "BAD")
    assert result.exit_code == 0
    named = [(f["severity"], f["rule"], f["first"], f["last"], f["bars"]) for f in findings]
    expected = [(how, rule, str(DAYS[a].date()), str(DAYS[b].date()), n) for how, rule, a, b, n in EXPECTED]
    assert [name for name in named if name[1] != "not_a_session"] == expected
    assert [f["found"].split(" on a ")[1] for f in findings if f["rule"] == "not_a_session"] == [
        "Saturday without trading on XNYS"
    ]
    assert all(f["symbol"] == "BAD" and f["found"] and f["likely_cause"] for f in findings)


def test_people_read_a_headline_a_table_and_the_likely_causes(bad):
    result = bad("quality")
    assert result.exit_code == 0
    text = " ".join(result.stdout.split())
    days = f"{DAYS[0].date()} to {DAYS[-1].date()}"
    assert f"BAD: files, XNYS, USD, {days}, 294 bars, 4 rows quarantined, 5 flags" in text
    assert f"GOOD: files, XNYS, USD, {days}, 300 bars, nothing found" in text
    for rule in ("missed_split", "unit_error", "spike", "stale_run", "gap"):
        assert re.search(rf"^ *{rule} +\d{{4}}-\d\d-\d\d +\d{{4}}-\d\d-\d\d +\d+  \S", result.stdout, re.MULTILINE), (
            rule
        )
        assert f"likely cause of {rule}: " in text
    assert "likely cause of not_positive, quarantined: a market at or below zero" in text
    assert "looks like a 4-for-1 split" in text
    assert "next: mend the file" in text


def test_symbols_or_a_universe_narrow_the_report(bad, tmp_path):
    assert "BAD" not in bad("quality", "GOOD").stdout
    (tmp_path / "mine.csv").write_text("symbol\nGOOD\n")
    result, findings = bad.json("quality", "--universe", str(tmp_path / "mine.csv"))
    assert (result.exit_code, findings) == (0, [])


def test_a_report_reads_while_another_writes_and_changes_nothing(bad):
    from forecasting.workspace import Workspace

    with Workspace(bad.workspace).lock():
        before = bad.fingerprint()
        assert bad("quality").exit_code == 0
        assert bad.fingerprint() == before


def test_at_most_ten_findings_are_shown_of_every_rule_some_and_the_rest_is_counted(tickercast, tmp_path):
    bars = random_walk(bars=300).bars
    bars.loc[DAYS[250], ["open", "high", "low", "close"]] *= 100
    bars.drop(DAYS[10:210:10]).rename_axis("Date").to_csv(tmp_path / "HOLES.csv")
    assert tickercast("fetch", "--files", str(tmp_path / "HOLES.csv"), "--prices", "split").exit_code == 0
    text = tickercast("quality").stdout
    assert len(re.findall(r"^ *gap +\d", text, re.MULTILINE)) == 9
    assert len(re.findall(r"^ *unit_error +\d", text, re.MULTILINE)) == 1
    assert "and 11 more; --json has all" in text
    assert len(tickercast.json("quality")[1]) == 21


def test_what_to_type_next_asks_a_source_for_the_whole_history_again(tickercast):
    from helpers import no_quarantine, utc

    from forecasting.bars import normalize_bars
    from forecasting.events import no_events
    from forecasting.instruments import Instrument
    from forecasting.store import PriceStore

    bars = random_walk(bars=300).bars
    bars.loc[DAYS[:60], ["open", "high", "low", "close"]] *= 4
    frame = normalize_bars(bars.reset_index().assign(symbol="AAA"))
    store = PriceStore(tickercast.workspace / "prices")
    store.append([Instrument("AAA", "yahoo", "XNYS")], frame, no_events(), no_quarantine(), utc("2019-01-02"))
    text = tickercast("quality").stdout
    command = re.search(r"^next: tickercast (.*)", text, re.MULTILINE)
    assert command, text
    assert shlex.split(command[1]) == ["fetch", "AAA", "--full", "--workspace", str(tickercast.workspace)]


def test_the_embedded_market_has_nothing_to_report(filled):
    result = filled("quality")
    assert result.exit_code == 0
    assert result.stdout.count("nothing found") == 2
    assert "next:" not in result.stdout


def test_a_symbol_that_is_not_stored_is_named_with_the_next_command(filled, tickercast):
    result = filled("quality", "GOOG")
    assert result.exit_code == 1
    assert re.search(r"no prices of GOOG .*next: tickercast fetch GOOG", result.stderr)
    result = tickercast("quality", "--json")
    assert result.exit_code == 1
    assert "holds no prices" in json.loads(result.stdout)["error"]
    assert not tickercast.workspace.exists()
