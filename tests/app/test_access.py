"""Who sees what, who may do what, and what becomes of text from outside."""

import ast
import re
import shutil
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest
from google.protobuf.message import Message
from hypothesis import given, strategies
from markdown_it import MarkdownIt
from streamlit.testing.v1 import AppTest

from forecasting import Admission, Ledger, cancel_job, job_at_work, last_ending
from forecasting.admission import ADMISSION_VARIABLE

APP = Path(__file__).parents[2] / "app"
SOURCES = {path: ast.parse(path.read_text()) for path in sorted(APP.rglob("*.py"))}
PAGES = sorted(path.stem for path in (APP / "views").glob("*.py"))

READER, OPERATOR, STRANGER = "ada@example.org", "grace@example.org", "eve@example.org"
RULES = Admission(True, readers=frozenset({READER}), operators=frozenset({OPERATOR}))
STARTER = """
import sys
import streamlit as st
import work
if st.button("train"):
    work.start(["train", "--epochs", "1"])
if st.button("cancel"):
    work.stop()
"""
WRITERS = {
    "audit_model", "backtest_model", "cancel_job", "fetch_bars", "fetch_prices", "issue_forecasts", "promote_model",
    "repeat_backtest", "replay", "retrain", "rollback_model", "run_job", "save_backtest", "save_model",
    "score_matured", "start_job", "train_model",
}  # fmt: skip
HOSTILE = [
    "../../../../etc/passwd",
    "/etc/passwd",
    "<script>alert('evil')</script><img src=x onerror=evil()>",
    "![evil](http://evil.example.org/x.png) [evil](javascript:evil()) <http://evil.example.org>",
    "`evil` ``evil`` [evil](http://evil.example.org)",
    "'; DROP TABLE bars; -- evil",
    "' OR symbol <> '",
    "$\\href{http://evil.example.org}{evil}$ :red[evil] \u202eevil\u0000\u200b",
    "evil" * 5000,
]


def signed_in(address, **claims):
    return {"is_logged_in": True, "email": address, "email_verified": True, **claims}


@pytest.fixture(autouse=True, scope="module")
def app_modules():
    """Let the app's modules be imported, as its server does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(APP), *sys.path])
        yield


@pytest.fixture
def serve(monkeypatch):
    """Return a function that sets the rules of the dashboard, as `tickercast dashboard` would."""
    return lambda rules: monkeypatch.setenv(ADMISSION_VARIABLE, rules.to_text())


def texts(app):
    """Return every text that was sent to the browser: markup, labels, options."""

    def within(message):
        for field, value in message.ListFields():
            if isinstance(value, str):
                yield value
            elif isinstance(value, Message):
                yield from within(value)
            elif field.is_repeated and field.message_type is None and field.type == field.TYPE_STRING:
                yield from value

    sent = [element.proto for element in app.main if isinstance(getattr(element, "proto", None), Message)]
    return [text for message in sent for text in within(message)]


def labels(app):
    return [button.label for button in app.button]


@pytest.mark.parametrize(
    ("page", "claims"),
    [
        *((page, None) for page in PAGES),
        ("models", {"email": READER}),
        ("models", signed_in(READER, is_logged_in=False)),
    ],
)
def test_who_has_not_signed_in_sees_how_to_and_nothing_is_read(open_app, serve, tmp_path, page, claims):
    (tmp_path / "workspace.json").write_text('{"format": 99, "revision": 1}')  # reading it would be told
    serve(RULES)
    app = open_app(tmp_path, page, claims)
    assert (labels(app), len(app.error), len(app.exception)) == (["Sign in"], 0, 0)
    assert not any(str(tmp_path) in text or "workspace" in text.lower() for text in texts(app))


@pytest.mark.parametrize(
    "claims",
    [signed_in(STRANGER), signed_in(READER, email_verified=False), signed_in(None), signed_in("\u212a" + READER)],
)
def test_who_is_not_listed_is_refused_and_nothing_is_read(open_app, serve, tmp_path, claims):
    (tmp_path / "workspace.json").write_text('{"format": 99, "revision": 1}')
    serve(RULES)
    app = open_app(tmp_path, "models", claims)
    assert labels(app) == ["Sign out"]
    assert [error.value.partition(",")[0] for error in app.error] == ["You have signed in"]
    assert not any(str(tmp_path) in text or "format" in text for text in texts(app))


def test_who_is_listed_sees_the_forecast_and_who_it_is_shown_to(open_app, serve, filled):
    serve(RULES)
    app = open_app(filled.root, claims=signed_in("Ada@Example.org"))
    assert len(app.get("plotly_chart")) == 1
    assert {":material/visibility: Read-only", f"`{READER}`"} <= {caption.value for caption in app.caption}
    assert "Sign out" in labels(app)
    assert f"`{OPERATOR}`" in {caption.value for caption in open_app(filled.root, claims=signed_in(OPERATOR)).caption}


def test_by_rules_that_cannot_be_read_nobody_is_let_in(open_app, monkeypatch, tmp_path):
    monkeypatch.setenv(ADMISSION_VARIABLE, '{"public": tru')
    app = open_app(tmp_path)
    assert len(app.exception) == 1  # redacted where it is served, as client.showErrorDetails says
    assert not labels(app)


def test_a_server_that_others_reach_without_sign_in_shows_nothing(open_app, monkeypatch, filled):
    import streamlit

    real = streamlit.get_option
    monkeypatch.setattr(streamlit, "get_option", lambda name: "0.0.0.0" if name == "server.address" else real(name))  # noqa: S104
    app = open_app(filled.root)
    assert "tickercast dashboard --public" in app.error[0].value
    assert not app.get("plotly_chart")


@pytest.mark.parametrize("page", PAGES)
def test_outside_no_path_of_the_machine_is_shown(open_app, serve, filled, tmp_path, page):
    serve(RULES)
    for root in (filled.root, tmp_path / "none"):
        app = open_app(root, page, signed_in(OPERATOR))
        assert not any(str(root) in text or str(Path.home()) in text for text in texts(app))


def test_outside_an_error_names_no_path(open_app, serve, tmp_path):
    serve(RULES)
    (tmp_path / "workspace.json").write_text('{"format": 99, "revision": 1}')
    app = open_app(tmp_path, claims=signed_in(OPERATOR))
    assert "format 99" in app.error[0].value
    assert not any(str(tmp_path) in text for text in texts(app))


def test_paths_are_left_out_of_texts_and_nothing_else_is(serve, workspace):
    access = import_module("access")
    text = (
        f"{workspace.root}/prices cannot be read, nor '/home/a b/x.csv', ~/y.csv or /srv/z.csv: "
        "of 24/7, and/or https://example.org/a/b; next: tickercast status --workspace /srv/w"
    )
    assert access.without_paths(text) == text
    serve(RULES)
    assert access.without_paths(text) == (
        "the workspace/prices cannot be read, nor …, … or …: "
        "of 24/7, and/or https://example.org/a/b; next: tickercast status --workspace …"
    )


@pytest.mark.parametrize(
    ("rules", "claims"),
    [
        (Admission(public=False, read_only=True), None),
        (RULES, signed_in(READER)),
        (RULES, signed_in(STRANGER)),
        (RULES, None),
        (Admission(True, True, operators=frozenset({OPERATOR})), signed_in(OPERATOR)),
    ],
)
def test_who_may_not_act_is_refused_whatever_was_on_screen(serve, workspace, rules, claims):
    serve(rules)
    app = AppTest.from_string(STARTER)
    app.user = claims or {}
    for button in (0, 1):
        app.run().button[button].click().run()
        assert not app.exception
        assert "read-only for you" in app.error[0].value
    assert not workspace.root.exists()


@pytest.mark.parametrize(("rules", "claims"), [(Admission(public=False), None), (RULES, signed_in(OPERATOR))])
def test_who_may_act_starts_and_cancels_a_job(serve, workspace, rules, claims):
    serve(rules)
    app = AppTest.from_string(STARTER)
    app.user = claims or {}
    app.run().button[0].click().run()
    try:
        assert not app.exception
        assert not app.error
        assert job_at_work(workspace).command == ("train", "--epochs", "1")
        app.button[1].click().run()
        for _ in range(200):
            if ending := last_ending(workspace):
                break
            time.sleep(0.05)
        assert ending.state == "cancelled"
    finally:
        cancel_job(workspace)


@pytest.mark.parametrize("page", PAGES)
def test_who_may_not_act_is_offered_no_action(open_app, serve, filled, page):
    serve(RULES)
    app = open_app(filled.root, page, signed_in(READER))
    offered = open_app(filled.root, page, signed_in(OPERATOR))
    assert not app.exception
    assert set(labels(app)) <= set(labels(offered))
    started = tuple(beginning(node.args[0]) for tree in SOURCES.values() for node in calls(tree, "offer") if node.args)
    assert not [label for label in labels(app) if label.startswith(started)]


def beginning(text):
    """Return what a literal text begins with, before anything that is filled in."""
    return text.values[0].value if isinstance(text, ast.JoinedStr) else text.value


def test_what_fails_unexpectedly_is_told_to_the_log_and_not_to_the_visitor(
    open_app, serve, filled, tmp_path, monkeypatch, caplog
):
    def fail(self):
        raise KeyError("/srv/secret")

    monkeypatch.setattr(Ledger, "last_origins", fail)
    serve(RULES)
    app = open_app(shutil.copytree(filled.root, tmp_path / "copy"), claims=signed_in(READER))
    assert not app.exception
    assert [error.value.partition(",")[0] for error in app.error] == ["This page failed"]
    assert not any("secret" in text or "KeyError" in text for text in texts(app))
    (record,) = [record for record in caplog.records if record.name == "tickercast.dashboard"]
    assert "/srv/secret" in str(record.exc_info[1])
    caplog.clear()


def calls(tree, name):
    """Return the calls of a function or method, by its last name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
            if called == name:
                yield node


def names_in(node):
    named = [n for n in ast.walk(node) if isinstance(n, ast.Name | ast.Attribute)]
    return {n.id if isinstance(n, ast.Name) else n.attr for n in named}


def test_what_changes_the_workspace_stands_behind_the_question_who_may():
    asked = 0
    for path, tree in SOURCES.items():
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                asked += bool(names_in(node) & WRITERS)
                asks = names_in(node) & {"refused", "act"}  # work.act does nothing before it has asked
                assert not names_in(node) & WRITERS or asks, f"{path}: {node.name} asks nobody"
                assert node.name != "act" or "refused" in names_in(node), path
            elif not isinstance(node, ast.ImportFrom):
                assert not names_in(node) & WRITERS, f"{path}:{node.lineno}: called by the page itself"
    assert asked >= 2


def test_nothing_on_a_page_is_raw_html_or_the_text_of_an_exception():
    for path, tree in SOURCES.items():
        for name in ("html", "iframe"):
            for call in calls(tree, name):
                assert isinstance(call.args[0], ast.Constant), f"{path}:{call.lineno}"
        assert not list(calls(tree, "exception")) or path.name == "main.py", path  # which writes it to the log
        assert "unsafe_allow" not in path.read_text(), path


def parameters():
    """Return the names that pages read from their URL."""
    named = set()
    for path, tree in SOURCES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr == "query_params" and path.name != "state.py":
                line = path.read_text().splitlines()[node.lineno - 1]
                found = re.search(r"query_params(?:\.get\(|\[)\"(\w+)\"", line)
                assert found, f"{path}:{node.lineno}: a parameter is read by a literal name"
                named.add(found[1])
        named |= {call.args[0].value for call in calls(tree, "choose")}
    return named


def rendered(text):
    """Return the kinds of markup in a text, and what links lead to, as a renderer sees it that allows everything."""
    renderer = MarkdownIt("commonmark", {"html": True}).enable("table")
    renderer.validateLink = lambda url: True
    for block in renderer.parse(text):
        yield block.type, block.content if block.type != "inline" else ""
        for token in block.children or []:
            yield token.type, "".join(map(str, token.attrs.values())) + token.content


@given(strategies.text(alphabet="ab12 .)(![]<>`*_~$:#-+=\\&|{}/'\"\n\t\u202e", max_size=14))
def test_text_from_outside_stays_text_whatever_it_holds(words):
    elements = import_module("elements")
    for shown, kinds in ((elements.plain(words), {"text", "text_special"}), (elements.code(words), {"code_inline"})):
        found = {kind for kind, _ in rendered(shown)} - {"paragraph_open", "inline", "paragraph_close"}
        assert found <= kinds, shown


@pytest.mark.parametrize("page", PAGES)
def test_hostile_text_in_the_url_is_looked_up_and_shown_as_text(open_app, filled, page):
    names = parameters()
    assert {"symbol", "history"} <= names
    app = open_app(filled.root, page)
    before = labels(app)
    for value in HOSTILE:
        for name in names:
            app.query_params[name] = value
        app.run()
        assert not app.exception
        assert labels(app) == before
        for text in texts(app):
            assert "root:x:" not in text
            if "evil" in text:
                assert len(text) < 2000
                kinds = {kind for kind, content in rendered(text) if "evil" in content}
                assert kinds <= {"text", "code_inline"}, text
                assert not {"\u202e", "\u200b", "\u0000"} & set(text)
