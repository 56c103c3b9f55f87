"""What answers on the dashboard's port, asked over HTTP."""

import http.client
import json

import pytest
from browsing import Server

HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
OPENED = """
[server]
address = "0.0.0.0"
enableCORS = false
enableXsrfProtection = false
enableStaticServing = true
allowedHosts = ["*"]
corsAllowedOrigins = ["http://evil.example.org"]
trustedUserHeaders = {"X-Email" = "email"}
"""


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    """A dashboard that is up, started by somebody whose own settings would open it."""
    home = tmp_path_factory.mktemp("home")
    (home / ".streamlit").mkdir()
    (home / ".streamlit" / "config.toml").write_text(OPENED)
    opened = {"STREAMLIT_SERVER_ADDRESS": "0.0.0.0", "STREAMLIT_SERVER_ENABLE_CORS": "false"}  # noqa: S104
    server = Server(home / "workspace", environment=opened | {"HOME": str(home)})
    yield server.port
    server.stop()


def ask(port, path, method="GET", body=None, host="127.0.0.1", **headers):
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, b"" if answer.status == 101 else answer.read()
    finally:
        connection.close()


def test_it_listens_on_127_0_0_1_only(port):
    with pytest.raises(ConnectionError):
        ask(port, "/_stcore/health", host="127.0.0.2")


@pytest.mark.parametrize(
    ("origin", "host", "status"),
    [
        ("http://127.0.0.1:{port}", "127.0.0.1:{port}", 101),
        ("http://localhost:{port}", "localhost:{port}", 101),
        ("http://evil.example.org", "127.0.0.1:{port}", 403),
        ("null", "127.0.0.1:{port}", 403),
        ("http://evil.example.org:{port}", "evil.example.org:{port}", 403),  # a name rebound to this machine
    ],
)
def test_pages_of_other_sites_cannot_talk_to_it(port, origin, host, status):
    headers = {"Origin": origin.format(port=port), "Host": host.format(port=port)}
    assert ask(port, "/_stcore/stream", **headers, **HANDSHAKE)[0] == status


def test_no_other_site_may_read_its_answers_or_steer_it(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/_stcore/host-config", headers={"Origin": "http://evil.example.org"})
    answer = connection.getresponse()
    assert answer.headers["Access-Control-Allow-Origin"] is None
    assert json.loads(answer.read())["allowedOrigins"] == [f"http://127.0.0.1:{port}"]
    connection.close()


def test_it_takes_no_files_and_gives_none(port):
    status, said = ask(port, "/_stcore/upload_file/session/file", "PUT", b"bytes")
    assert (status, said) == (403, b"XSRF token missing or invalid")
    for path in ("/app/static/main.py", "/main.py", "/.streamlit/config.toml", "/app/static/%2e%2e/main.py"):
        assert b"streamlit as st" not in ask(port, path)[1]
        assert b"gatherUsageStats" not in ask(port, path)[1]
    assert ask(port, "/_stcore/agent/interact", "POST", b"{}")[0] == 403
