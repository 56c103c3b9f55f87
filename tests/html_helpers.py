"""What a browser reads in a page."""

import json
from html.parser import HTMLParser

VOID = {"meta", "br", "link", "img"}


class Page(HTMLParser):
    """What a browser reads in a page: elements, the text around them, scripts, figures."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.scripts, self.data, self.rows = [], [], [], {}, []
        self._open = []
        self.feed(text)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self._open.pop()[0] == tag

    def handle_data(self, data):
        tag, attrs = self._open[-1] if self._open else ("", {})
        if tag == "script" and attrs.get("type") == "application/json":
            self.data[attrs["data-plot"]] = json.loads(data)
        elif tag == "script":
            self.scripts.append(data)
        elif tag != "style":
            self.text.append(data)
            if self.rows and any(name in ("td", "th") for name, _ in self._open):
                self.rows[-1][-1] += data

    def having(self, attribute):
        return [attrs[attribute] for _, attrs in self.tags if attribute in attrs]

    @property
    def words(self):
        return " ".join("".join(self.text).split())
