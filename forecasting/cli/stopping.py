"""Being asked to stop: at once, or as a wish that long work asks for at its safe points."""

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType


class Interrupt:
    """Handles a signal as Ctrl-C is handled: with `KeyboardInterrupt`, wherever the program is.

    In a destructor or a callback of the interpreter an exception gets lost; work that goes on can raise it again.
    """

    def __init__(self) -> None:
        self._noted = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        """Handle a signal."""
        self._noted = True
        raise KeyboardInterrupt

    def raise_if_lost(self) -> None:
        """Raise `KeyboardInterrupt` where the signal has come before."""
        if self._noted:
            raise KeyboardInterrupt


class StopWish:
    """Whether this process was asked to stop; wakes who sleeps.

    A second SIGINT (Ctrl-C) does not wait for a safe point. Use it through `stopping`.
    """

    def __init__(self) -> None:
        self._asked = False
        # a byte in it ends every sleep, without the locks that a handler may find held by what it interrupted
        self._wakes, self._awaken = os.pipe()
        os.set_blocking(self._awaken, False)

    def asked(self) -> bool:
        """Return whether it is time to stop."""
        return self._asked

    def sleep(self, seconds: float) -> None:
        """Wait for so long, or until asked to stop."""
        select.select([self._wakes], [], [], seconds)

    def note(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal."""
        self._asked = True
        with suppress(BlockingIOError):
            os.write(self._awaken, b"\n")
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def close(self) -> None:
        """Give the pipe back."""
        os.close(self._wakes)
        os.close(self._awaken)


@contextmanager
def stopping() -> Iterator[StopWish]:
    """Take SIGTERM and SIGINT as a wish to stop, within the block."""
    wish = StopWish()
    before = {number: signal.signal(number, wish.note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield wish
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        wish.close()
