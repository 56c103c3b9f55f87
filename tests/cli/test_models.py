import json
import re
import shutil

import pytest
from cli_helpers import SMALL, Tickercast

MODEL = ["--epochs", "1", "--window", "60", "--horizon", "5"]


@pytest.fixture
def copy(filled, tmp_path):
    """A copy of the filled workspace that a test may change."""
    shutil.copytree(filled.workspace, tmp_path / "copy")
    return Tickercast(tmp_path / "copy")


@pytest.fixture(scope="module")
def with_two(filled, tmp_path_factory):
    """The filled workspace with a second champion; a test on it must not change it. First and second model ID."""
    place = Tickercast(shutil.copytree(filled.workspace, tmp_path_factory.mktemp("two") / "place"))
    first = place.json("status")[1]["champions"][0]["model_id"]
    second = place.json("train", *MODEL, "--seed", "7")[1]["model_id"]
    place("models", "promote", second)
    return place, first, second


@pytest.fixture
def two(with_two, tmp_path):
    """A copy of that, which a test may change."""
    place, first, second = with_two
    return Tickercast(shutil.copytree(place.workspace, tmp_path / "two")), first, second


@pytest.mark.parametrize("verb", ["list", "show", "promote", "rollback"])
def test_every_verb_has_help_with_an_example_and_the_common_options(tickercast, verb):
    result = tickercast("models", verb, "--help")
    assert result.exit_code == 0
    text = " ".join(result.stdout.split())
    assert f"Example: tickercast models {verb}" in text
    for option in ("--workspace", "--json", "--verbose"):
        assert option in text


def test_models_alone_shows_its_verbs_with_an_example():
    from typer.testing import CliRunner

    from forecasting.cli.verbs import app

    text = CliRunner().invoke(app, ["models", "--help"]).stdout
    assert "Example: tickercast models list" in text
    for verb in ("list", "show", "promote", "rollback"):
        assert re.search(rf"^\s+{verb}\b", text, re.MULTILINE)
    assert re.search(r"^\s+models\b", CliRunner().invoke(app, ["--help"]).stdout, re.MULTILINE)


def test_train_takes_the_name_of_a_universe_that_has_models(two):
    place, _, second = two
    universe = place.json("models", "list")[1][0]["universe"]
    values = place.json("train", "--universe", universe, *MODEL, "--seed", "7")[1]
    assert (values["universe"], values["model_id"], values["trained"]) == (universe, second, False)
    assert "no such file" in place("train", "--universe", "nobody", *MODEL).stderr


def test_train_says_what_was_decided_and_why(two):
    place, first, second = two
    assert re.search(r"^refresh: CRPS .* on 60 sessions from 2018-09-27 to 2018-12-21", decision_on(place, second))
    shown = " ".join(place("train", *MODEL).stdout.split())
    assert f"model {first} (there already, from the same recipe and prices: nothing was trained)" in shown


def decision_on(place, model_id):
    history = place.json("models", "show", model_id)[1]["history"]
    return next(entry["reason"] for entry in history if entry["kind"] in ("refusal", "promotion"))


def test_run_says_why_a_candidate_is_kept_out_and_forecasts_with_the_champion(copy, filled, monkeypatch):
    assert "first model of this universe" in filled.first_run.stdout
    monkeypatch.setattr("forecasting.evaluation.contest.TOLERANCE", -1.0)  # no refresh is as good as that
    champion = copy.json("status")[1]["champions"][0]["model_id"]
    arguments = ["run", "SYN1", "SYN2", *SMALL, "--seed", "7"]
    result, values = copy.json(*arguments)
    assert result.exit_code == 0
    training = values["training"]
    assert (training["trained"], training["promoted"], training["champion"]) == (True, False, champion)
    assert values["model_id"] == values["forecast"]["model_id"] == champion
    shown = copy(*arguments).stdout
    assert f"model {training['model_id']} (there already" in shown
    assert "so the champion stays" in " ".join(shown.split())
    by_hand = f"models promote {training['model_id']} --universe SYN1,SYN2 --workspace {copy.workspace}"
    assert f"{champion} serves; to choose otherwise: tickercast {by_hand}\n" in shown


def test_list_names_every_model_and_what_was_decided(two):
    place, first, second = two
    result, rows = place.json("models", "list")
    assert result.exit_code == 0
    assert [(row["model_id"], row["state"]) for row in rows] == [(second, "champion"), (first, "former champion")]
    shown = place("models", "list").stdout
    assert "SYN1,SYN2: 2 models\n" in shown
    assert re.search(
        rf"^  {first}  former champion  \(rnn, horizon 5, seed 0\)\n +first model of this universe", shown, re.M
    )


def test_list_of_nothing_says_what_fills_it(tickercast):
    result = tickercast("models", "list")
    assert (result.exit_code, tickercast.json("models", "list")[1]) == (0, [])
    assert "no model yet; next: tickercast train" in result.stdout
    assert not tickercast.workspace.exists()


def test_show_prints_the_card_that_stands_beside_the_model(two):
    place, first, _ = two
    folder = place.workspace / "models" / first
    shown = place("models", "show", first)
    assert shown.exit_code == 0
    assert shown.stdout == (folder / "card.md").read_text()
    assert "## Scores" in shown.stdout
    assert "Backtest walk-20181231-" in shown.stdout
    assert place.json("models", "show", first)[1] == json.loads((folder / "card.json").read_text())


def test_a_backtest_brings_the_cards_of_its_recipe_up_to_date(two):
    place, _, second = two
    card = place.workspace / "models" / second / "card.md"
    assert "not been backtested" in card.read_text()
    assert place("backtest", *MODEL, "--seed", "7", "--test-sessions", "60").exit_code == 0
    assert "Backtest walk-20181231-" in card.read_text()


def test_promote_and_rollback_change_who_serves_at_once_and_say_so(two):
    place, first, second = two
    result, values = place.json("models", "rollback", "--reason", "too wide")
    assert result.exit_code == 0
    assert values == {
        "universe": "SYN1,SYN2",
        "model_id": first,
        "before": second,
        "reason": f"rolled back from {second}: too wide",
    }
    assert place.json("forecast")[1]["model_id"] == first
    shown = place("models", "promote", second, "--universe", "SYN1,SYN2", "--reason", "a second try").stdout
    assert shown == f"model {second} serves SYN1,SYN2 in place of {first}: by hand: a second try\n"
    assert place.json("status")[1]["champions"][0]["model_id"] == second
    card = (place.workspace / "models" / first / "card.md").read_text()
    assert "Serves no universe" in card
    assert "rolled back from" in card


def test_promoting_the_champion_says_so_and_changes_nothing(two):
    place, _, second = two
    before = place.fingerprint()
    result = place("models", "promote", second)
    assert result.exit_code == 0
    assert result.stdout == f"model {second} serves SYN1,SYN2 already; nothing was changed\n"
    assert place.fingerprint() == before


@pytest.mark.parametrize(
    ("arguments", "code", "pattern"),
    [
        (["show", "rnn-1"], 1, r"model rnn-1 is not in .*next: tickercast models list"),
        (["promote", "rnn-1"], 1, r"model rnn-1 is not in .*next: tickercast models list"),
        (["promote", "../prices"], 1, r"model ../prices is not in"),
        (["promote", "CHAMPION", "--universe", "mine"], 2, r"universe 'mine': the registry knows SYN1,SYN2; next:"),
        (["rollback"], 1, r"serves SYN1,SYN2, and no earlier champion is there to roll back to; next:"),
        (["rollback", "--universe", "mine"], 2, r"universe 'mine' has no champion: .* knows SYN1,SYN2; next:"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_changes_nothing(copy, arguments, code, pattern):
    champion = copy.json("status")[1]["champions"][0]["model_id"]
    before = copy.fingerprint()
    result = copy("models", *(champion if argument == "CHAMPION" else argument for argument in arguments))
    assert result.exit_code == code
    assert re.search(pattern, result.stderr), result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert copy.fingerprint() == before


@pytest.mark.parametrize("arguments", [["show", "rnn-1"], ["promote", "rnn-1"], ["rollback"]])
def test_what_cannot_be_done_creates_no_workspace(tickercast, arguments):
    assert tickercast("models", *arguments).exit_code in (1, 2)
    assert not tickercast.workspace.exists()


def test_a_damaged_model_is_not_promoted_and_is_named_in_the_list(two):
    place, first, _ = two
    (place.workspace / "models" / first / "weights.safetensors").write_bytes(b"")
    result = place("models", "promote", first)
    assert result.exit_code == 1
    assert f"model {first} is damaged" in result.stderr
    assert f"{first}  former champion  (damaged)" in place("models", "list").stdout
    result = place("models", "rollback")
    assert result.exit_code == 1
    assert f"no earlier champion is there to roll back to (model {first} is damaged" in result.stderr


def test_a_model_of_two_universes_is_promoted_where_it_is_said(copy, tmp_path):
    (tmp_path / "mine.csv").write_text("symbol\nSYN1\nSYN2\n")
    result, trained = copy.json("train", "--universe", str(tmp_path / "mine.csv"), *MODEL)
    assert (trained["trained"], trained["promoted"]) == (False, True)  # the model was there, the universe is new
    result = copy("models", "promote", trained["model_id"])
    assert result.exit_code == 2
    assert "is one of several universes, SYN1,SYN2, mine; next: choose one with --universe" in result.stderr
    assert "serves mine already" in copy("models", "promote", trained["model_id"], "--universe", "mine").stdout
    assert copy("models", "rollback").exit_code == 2
