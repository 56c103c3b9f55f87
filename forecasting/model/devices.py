"""Where tensors are computed."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from threadpoolctl import ThreadpoolController

from forecasting.config import DEVICES
from forecasting.errors import UsageError


def choose_device(asked: str) -> torch.device:
    """Return the device that was asked for; "auto" is a GPU where there is one, else the CPU.

    Raises
    ------
    UsageError
        There is no such device here.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if asked == "auto":
        asked = next(name for name, there in present.items() if there)
    if asked not in present:
        raise UsageError(f"device {asked!r}: devices are {', '.join(DEVICES)}")
    if not present[asked]:
        raise UsageError(f"device {asked!r}: torch finds none on this machine; next: device auto, or cpu")
    return torch.device(asked)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch and NumPy on one thread: faster for steps this small, and the same sums whatever the machine is set to.

    Idle threads of a matrix product wait for the next one in a loop, and take the cores from those who have work.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with _libraries().limit(limits=1):
            yield
    finally:
        torch.set_num_threads(threads)


@cache
def _libraries() -> ThreadpoolController:
    """Return what sets the threads of NumPy's libraries; to look for them takes milliseconds, so it is done once."""
    return ThreadpoolController()
