"""Other processes of this machine: whether one is the one that was meant."""

import subprocess
from pathlib import Path


def birth_of(pid: int) -> str | None:
    """Return what tells a process apart from every other one that had or will have its number.

    Returns
    -------
    str or None
        None where no such process is at work: there is none, or it ended and nobody has asked how.
    """
    try:
        # after the name, which may hold anything: the state first, in the 20th place the start in clock ticks
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if state in "ZX" else f"{rest[18]} ticks"
    except (OSError, ValueError, IndexError):
        pass
    if Path("/proc/self/stat").exists():
        return None
    said = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S603, S607
    state, _, started = said.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else started.strip()
