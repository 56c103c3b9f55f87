import pytest
from cli_helpers import SMALL, Tickercast


@pytest.fixture
def tickercast(tmp_path):
    """The command on a workspace that does not exist yet."""
    return Tickercast(tmp_path / "place")


@pytest.fixture(scope="session")
def filled(tmp_path_factory):
    """A workspace after the main job; a test on it must not change it."""
    place = Tickercast(tmp_path_factory.mktemp("filled") / "place")
    place.first_run = place("run", "SYN1", "SYN2", *SMALL)
    assert place.first_run.exit_code == 0, place.first_run.output
    return place
