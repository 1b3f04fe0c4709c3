"""Pages of HTML as a reader has them: their tables, and what could do anything."""

from __future__ import annotations

from html.parser import HTMLParser


class Page(HTMLParser):
    """What a page holds."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.tables: dict[str, list[list[str]]] = {}
        """By the heading above them; the first row is the head."""
        self.totals: dict[str, str] = {}
        self.texts: list[str] = []
        self._heading, self._cell, self._open = "", "", ""
        self._term = ""
        self.feed(html)
        self.close()

    @property
    def text(self) -> str:
        """Return all that the page says."""
        return "\n".join(self.texts)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag in {"h2", "th", "td", "dt", "dd"}:
            self._open, self._cell = tag, ""
        elif tag == "tr":
            self.tables.setdefault(self._heading, []).append([])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag that ends at once."""
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        """Note what was in a tag."""
        if tag != self._open:
            return
        self._open = ""
        if tag == "h2":
            self._heading = self._cell
        elif tag in {"th", "td"}:
            self.tables[self._heading][-1].append(self._cell)
        elif tag == "dt":
            self._term = self._cell
        else:
            self.totals[self._term] = self._cell

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.texts.append(data)
        self._cell += data

    def rows(self, heading: str) -> list[list[str]]:
        """Return the rows below a heading, without their head."""
        return self.tables[heading][1:]

    def numbers(self, heading: str, column: int = 1) -> dict[str, int]:
        """Return a column of numbers by what stands first in each row."""
        return {row[0]: int(row[column].replace(",", "")) for row in self.rows(heading)}
