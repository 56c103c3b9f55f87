import json
import shutil
import time

import numpy as np
import pytest
import streamlit

from forecasting import Workspace, cancel_job, job_at_work, last_ending, load_report

PAGE = "backtest"


def words(app):
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.info, app.warning, app.error, app.code)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def figures(app):
    return {chart.proto.id.split("-", 2)[-1]: json.loads(chart.proto.spec) for chart in app.get("plotly_chart")}


def control(app, key):
    return next(w for w in app.selectbox if w.key == key)


def labelled(app, label):
    return next(w for w in app.selectbox if w.label == label)


@pytest.fixture
def report(filled):
    return load_report(next(filled.backtests.iterdir()))


def test_an_empty_workspace_says_which_command_fills_it(open_app, tmp_path):
    app = open_app(tmp_path / "none", PAGE)
    assert not app.exception
    assert app.code[0].value.startswith("tickercast run --source sample")


def test_without_a_backtest_the_command_and_the_button_are_offered(open_app, filled, tmp_path):
    workspace = Workspace(shutil.copytree(filled.root, tmp_path / "copy"))
    shutil.rmtree(workspace.backtests)
    app = open_app(workspace.root, PAGE)
    assert not app.exception
    assert [code.value for code in app.code] == [f"tickercast backtest --workspace {workspace.root}"]
    assert [button.label for button in app.button] == ["Start"]


def test_the_verdict_and_the_figures_are_those_of_the_report(open_app, filled, report):
    app = open_app(filled.root, PAGE)
    assert not app.exception
    assert report.summary() in words(app).replace("\\", "")
    assert [alarm.value.replace("\\", "") for alarm in app.warning] == list(report.alarms)
    drawn = figures(app)
    panels = [panel for exhibit in report.exhibits() for panel in exhibit.panels]
    assert sorted(drawn) == sorted(panel.name for panel in panels)
    for panel in panels:
        shown, expected = drawn[panel.name]["data"], json.loads(panel.figure.to_json())["data"]
        assert [t.get("name") for t in shown] == [t.get("name") for t in expected]
        assert [t.get("hovertext") for t in shown] == [t.get("hovertext") for t in expected]
    text = words(app).replace("\\", "")
    assert all(words_of in text for exhibit in report.exhibits() for words_of in exhibit.words)


def test_every_baseline_year_and_tercile_has_its_interval_and_p(open_app, filled, report):
    app = open_app(filled.root, PAGE)
    _, compared, years, terciles, symbols, tails, direction = (frame.value for frame in app.dataframe)
    against = report.findings.against_baselines()
    assert compared["baseline"].tolist() == against["baseline"].tolist()
    for column in ("skill", "low", "high", "p", "mcs"):
        np.testing.assert_array_equal(compared[column], against[column])
    assert set(years["group"]) == {str(y) for y in report.table("year")["year"]}
    assert set(terciles["group"]) == {"calm", "middle", "stormy"}
    for groups in (years, terciles):
        assert groups[["low", "high", "p"]].notna().any().all()
    assert set(symbols["group"]) == {"SYN1", "SYN2"}
    assert symbols["q"].notna().any()
    assert set(tails["quantile"]) == {0.01, 0.05, 0.95, 0.99}
    assert direction["horizon"].tolist() == [1, 2, 3, 5]


def test_the_report_and_the_tables_can_be_downloaded(open_app, filled, report, monkeypatch):
    offered = {}
    real = streamlit.download_button

    def record(label, data, name, *args, **kwargs):
        offered[name] = data
        return real(label, data, name, *args, **kwargs)

    monkeypatch.setattr(streamlit, "download_button", record)
    open_app(filled.root, PAGE)
    stem = report.backtest_id
    assert offered[f"{stem}.html"] == report.page.read_bytes()
    tables = (f"{stem}-{name}.csv" for name in report.table_paths)
    assert set(offered) == {f"{stem}.html", f"{stem}-scores.csv", *tables}
    assert offered[f"{stem}-pit.csv"].splitlines()[0] == "horizon,low,high,rows,share,expected,density"


def test_a_run_is_chosen_by_the_url_from_the_list_and_by_nothing_else(open_app, filled, report, tmp_path):
    workspace = Workspace(shutil.copytree(filled.root, tmp_path / "copy"))
    older = f"{report.backtest_id[:-6]}abcdef"
    shutil.copytree(report.folder, workspace.backtests / older)
    (workspace.backtests / report.backtest_id / "backtest.json").touch()
    app = open_app(workspace.root, PAGE)
    assert control(app, "run").value == report.backtest_id
    assert [name.rsplit(" · ", 1)[1] for name in control(app, "run").options] == [report.backtest_id[-6:], "abcdef"]
    assert control(app, "run").options[0].startswith("SYN1, SYN2 · Elman network · ")
    control(app, "run").set_value(older).run()
    assert app.query_params["run"] == older
    assert f"Backtest `{older}`" in words(app)
    other = open_app(workspace.root, PAGE, run=f"../backtests/{older}")
    assert not other.exception
    assert "is not offered here" in other.warning[0].value
    assert control(other, "run").value == report.backtest_id


def test_a_damaged_run_is_named_and_the_others_are_shown(open_app, filled, report, tmp_path):
    workspace = Workspace(shutil.copytree(filled.root, tmp_path / "copy"))
    shutil.copytree(report.folder, workspace.backtests / "walk-damaged")
    (workspace.backtests / "walk-damaged" / "scores.csv").write_text("")
    app = open_app(workspace.root, PAGE)
    assert not app.exception
    assert "`walk-damaged` cannot be shown" in app.warning[0].value
    assert control(app, "run").options == [name for name in control(app, "run").options if "damaged" not in name]
    assert len(app.get("plotly_chart")) == len(figures(open_app(filled.root, PAGE)))


def test_a_damaged_table_and_a_lost_report_take_themselves_away_alone(open_app, filled, report, tmp_path):
    workspace = Workspace(shutil.copytree(filled.root, tmp_path / "copy"))
    folder = workspace.backtests / report.backtest_id
    (folder / "tables" / "pit.csv").write_text("")
    (folder / "report.html").unlink()
    app = open_app(workspace.root, PAGE)
    assert not app.exception
    assert report.summary() in words(app).replace("\\", "")
    assert "not whole" in app.error[0].value
    assert "The report is missing" in words(app)


def test_a_suspected_leak_is_said_before_all_else(open_app, filled, report, tmp_path):
    workspace = Workspace(shutil.copytree(filled.root, tmp_path / "copy"))
    path = workspace.backtests / report.backtest_id / "backtest.json"
    content = json.loads(path.read_text()) | {"suspected_leak": True, "alarms": ["RMSE *far* below"]}
    path.write_text(json.dumps(content))
    app = open_app(workspace.root, PAGE)
    assert "Suspected leak, not a success" in app.error[0].value
    assert app.warning[0].value == r"RMSE \*far\* below"


def test_a_started_backtest_runs_in_the_background_and_is_shown_when_it_is_done(open_app, filled, report, tmp_path):
    workspace = Workspace(shutil.copytree(filled.root, tmp_path / "copy"))
    app = open_app(workspace.root, PAGE)
    assert labelled(app, "Universe").options == ["All stored symbols (3)"]
    labelled(app, "Cell").set_value("none")
    labelled(app, "Sessions tested, the last ones").set_value(126)
    next(button for button in app.button if button.label == "Start").click().run()
    try:
        assert not app.exception
        job = job_at_work(workspace)
        assert job.command == ("backtest", "--cell", "none", "--baselines", "standard", "--test-sessions", "126")
        assert next(button for button in app.button if button.label == "Start a backtest").disabled
    finally:
        cancel_job(workspace)
    end = time.monotonic() + 60
    while last_ending(workspace) is None and time.monotonic() < end:
        time.sleep(0.05)
    ended = {"backtest_id": report.backtest_id, "summary": report.summary()}
    asked = json.loads((workspace.background / "started.json").read_text()) | {"cancelled": False}
    (workspace.background / "started.json").write_text(json.dumps(asked))
    (workspace.background / "output.json").write_text(json.dumps(ended))
    shutil.copytree(report.folder, workspace.backtests / "walk-newer")
    workspace.publish()
    app.run()
    assert app.query_params["run"] == report.backtest_id
    control(app, "run").set_value("walk-newer").run()
    assert app.query_params["run"] == "walk-newer"  # it is selected once


def test_who_may_not_operate_is_not_offered_to_start_one(open_app, filled, monkeypatch):
    app = open_app(filled.root, PAGE)
    import access

    monkeypatch.setattr(access, "may_operate", lambda: False)
    assert "Start" in [button.label for button in app.button]
    assert "Start" not in [button.label for button in app.run().button]
