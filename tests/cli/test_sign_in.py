"""A dashboard for others is refused before anything is served, unless it is closed."""

import os
import re
import sys
import tomllib
from pathlib import Path

import pytest
from browsing import free_port

from forecasting.admission import ADMISSION_VARIABLE, Admission, read_admission
from forecasting.cli import sign_in
from forecasting.errors import TickercastError

AUTH = {
    "redirect_uri": "https://forecasts.example.org/oauth2callback",
    "cookie_secret": "c0" * 32,
    "client_id": "tickercast",
    "client_secret": "s3cr3t",
    "server_metadata_url": "https://accounts.example.org/.well-known/openid-configuration",
}


@pytest.fixture
def secrets(tmp_path):
    """Return a function that writes a secrets.toml with other or fewer settings."""

    def write(**changes):
        auth = {key: value for key, value in (AUTH | changes).items() if value is not None}
        path = tmp_path / "secrets.toml"
        path.write_text("[auth]\n" + "".join(f'{key} = "{value}"\n' for key, value in auth.items()))
        return path

    return write


@pytest.fixture
def started(monkeypatch):
    """Return what the process would have become: its command, environment and folder."""
    seen = {}

    def become(program, command):
        seen.update(command=command, environment=dict(os.environ), folder=os.getcwd())
        raise TickercastError("started")

    monkeypatch.setattr(os, "execv", become)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.chdir(os.getcwd())
    return seen


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--public"], 2, "no address is; next: tickercast dashboard --public --allow ada@example.org"),
        (["--public", "--allow", "nobody"], 2, "'nobody' is neither an e-mail address nor a file"),
        (["--public", "--read-only", "--operator", "ada@example.org"], 2, "--read-only refuses what --operator allows"),
        (["--allow", "ada@example.org"], 2, "without --public nobody may; next: add --public"),
        (["--operator", "ada@example.org"], 2, "without --public nobody may; next: add --public"),
        (["--secrets", "secrets.toml"], 2, "without --public nobody may; next: add --public"),
        (["--address", "0.0.0.0"], 2, "--address 0.0.0.0 is reached from other machines"),  # noqa: S104
        (["--address", "::"], 2, "--address :: is reached from other machines"),
        (["--address", "localhost"], 2, "--address 'localhost' is no IP address"),
    ],
)
def test_options_that_leave_it_open_are_refused(tickercast, started, options, code, said):
    result = tickercast("dashboard", *options)
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in result.stderr
    assert "next:" in result.stderr
    assert not started


@pytest.mark.parametrize("missing", list(AUTH))
def test_a_setting_of_the_sign_in_that_is_missing_is_named(tickercast, started, secrets, missing):
    for absent in (None, ""):
        path = secrets(**{missing: absent})
        result = tickercast("dashboard", "--public", "--allow", "ada@example.org", "--secrets", str(path))
        assert (result.exit_code, result.stdout) == (1, "")
        assert f"{path} has no {missing} in its section [auth]; next: write redirect_uri" in result.stderr
        assert not started


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cookie_secret": "short"}, "is shorter than 32 characters"),
        ({"redirect_uri": "http://forecasts.example.org/oauth2callback"}, "has a redirect_uri that is not https://"),
        ({"redirect_uri": "https:///oauth2callback"}, "has a redirect_uri that is not https://"),
        ({"redirect_uri": "https://forecasts.example.org/"}, "does not end with the host and /oauth2callback"),
        ({"server_metadata_url": "http://accounts.example.org/x"}, "has a server_metadata_url that is not https://"),
        ({"server_metadata_url": "file:///etc/passwd"}, "has a server_metadata_url that is not https://"),
    ],
)
def test_a_sign_in_that_others_could_break_is_refused(tickercast, started, secrets, changes, said):
    path = secrets(**changes)
    result = tickercast("dashboard", "--public", "--allow", "ada@example.org", "--secrets", str(path))
    assert result.exit_code == 1
    assert said in result.stderr
    assert "next:" in result.stderr
    assert not any(secret in result.output for secret in (AUTH["client_secret"], AUTH["cookie_secret"]))
    assert not started


def test_a_secrets_file_that_cannot_serve_is_named_and_not_quoted(tickercast, started, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    ask = ["dashboard", "--public", "--allow", "ada@example.org"]
    assert f"{tmp_path}/.streamlit/secrets.toml is not there" in tickercast(*ask).stderr
    broken = tmp_path / "broken.toml"
    broken.write_text("[auth]\nclient_secret = s3cr3t")
    for text, said in (
        ("[auth]\nclient_secret = s3cr3t", "broken.toml is no TOML"),
        ("auth = 1", "has no redirect_uri, cookie_secret, client_id, client_secret, server_metadata_url"),
    ):
        broken.write_text(text)
        result = tickercast(*ask, "--secrets", str(broken))
        assert said in result.stderr
        assert "s3cr3t" not in result.stderr
    assert f"{tmp_path} is no secrets.toml" in tickercast(*ask, "--secrets", str(tmp_path)).stderr
    (tmp_path / "folder.toml").mkdir()
    assert "cannot be read" in tickercast(*ask, "--secrets", str(tmp_path / "folder.toml")).stderr
    assert not started


@pytest.mark.parametrize("package", ["authlib", "httpx"])
def test_a_package_of_the_sign_in_that_is_missing_is_named(tickercast, started, secrets, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    result = tickercast("dashboard", "--public", "--allow", "ada@example.org", "--secrets", str(secrets()))
    assert result.exit_code == 1
    assert f"the package {package}, which is not installed; next: pip install 'streamlit[auth]'" in result.stderr
    assert not started


def test_a_list_names_people_one_on_each_line(tmp_path):
    people = tmp_path / "people"
    people.write_text("\ufeff# who may look\n\nAda@example.org\n  grace@example.org  \n", encoding="utf-8")
    assert set(map(str.strip, sign_in.read_addresses([str(people), "kurt@example.org"]))) == {
        "Ada@example.org",
        "grace@example.org",
        "kurt@example.org",
    }
    people.write_text("ada@example.org, grace@example.org\n")
    with pytest.raises(TickercastError, match=r"line 1 of .*people is no e-mail address.*next:"):
        sign_in.read_addresses([str(people)])
    people.write_bytes(b"\xff\xfe")
    with pytest.raises(TickercastError, match="neither an e-mail address nor a file"):
        sign_in.read_addresses([str(people)])


def test_a_public_dashboard_is_started_with_its_rules_and_without_secrets_on_the_way(
    tickercast, started, secrets, tmp_path
):
    path = secrets()
    (tmp_path / "people").write_text("grace@example.org\n")
    people = ["--allow", str(tmp_path / "people"), "--operator", "Ada@example.org"]
    result = tickercast("dashboard", "--public", *people, "--secrets", str(path), "--port", str(free_port()))
    assert "on https://forecasts.example.org (Ctrl-C ends it)" in result.stdout
    assert "after sign-in 2 may look, 1 act" in result.stdout
    environment = started["environment"]
    assert read_admission(environment[ADMISSION_VARIABLE]) == Admission(
        True, readers=frozenset({"grace@example.org"}), operators=frozenset({"ada@example.org"})
    )
    assert environment["STREAMLIT_SERVER_ADDRESS"] == "0.0.0.0"  # noqa: S104
    assert environment["STREAMLIT_SERVER_CORS_ALLOWED_ORIGINS"] == "https://forecasts.example.org"
    assert started["command"][-2:] == ["--secrets.files", str(path)]
    told = " ".join([*started["command"], *environment.values()])
    assert not any(AUTH[key] in told for key in ("client_secret", "cookie_secret"))


def test_the_documented_secrets_are_what_is_asked_for_and_refused_until_they_are_filled_in(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "dashboard.md").read_text()
    path = tmp_path / "secrets.toml"
    (example,) = re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    path.write_text(example)
    assert set(tomllib.loads(example)["auth"]) == set(AUTH)
    with pytest.raises(TickercastError, match="cookie_secret"):
        sign_in.require_sign_in(path)
    path.write_text(re.sub(r'^cookie_secret = ".*"', f'cookie_secret = "{AUTH["cookie_secret"]}"', example, flags=re.M))
    assert sign_in.require_sign_in(path).origin == "https://forecasts.example.org"
