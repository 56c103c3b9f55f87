"""The guards guard."""

import os
import socket
from pathlib import Path

import curl_cffi.requests
import pytest
import requests

from forecasting.workspace import find_workspace


def test_a_socket_to_another_machine_is_refused():
    with socket.socket() as s, pytest.raises(RuntimeError, match="only connect to this machine"):
        s.connect(("192.0.2.1", 80))


def test_a_name_look_up_is_refused():
    with pytest.raises(RuntimeError, match="only connect to this machine"):
        requests.get("http://query1.finance.yahoo.com/", timeout=5, proxies={"http": "http://example.com"})


def test_libcurl_is_refused():
    with pytest.raises(RuntimeError, match="only connect to this machine"):
        curl_cffi.requests.get("https://192.0.2.1/", timeout=5)


def test_a_loopback_connection_is_let_through():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        peer, _ = server.accept()
        with peer:
            client.sendall(b"x")
            assert peer.recv(1) == b"x"


def test_the_default_workspace_and_home_lie_in_pytests_folder(tmp_path):
    checkout = Path(__file__).resolve().parent.parent
    assert find_workspace() == tmp_path / "workspace"
    assert checkout not in Path(os.environ["HOME"]).parents
    assert Path(os.environ["HOME"]).is_relative_to(tmp_path.parent)
