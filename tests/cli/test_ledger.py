import re

import pytest
from cli_helpers import Tickercast
from deltalake import DeltaTable
from ledger_helpers import Evenings

from forecasting.workspace import Workspace


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A workspace after 30 evenings of two models, whose last evening is not scored yet."""
    place = Tickercast(tmp_path_factory.mktemp("evenings") / "place")
    evenings = Evenings(Workspace(place.workspace), days=32)
    evenings.tell(evenings.bars(evenings.days[:31]), evenings.now(evenings.days[30]))
    for k, day in enumerate(evenings.days[:30]):
        evenings.issue(day, "m1" if k < 25 else "m2")
    evenings.update()
    evenings.tell(evenings.bars(evenings.days[31:]), evenings.now(evenings.days[31]))
    return place


def test_the_track_record_is_scored_and_printed_by_model_and_horizon(place):
    result = place("score")
    assert result.exit_code == 0
    text = result.stdout
    assert text.startswith("4 forecasts matured since the last time\ntrack record by prices as first known\n")
    assert re.findall(r"^(.*): origins", text, re.MULTILINE) == ["Live, all models", "Live, model m2", "Live, model m1"]
    assert "Replay" not in text
    assert re.search(
        r"^ +1 +30  \+\d+\.\d% \[\+\d+\.\d%, \+\d+\.\d%\]  0\.\d{3}  \d+% \[\d+%, \d+%\]", text, re.MULTILINE
    )
    assert re.search(r"^ +1 +5  \+?-?\d+\.\d% \[too few\]", text, re.MULTILINE)
    assert re.search(r"^ledger head 180:[0-9a-f]{64}$", text, re.MULTILINE)
    assert max(map(len, text.splitlines()[:-1])) <= 80


def test_the_track_record_is_there_as_json_by_view_and_model(place):
    result, values = place.json("score", "--view", "now", "--model", "m1")
    assert result.exit_code == 0
    assert values["ledger_head"]["rows"] == 180
    assert {(r["mode"], r["view"], r["horizon"]) for r in values["record"]} == {("live", "now", h) for h in (1, 2, 3)}
    assert values["record"][0]["first"] == str(Evenings(Workspace(place.workspace), days=32).days[0].date())
    result, values = place.json("score", "--model", "m9")
    assert (result.exit_code, values["record"]) == (0, [])


def test_a_whole_ledger_is_said_to_be_so_with_its_head(place):
    result = place("ledger", "verify")
    assert result.exit_code == 0
    head = re.fullmatch(r"180 records, each as it was issued\nledger head (180:[0-9a-f]{64})\n", result.stdout)[1]
    assert place("ledger", "verify", "--head", head).exit_code == 0
    result, values = place.json("ledger", "verify")
    assert f"{values['ledger_head']['rows']}:{values['ledger_head']['hash']}" == head
    refused = place("ledger", "verify", "--head", f"180:{'0' * 64}")
    assert refused.exit_code == 1
    assert "record 180 has another hash than when it was the last one" in refused.stderr


def test_a_tampered_record_is_named_and_the_exit_code_is_one(place, tmp_path):
    evenings = Evenings(Workspace(tmp_path / "copy"))
    evenings.pass_by(0, 2)
    DeltaTable(str(tmp_path / "copy" / "ledger")).update(predicate="sequence = 5", updates={"expected": "1000.0"})
    result = Tickercast(tmp_path / "copy")("ledger", "verify")
    assert result.exit_code == 1
    assert re.search(
        r"record 5 \(BBB, origin 2018-11-15, horizon 2\) was edited after it was issued; next: restore", result.stderr
    )


def test_where_live_is_asked_for_a_replay_is_refused_with_the_reason(filled):
    before = filled.fingerprint()
    result = filled("forecast", "--live")
    assert result.exit_code == 1
    assert "SYN1 cannot be forecast live: the history of synthetic is fixed and ends in the past; " in result.stderr
    assert "next: the same without --live" in result.stderr
    assert filled.fingerprint() == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["score", "--view", "later"], "view 'later': prices are viewed as first or now; next: --view first"),
        (["ledger", "verify", "--head", "12"], "head '12': a head is ROWS:HASH"),
    ],
)
def test_what_is_asked_wrongly_is_refused(tickercast, arguments, says):
    result = tickercast(*arguments)
    assert result.exit_code == 2
    assert says in result.stderr


def test_before_anything_was_issued_there_is_nothing_to_score_and_nothing_wrong(tickercast):
    result = tickercast("score")
    assert result.exit_code == 1
    assert "no forecast has been issued yet; next: tickercast forecast" in result.stderr
    assert tickercast("ledger", "verify").stdout.startswith("0 records")
    assert not tickercast.workspace.exists()


def test_the_verb_to_verify_has_help_with_an_example(tickercast):
    text = " ".join(tickercast("ledger", "verify", "--help").stdout.split())
    assert "Example: tickercast ledger verify" in text
    for option in ("--workspace", "--json", "--verbose", "--head"):
        assert option in text
