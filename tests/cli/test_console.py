import signal
from contextlib import suppress

import pytest
import typer

from forecasting.cli.console import reported_errors, shown_progress


def test_an_interrupt_that_got_lost_ends_the_work_at_its_next_step(capsys):
    steps, before = [], signal.getsignal(signal.SIGTERM)

    def work():
        with reported_errors(True, False, None), shown_progress(True) as progress:
            for step in range(3):
                progress("train", step, 3)
                steps.append(step)
                with suppress(KeyboardInterrupt):  # as a destructor does
                    signal.raise_signal(signal.SIGTERM)

    with pytest.raises(typer.Exit) as end:
        work()
    assert end.value.exit_code == 130
    assert steps == [0]
    assert "interrupted" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) == before
