"""An evening job killed at any moment: readers see the last published state, and the next run completes."""

import random
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, replace

import pytest
from cli_helpers import Tickercast
from helpers import no_quarantine, synthetic_series, utc
from live_evenings import SMALL

from forecasting.bars import BAR_COLUMNS
from forecasting.events import no_events
from forecasting.exports.validation import check_file
from forecasting.instruments import Instrument
from forecasting.ledger import Ledger
from forecasting.model.manifest import read_bundle
from forecasting.registry import Registry
from forecasting.retraining import retrain
from forecasting.scoring import Scores
from forecasting.store import PriceStore
from forecasting.universe import Universe
from forecasting.workspace import Workspace

WATCHED = Universe("watched", ("SYN1", "SYN2"))
RECIPE = replace(SMALL, training=replace(SMALL.training, epochs=6))
MISSED = 3  # evenings until the end of the synthetic market, of two symbols and five horizons each


def in_full(table):
    return table.to_json(date_format="iso", double_precision=15)


class Night:
    """A workspace whose last evening was 26 December 2018, or a copy of it, and the command of the one after."""

    def __init__(self, root, folder):
        shutil.copytree(root, folder)
        self.workspace = Workspace(folder)
        universe = folder.with_name("watched.csv")
        universe.write_text("symbol\nSYN1\nSYN2\n")
        self.arguments = ["retrain", "--universe", str(universe), "--source", "synthetic", "--train-every", str(MISSED)]

    def start(self):
        """Start the job in a process of its own, and wait until it holds the workspace."""
        before = set(self.workspace.jobs.iterdir())
        process = subprocess.Popen(
            [sys.executable, "-m", "forecasting", *self.arguments, "--workspace", str(self.workspace.root)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not set(self.workspace.jobs.glob("*.json")) - before:
            assert process.poll() is None
            time.sleep(0.001)
        return process

    def complete(self):
        result = Tickercast(self.workspace.root)(*self.arguments)
        assert result.exit_code == 0, result.output

    def read(self):
        """Read all that others read, and need no repair."""
        assert set(PriceStore(self.workspace.prices).read()) == set(WATCHED.symbols)
        # each issue is of all symbols and horizons
        assert Ledger(self.workspace.ledger).verify() % 10 == 0
        Scores(self.workspace.scores).read()
        read_bundle(self.workspace.models, Registry(self.workspace.models).champion_of("watched").model_id)
        assert check_file(self.workspace.exports / "latest.csv").valid

    def left(self):
        """Return what the job leaves, without the instants at which it did what."""
        entries = Registry(self.workspace.models).entries()
        return {
            "files": {
                str(p.relative_to(self.workspace.root)): p.read_bytes()
                for p in self.workspace.root.rglob("*")
                if p.suffix == ".csv" or p.name == "weights.safetensors"
            },
            "ledger": in_full(Ledger(self.workspace.ledger).read().drop(columns=["data_as_of", "hash"])),
            "scores": in_full(Scores(self.workspace.scores).read().drop(columns="known_at")),
            "registry": [{**asdict(entry), "at": ""} for entry in entries],
            "unfinished": sorted(
                str(p.relative_to(self.workspace.root))
                for p in self.workspace.root.rglob("*")
                if p.name in {"training", "unpublished", ".pruned"} or p.suffix == ".tmp"
            ),
        }


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """The workspace that the evenings of this module begin with."""
    workspace, now = Workspace(tmp_path_factory.mktemp("before") / "workspace"), utc("2018-12-26 22:00")
    for symbol in WATCHED.symbols:  # a short history
        bars = synthetic_series(symbol, "2018-12-26", "2017-06-01").bars[BAR_COLUMNS[2:]].reset_index()
        bars = bars.assign(symbol=symbol)
        instrument = Instrument.from_symbol(symbol, "synthetic")
        PriceStore(workspace.prices).append([instrument], bars, no_events(), no_quarantine(), now)
    report = retrain(workspace, WATCHED, "synthetic", RECIPE, clock=lambda: now)
    assert (report.outcome, report.issued) == ("done", 10)
    return workspace.root


@pytest.fixture(scope="module")
def unbroken(before, tmp_path_factory):
    """What the next evening leaves where nothing happens to it, and how many seconds it takes."""
    night = Night(before, tmp_path_factory.mktemp("unbroken") / "workspace")
    began = time.monotonic()
    night.complete()
    seconds = time.monotonic() - began
    left = night.left()
    assert len(Registry(night.workspace.models).models_of("watched")) == 2
    assert Ledger(night.workspace.ledger).verify() == 10 * (1 + MISSED)
    assert sum(name.endswith("-wide.csv") for name in left["files"]) == 1 + MISSED + 1
    assert left["unfinished"] == []
    return left, seconds


def _killed(night, rng, seconds, times):
    """Kill the job so often, each time after a random while in which others read; return how often it was at work."""
    within = 0
    for _ in range(times):
        process = night.start()
        end = time.monotonic() + rng.uniform(0, 1) * seconds
        try:
            while (rest := end - time.monotonic()) > 0 and process.poll() is None:
                night.read()
                time.sleep(min(rng.uniform(0, 0.5), rest))
            within += process.poll() is None
        finally:
            process.kill()
            process.wait()
        night.read()
        assert Tickercast(night.workspace.root)("status").exit_code == 0
    return within


def test_an_evening_killed_twice_is_completed_by_the_next_run(before, unbroken, tmp_path):
    night = Night(before, tmp_path / "workspace")
    left, seconds = unbroken
    assert _killed(night, random.Random(1), seconds, 2) >= 1
    night.complete()
    assert night.left() == left


@pytest.mark.slow
@pytest.mark.parametrize("round_", range(9))
def test_evenings_killed_27_times_are_completed_by_the_next_run(before, unbroken, tmp_path, round_):
    night = Night(before, tmp_path / "workspace")
    left, seconds = unbroken
    assert _killed(night, random.Random(2 + round_), seconds, 3) >= 1  # or it was not the job that was killed
    night.complete()
    assert night.left() == left


def test_an_evening_killed_while_it_trains_goes_on_from_its_checkpoint(before, unbroken, tmp_path):
    night = Night(before, tmp_path / "workspace")
    process = night.start()
    while not list(night.workspace.training.glob("*/checkpoint.safetensors")):
        assert process.poll() is None
        time.sleep(0.001)
    process.kill()
    process.wait()
    night.read()
    steps = []
    report = retrain(
        night.workspace,
        WATCHED,
        "synthetic",
        train_every=MISSED,
        progress=lambda what, done, total: steps.append((done, total)) if what == "train" else None,
    )
    (first, total), (last, _) = steps[0], steps[-1]
    assert total / RECIPE.training.epochs < first <= last == total
    assert report.exit_code == 0
    assert night.left() == unbroken[0]
