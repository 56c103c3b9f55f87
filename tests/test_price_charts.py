from dataclasses import replace

import pandas as pd
from helpers import synthetic_series

from forecasting import closes_figure, completeness_figure, count_months
from forecasting.charts import GREY
from forecasting.completeness import share_of
from forecasting.ingestion.quality import find_flags

WHOLE = synthetic_series("SYN1", "2018-12-31", "2017-11-15")
GAPS = pd.DatetimeIndex(["2018-03-05", "2018-03-06", "2018-07-02"])
HELD = pd.DatetimeIndex(["2018-03-08", "2018-04-03", "2018-04-03"])
LACKING = replace(WHOLE, bars=WHOLE.bars.drop(index=GAPS.append(HELD[:2])))


def test_sessions_are_counted_by_month():
    months = count_months(LACKING, HELD.append(WHOLE.sessions[:1]))  # of the last a bar came later
    assert len(months) == 14
    assert months.iloc[0][["year", "month", "bars", "gaps", "quarantined"]].tolist() == [2017, 11, 11, 0, 0]
    march, april, july = (months[(months["year"] == 2018) & (months["month"] == m)].iloc[0] for m in (3, 4, 7))
    assert march[["bars", "gaps", "quarantined"]].tolist() == [18, 2, 1]  # 21 sessions
    assert march["share"] == 18 / 21
    assert (april["gaps"], april["quarantined"]) == (0, 1)
    assert (july["gaps"], july["quarantined"]) == (1, 0)
    assert months[["bars", "gaps", "quarantined"]].sum().sum() == len(WHOLE)


def test_no_bar_no_months():
    assert count_months(replace(WHOLE, bars=WHOLE.bars.iloc[:0]), HELD).empty


def test_a_month_without_sessions_lacks_none():
    assert share_of(pd.DataFrame({"bars": [0, 1], "gaps": [0, 3], "quarantined": [0, 0]})).tolist() == [1.0, 0.25]


def test_the_calendar_has_a_cell_a_month_and_says_what_lacks():
    figure = completeness_figure(count_months(LACKING, HELD))
    (cells,) = figure.data
    at = {
        (y, m): (z, text, hover)
        for y, m, z, text, hover in zip(cells.y, cells.x, cells.z, cells.text, cells.hovertext, strict=True)
    }
    assert len(at) == 14
    assert at[2018, 3][:2] == (2, "2+1q")
    assert at[2018, 4][:2] == (1, "1q")
    assert at[2018, 5][:2] == (0, "")
    assert (
        at[2018, 3][2]
        == "<b>Mar 2018</b><br>18 sessions with a bar<br>2 sessions without<br>1 session held in quarantine"
    )
    assert list(figure.layout.yaxis.ticktext) == ["2017 100%", "2018 98.0%"]  # 246 of 251


def test_closes_are_broken_where_sessions_lack_and_findings_are_marked():
    findings = find_flags(LACKING, HELD)
    assert findings["rule"].tolist() == ["gap", "gap"]
    held = findings.iloc[:1].assign(severity="quarantined", rule="<b>high_low", first=pd.Timestamp("2018-03-08"))
    figure = closes_figure(LACKING, pd.concat([findings, held]))
    line, flags, quarantined = figure.data
    y = dict(zip(line.x, line.y, strict=True))
    assert line.line.color == GREY
    assert y["2018-03-05"] is None
    assert y["2018-03-02"] == LACKING.bars["close"]["2018-03-02"]
    assert (flags.name, list(flags.x)) == ("flagged", ["2018-03-05", "2018-07-02"])
    assert flags.y[0] == y["2018-03-02"]  # the last close before it
    assert quarantined.marker.symbol != flags.marker.symbol
    assert "&lt;b&gt;high_low" in quarantined.hovertext[0]
    assert figure.layout.yaxis.type == "log"


def test_a_part_of_the_history_has_its_own_findings_only():
    figure = closes_figure(LACKING, find_flags(LACKING, HELD), 21)
    (line,) = figure.data
    assert len(line.x) == 21
