"""How long the rest of some work takes, at the pace it had so far."""

from time import monotonic


class Pace:
    """The pace of everything that reports how far it is."""

    def __init__(self) -> None:
        self._began: dict[str, tuple[float, int]] = {}  # when each was first heard of, and how much was done by then

    def left(self, what: str, done: int, total: int) -> float | None:
        """Return the seconds that the rest takes; None until something was done since it was first heard of."""
        now = monotonic()
        since, before = self._began.setdefault(what, (now, done))
        return (now - since) * (total - done) / (done - before) if done > before else None


def duration_text(seconds: float) -> str:
    """Return a duration for reading.

    >>> duration_text(7.4), duration_text(250), duration_text(9000)
    ('7 s', '4 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
