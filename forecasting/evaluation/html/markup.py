"""HTML of a page that needs nothing but itself: no request leaves it, and no text from outside is read as HTML."""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from hashlib import sha256
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


class Markup(str):
    """HTML. Every other string is text, and is escaped where it meets one."""


_STYLE = """
:root { color-scheme: light dark; --page: #fff; --ink: #1d2430; --soft: #566070; --line: #dde2e8; --panel: #f5f7f9;
  --better: #1f6fbf; --worse: #b34a00; --warn: #fff1e3; }
@media (prefers-color-scheme: dark) { :root { --page: #12161c; --ink: #e4e8ee; --soft: #a0a9b6; --line: #2c343f;
  --panel: #1a2028; --better: #7ab8f5; --worse: #f59a55; --warn: #30200f; } }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; max-width: 84rem; padding: 2rem 1.25rem 4rem; background: var(--page); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1, h2, h3 { line-height: 1.2; text-wrap: balance; }
h1 { font-size: clamp(1.6rem, 4vw, 2.3rem); margin: .2rem 0 1.2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; margin: 0 0 .6rem; }
h3 { font-size: 1rem; margin: 0 0 .3rem; overflow-wrap: anywhere; }
p { margin: 0 0 .7rem; max-width: 70ch; }
a { color: var(--better); }
pre { font: .9em ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
pre { background: var(--panel); border: 1px solid var(--line); border-radius: 6px; padding: .7rem .9rem;
  white-space: pre-wrap; margin: 0 0 .7rem; }
.kind, .soft { color: var(--soft); font-size: .9rem; }
.kind { margin: 0; letter-spacing: .06em; text-transform: uppercase; font-size: .8rem; }
nav { display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; font-size: .9rem; margin: 1.4rem 0 0; }
.facts { display: grid; gap: .8rem 1.5rem; margin: 0 0 1.6rem;
  grid-template-columns: repeat(auto-fit, minmax(11.5rem, 1fr)); }
.facts dt { color: var(--soft); font-size: .8rem; }
.facts dd { margin: 0; font-size: .92rem; overflow-wrap: anywhere; }
.verdict { background: var(--panel); border-left: 5px solid var(--soft); border-radius: 6px; padding: 1.1rem 1.3rem;
  margin: 0 0 1rem; }
.verdict p { font-size: 1.15rem; margin: 0; max-width: 85ch; overflow-wrap: anywhere; }
.alarm { background: var(--warn); border: 2px solid var(--worse); border-radius: 6px; padding: 1.1rem 1.3rem;
  margin: 0 0 1rem; overflow-wrap: anywhere; }
.alarm h2 { color: var(--worse); }
.alarm p { max-width: 105ch; }
.alarm > :last-child, .alarm details > :last-child { margin-bottom: 0; }
.verdict.suspect { border-left-color: var(--worse); }
section { border-top: 1px solid var(--line); margin-top: 2.2rem; padding-top: 1.6rem; }
.figure { display: grid; gap: .5rem 2rem; }
.figure > * { min-width: 0; }
.words { font-size: .95rem; }
.panels { display: grid; gap: 1.2rem 1.5rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); }
.panels.wide { grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); }
.panels > * { min-width: 0; }
.plot { min-height: 17rem; }
.plot ~ p { margin-top: 1rem; }
.scroll { overflow-x: auto; margin: 0 0 .7rem; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; white-space: nowrap; }
th, td { padding: .4rem .55rem; text-align: right; border-bottom: 1px solid var(--line); }
th { font-weight: 600; vertical-align: bottom; white-space: normal; }
.name { display: inline-block; min-width: 10rem; white-space: normal; }
thead tr:not(:last-child) th { color: var(--soft); font-weight: 400; text-align: left; border: 0; padding-bottom: 0; }
th:first-child, td:first-child, .left { text-align: left; }
thead th:first-child, tbody td:first-child { position: sticky; left: 0; background: var(--page); }
.word { font-weight: 600; }
.better { color: var(--better); }
.worse { color: var(--worse); }
details { margin: 0 0 .7rem; }
summary { cursor: pointer; color: var(--better); margin-bottom: .5rem; }
.glossary dt { font-weight: 600; margin-top: .7rem; }
.glossary dd { margin: 0; max-width: 75ch; }
@media (min-width: 70rem) { .figure:not(.below) { grid-template-columns: 19rem 1fr; } }
@media (max-width: 30rem) { body { padding: 1.2rem .9rem 3rem; } .verdict p { font-size: 1.05rem; }
  .facts { grid-template-columns: 1fr 1fr; } }
"""

_DRAW = """
"use strict";
const dark = window.matchMedia("(prefers-color-scheme: dark)");
for (const holder of document.querySelectorAll("script[type='application/json']")) {
  const place = document.getElementById(holder.dataset.plot);
  const { data, layout } = JSON.parse(holder.textContent);
  const ink = () => getComputedStyle(document.body).color;
  layout.font = { ...layout.font, color: ink(), family: getComputedStyle(document.body).fontFamily };
  Plotly.newPlot(place, data, layout, { displayModeBar: false, responsive: true });
  dark.addEventListener("change", () => Plotly.relayout(place, { "font.color": ink() }));
}
"""


def text_of(part: str) -> Markup:
    """Return a string as HTML: text is escaped, markup stays.

    >>> text_of("R&D"), text_of(Markup("<b>x</b>"))
    ('R&amp;D', '<b>x</b>')
    """
    return part if isinstance(part, Markup) else Markup(escape(part))


def element(tag: str, *parts: str, **attributes: str) -> Markup:
    """Return an element around parts; `class_` is the attribute class, `data_plot` is data-plot.

    >>> element("p", "a < b", class_="soft")
    '<p class="soft">a &lt; b</p>'
    """
    named = "".join(f' {name.rstrip("_").replace("_", "-")}="{escape(value)}"' for name, value in attributes.items())
    return Markup(f"<{tag}{named}>{''.join(map(text_of, parts))}</{tag}>")


def make_table(
    head: Sequence[str], rows: Iterable[Sequence[str]], groups: Sequence[tuple[str, int]] = (), left: Sequence[int] = ()
) -> Markup:
    """Return a table that scrolls sideways where it is too wide.

    Parameters
    ----------
    head, rows : cells, numbers as text
    groups : what stands above the heads, each with the number of columns it spans
    left : positions of columns of words, which stand to the left; the first one always does
    """

    def line(tag: str, cells: Sequence[str]) -> Markup:
        parts = (element(tag, cell, **({"class_": "left"} if i in left else {})) for i, cell in enumerate(cells))
        return element("tr", *parts)

    above = [element("tr", *(element("th", name, colspan=str(span)) for name, span in groups))] if groups else []
    body = element("tbody", *(line("td", row) for row in rows))
    return element("div", element("table", element("thead", *above, line("th", head)), body), class_="scroll")


def plot(name: str, figure: "Figure") -> Markup:
    """Return the place of a figure and, beside it, what is drawn there once the page is open."""
    drawn = str(figure.to_json(engine="json"))  # the same bytes whether or not orjson is installed
    for mark in "<>&":
        drawn = drawn.replace(mark, f"\\u{ord(mark):04x}")
    data = element("script", Markup(drawn), type="application/json", data_plot=f"plot-{name}")
    return Markup(element("div", id=f"plot-{name}", class_="plot") + data)


def make_document(title: str, parts: Iterable[str], figures: bool = True) -> str:
    """Return the page. Its policy lets nothing be loaded and no script run but the two that are written into it.

    Parameters
    ----------
    title : text
    parts : what stands in the body
    figures : whether there are any; without them no script is written, which is most of a page's size
    """
    scripts = _drawing_scripts() if figures else []
    digests = (b64encode(sha256(script.encode()).digest()).decode() for script in scripts)
    hashes = " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"
    policy = f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:"
    head = [
        Markup('<meta charset="utf-8">'),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        element("title", title),
        element("style", Markup(_STYLE)),
    ]
    body = element("body", element("main", *parts), *(element("script", script) for script in scripts))
    return f'<!doctype html>\n<html lang="en">\n{element("head", *head)}\n{body}\n</html>\n'


def _drawing_scripts() -> list[Markup]:
    from plotly.offline import get_plotlyjs

    return [Markup(get_plotlyjs().replace("</script", "<\\/script")), Markup(_DRAW)]
