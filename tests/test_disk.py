"""A disk that is full, or may not be written to: a clear error, and nothing is lost."""

import os
import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
from cli_helpers import Tickercast
from helpers import flat_bars, sessions_until
from live_evenings import LiveEvenings

from forecasting.errors import WorkspaceError
from forecasting.store import PriceStore
from forecasting.workspace import Workspace

DAYS = sessions_until("2018-12-31", 3000)


@pytest.fixture
def place(tmp_path) -> Tickercast:
    """Return a workspace that holds the first 2000 bars of AAA."""
    place = Tickercast(tmp_path / "place")
    assert fetch(place, write_files(tmp_path, 2000)).exit_code == 0
    return place


def write_files(folder, bars):
    """Write a file of AAA, and return its path."""
    frame = flat_bars("AAA", DAYS[:bars], np.random.default_rng(0).uniform(90, 110, bars))
    frame.drop(columns="symbol").rename(columns={"session": "date"}).to_csv(folder / "AAA.csv", index=False)
    return folder / "AAA.csv"


def bars_of(place) -> int:
    return len(PriceStore(place.workspace / "prices").read()["AAA"])


def fetch(place, file):
    return place("fetch", "--files", str(file), "--prices", "split")


def fetch_elsewhere(place, file, bytes_a_file):
    """Fetch in a process of its own; a file it writes may have so many bytes."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_a_file, bytes_a_file))

    command = [sys.executable, "-m", "forecasting", "fetch", "--files", str(file), "--prices", "split"]
    return subprocess.run(
        [*command, "--workspace", str(place.workspace)], capture_output=True, text=True, preexec_fn=limit
    )


@contextmanager
def read_only(folder):
    """Make a folder read-only, for root too."""
    if os.geteuid():
        folders = [p for p in (folder, *folder.rglob("*")) if p.is_dir()]
        for p in folders:
            p.chmod(0o555)
        yield
        for p in folders:
            p.chmod(0o755)
        return
    bind = subprocess.run(["mount", "--bind", folder, folder], capture_output=True, check=False)
    if bind.returncode:
        pytest.skip("root may write to every folder here, and may not mount one read-only")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True, capture_output=True)
        yield
    finally:
        subprocess.run(["umount", folder], check=True, capture_output=True)


@pytest.mark.parametrize(
    "bytes_a_file",
    [
        pytest.param(100, id="at once", marks=pytest.mark.slow),
        pytest.param(1000, id="at a log", marks=pytest.mark.slow),
        pytest.param(5000, id="at a table"),
    ],
)
def test_on_a_full_disk_a_fetch_says_so_and_nothing_is_lost(place, tmp_path, bytes_a_file):
    file = write_files(tmp_path, 3000)
    failed = fetch_elsewhere(place, file, bytes_a_file)
    assert failed.returncode == 1
    last = failed.stderr.strip().splitlines()[-1]
    assert "cannot be written" in last
    assert "free space" in last
    assert bars_of(place) == 2000
    assert place("status").exit_code == 0
    assert fetch(place, file).exit_code == 0
    assert bars_of(place) == 3000


def test_a_read_only_workspace_is_read_and_not_written(place, tmp_path):
    file = write_files(tmp_path, 3000)
    before = place.fingerprint()
    with read_only(place.workspace):
        failed = fetch(place, file)
        assert bars_of(place) == 2000
        assert place("status").exit_code == place("quality").exit_code == 0
    assert failed.exit_code == 1
    assert "cannot be written" in failed.stderr
    assert place.fingerprint() == before
    assert fetch(place, file).exit_code == 0
    assert bars_of(place) == 3000


@pytest.fixture(scope="module")
def first_evening(tmp_path_factory):
    """The workspace of AAA and BBB after the evening of 1 June 2018."""
    evenings = LiveEvenings(Workspace(tmp_path_factory.mktemp("evening") / "workspace"), "AAA", "BBB")
    assert evenings.run("2018-06-01").outcome == "done"
    return evenings.workspace.root


@pytest.fixture
def evenings(first_evening, workspace):
    shutil.copytree(first_evening, workspace.root)
    return LiveEvenings(workspace, "AAA", "BBB")


@contextmanager
def full_disk(bytes_a_file):
    """Let no file grow beyond so many bytes, in this process."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_a_file, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("bytes_a_file", "step"),
    [
        pytest.param(300, None, id="at once, and not even the report", marks=pytest.mark.slow),
        pytest.param(9_000, "forecast", id="at the ledger"),
        pytest.param(12_000, "export", id="at the exports"),
    ],
)
def test_an_evening_on_a_full_disk_says_so_and_the_next_run_completes(evenings, bytes_a_file, step):
    known, exported = evenings.ledger.head(), evenings.exported()
    with full_disk(bytes_a_file):
        if step is None:
            with pytest.raises(WorkspaceError, match="cannot be written .*free space"):
                evenings.run("2018-06-05")
        else:
            report = evenings.run("2018-06-05")
            assert (report.exit_code, report.steps[-1].name, report.steps[-1].failed) == (1, step, True)
            assert "cannot be written" in report.error
            assert "free space" in report.error
    evenings.ledger.verify([known])
    assert evenings.exported() == exported
    assert evenings.run("2018-06-05").outcome == "done"
    assert evenings.ledger.verify([known]) == 30
    assert len(evenings.exported()) == len(exported) + 4
    assert set(evenings.table("latest")["origin"]) == {"2018-06-05"}


def test_an_evening_that_may_not_write_fails_and_the_next_run_completes(evenings):
    place = Tickercast(evenings.workspace.root)
    before = place.fingerprint()
    with read_only(evenings.workspace.root):
        with pytest.raises(WorkspaceError, match="cannot be written"):
            evenings.run("2018-06-05")
        assert evenings.ledger.verify() == 10
        assert place("status").exit_code == 0
    assert place.fingerprint() == before
    assert evenings.run("2018-06-05").issued == 20
