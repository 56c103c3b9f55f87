"""What every test stands on: no network, no writes outside pytest's temporary folders."""

import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import curl_cffi
import pytest
from hypothesis import settings

from forecasting.workspace import WORKSPACE_VARIABLE, Workspace

# The same examples in every run: a red test is red for everyone, and no example database is written.
settings.register_profile("tickercast", deadline=None, derandomize=True, database=None, max_examples=40)
settings.load_profile("tickercast")


class NetworkBlocked(RuntimeError):
    """A test tried to leave this machine. Not an OSError: no client retries it or takes it for an outage."""


def _is_loopback(host: object) -> bool:
    if isinstance(host, bytes):
        host = host.decode()
    if host in (None, "", "localhost"):
        return True
    try:
        return ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return False


def _blocked(what: object) -> NetworkBlocked:
    return NetworkBlocked(f"tests may only connect to this machine, not to {what}")


@pytest.fixture(scope="session", autouse=True)
def _no_network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let loopback connections through and refuse every other, those of libcurl included."""
    real = {name: getattr(socket.socket, name) for name in ("connect", "connect_ex")}
    real_getaddrinfo = socket.getaddrinfo

    def guarded(name: str):
        def call(self: socket.socket, address):
            if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
                raise _blocked(address)
            return real[name](self, address)

        return call

    def getaddrinfo(host, *args, **kwargs):
        if not _is_loopback(host):
            raise _blocked(host)
        return real_getaddrinfo(host, *args, **kwargs)

    def curl(*args, **kwargs):
        raise _blocked("anything through curl_cffi, which does not use Python's sockets")

    with pytest.MonkeyPatch.context() as patch:
        for name in real:
            patch.setattr(socket.socket, name, guarded(name))
        patch.setattr(socket, "getaddrinfo", getaddrinfo)
        patch.setattr(curl_cffi.Curl, "perform", curl)
        patch.setattr(curl_cffi.AsyncCurl, "add_handle", curl)
        # what tests start as other processes meets a closed port instead of the network
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            patch.setenv(name, "http://127.0.0.1:9")
            patch.setenv(name.upper(), "http://127.0.0.1:9")
        for name in ("no_proxy", "NO_PROXY"):
            patch.setenv(name, "127.0.0.1,localhost,::1")
        # yfinance reads its cache folder when it is imported, so HOME stays the same through a session
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        for name in [n for n in os.environ if n.startswith("XDG_")]:
            patch.delenv(name)
        yield


@pytest.fixture(autouse=True)
def _no_checkout_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point the default workspace into the test's own folder."""
    monkeypatch.setenv(WORKSPACE_VARIABLE, str(tmp_path / "workspace"))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return the default workspace of this test, which does not exist yet."""
    return Workspace(tmp_path / "workspace")
