import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from forecasting.score_charts import (
    coverage_figure,
    skill_figure,
    skill_grid_figure,
)

HOSTILE = "</script><script>alert(1)</script>"
NAN = float("nan")


def traces(figure):
    return {t.name: t for t in figure.data}


def skill_table(*names, horizons=(1, 5, 20)):
    rows = [(name, h, 0.01 * i + 0.001 * h) for i, name in enumerate(names) for h in horizons]
    table = pd.DataFrame(rows, columns=["baseline", "horizon", "skill"])
    return table.assign(low=table["skill"] - 0.02, high=table["skill"] + 0.03)


def test_importing_the_module_loads_neither_plotly_nor_pandas():
    code = "import sys, forecasting.score_charts; sys.exit(bool({'plotly', 'pandas', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_skill_is_drawn_at_its_horizon_with_its_interval():
    figure = skill_figure(skill_table("judge", "other"), "judge")
    assert list(figure.layout.xaxis.ticktext) == ["1", "5", "20"]
    judge = traces(figure)["judge"]
    assert [round(x) for x in judge.x] == list(figure.layout.xaxis.tickvals)
    np.testing.assert_allclose(judge.y, [0.001, 0.005, 0.02])
    np.testing.assert_allclose(judge.error_y.arrayminus, [0.02] * 3)
    np.testing.assert_allclose(judge.error_y.array, [0.03] * 3)
    assert judge.hovertext[1] == "<b>judge</b><br>5 sessions ahead<br>skill +0.5%<br>90% interval -1.5% to +3.5%"


def test_the_judge_stands_out_on_top_and_no_two_baselines_look_alike():
    names = ["walk", "har", "judge", "garch", "gjr", "boosted", "dense"]
    figure = skill_figure(skill_table(*names), "judge")
    assert figure.data[-1].name == "judge"
    assert figure.data[-1].marker.size > max(t.marker.size for t in figure.data[:-1])
    assert len({(t.marker.color, t.marker.symbol) for t in figure.data}) == len(names)
    at_first = sorted(t.x[0] for t in figure.data)
    assert min(np.diff(at_first)) > 0.05
    assert -0.5 < at_first[0] < at_first[-1] < 0.5


def test_a_skill_without_an_interval_is_drawn_without_one():
    table = skill_table("judge").assign(low=NAN, high=NAN)
    judge = skill_figure(table, "judge").data[0]
    assert "interval" not in judge.hovertext[0]
    assert '"array":[null,null,null]' in skill_figure(table, "judge").to_json(engine="json").replace(" ", "")


def test_coverage_stands_beside_a_line_at_what_it_should_be_in_the_same_colour():
    rows = [(c, h, c - 0.01, c - 0.03, c + 0.01) for c in (0.5, 0.9) for h in (1, 5)]
    figure = coverage_figure(pd.DataFrame(rows, columns=["interval", "horizon", "covered", "low", "high"]))
    lines = {shape.y0: shape.line.color for shape in figure.layout.shapes}
    assert set(lines) == {0.5, 0.9}
    for interval, name in ((0.5, "50% range"), (0.9, "90% range")):
        assert traces(figure)[name].marker.color == lines[interval]
        np.testing.assert_allclose(traces(figure)[name].y, [interval - 0.01] * 2)


def test_the_grid_has_the_number_and_its_rows_in_every_cell_that_has_any():
    table = pd.DataFrame(
        [
            ("2017", 1, 0.02, 500, 0.01, 0.03, 0.049),
            ("2017", 5, -0.01, 1496, -0.03, 0.01, 0.2),
            ("2018", 1, 0.0, 400, NAN, NAN, NAN),
        ],
        columns=["group", "horizon", "skill", "rows", "low", "high", "p"],
    )
    cells = skill_grid_figure(table).data[0]
    assert list(cells.text[0]) == ["<b>+2.0%*</b><br>500", "<b>-1.0%</b><br>1,496"]
    assert list(cells.text[1]) == ["<b>+0.0%</b><br>400", ""]
    assert (cells.zmin, cells.zmax) == (-0.02, 0.02)
    interval = "<br>90% interval -3.0% to +1.0%<br>p 0.2"
    assert cells.hovertext[0][1] == f"5 sessions ahead<br>skill -1.0%{interval}<br>1,496 rows"
    assert cells.hovertext[1][0] == "1 session ahead<br>skill +0.0%<br>400 rows"


def test_a_group_of_a_few_rows_does_not_set_the_colours():
    table = pd.DataFrame({"group": ["2017", "2018"], "horizon": 1, "skill": [0.5, 0.03], "rows": [4, 500]})
    table = table.assign(low=NAN, high=NAN, p=NAN)
    assert skill_grid_figure(table).data[0].zmax == 0.03
    assert skill_grid_figure(table.assign(skill=NAN)).data[0].zmax == 0.01


@pytest.mark.parametrize("draw", [lambda t: skill_figure(t, HOSTILE), lambda t: skill_grid_figure(t)])
def test_names_are_text_and_never_tags(draw):
    table = skill_table(HOSTILE).assign(group=HOSTILE, rows=10, p=0.5)
    drawn = str(draw(table).to_dict())
    assert "&lt;/script" in drawn
    assert "<script" not in drawn
