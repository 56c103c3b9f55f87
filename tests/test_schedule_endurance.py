"""The schedule over many evenings: nothing that a process may run out of grows."""

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest
from evenings_simulated import Simulation
from helpers import sessions_until

from forecasting.ledger import Ledger

MEGABYTE = 1_000_000


def check(evenings, count, workspace):
    """Check that each session was forecast once, and that open files, threads and locks stayed as they were."""
    assert len(evenings) == count
    # the first on starting up, for the last session of 2017; then one after each close
    days = sessions_until("2018-12-31", 252)[:count]
    assert [evening["session"] for evening in evenings] == [str(day.date()) for day in days]
    assert {evening["issued"] for evening in evenings} == {10}
    assert Ledger(workspace / "ledger").verify() == 10 * count
    for name in ("open_files", "threads", "lock_files"):
        later = {evening[name] for evening in evenings[1:]}
        assert max(later) == min(later), name


def test_five_simulated_evenings_leave_open_files_and_locks_as_they_were(workspace):
    evenings = []
    Simulation(workspace, 5, evenings.append).run()
    check(evenings, 5, workspace.root)


@pytest.mark.slow
def test_250_simulated_evenings_leave_memory_open_files_and_locks_as_they_were(tmp_path):
    script = Path(__file__).with_name("evenings_simulated.py")
    command = [sys.executable, str(script), str(tmp_path), "250"]
    env = {**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system"}  # as the verb sets it
    out = subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout
    evenings = [json.loads(line) for line in out.splitlines()]
    check(evenings, 250, tmp_path)
    # what the libraries keep for themselves has its full size after some tens of evenings
    memory = [evening["memory"] for evening in evenings]
    assert median(memory[200:]) - median(memory[100:150]) < 15 * MEGABYTE
    assert len(list((tmp_path / "reports").iterdir())) == 202
