"""The field table for people; the README's is made from it."""

from cefline_schemas.timeline import FIELDS

_HEAD = ("Key", "Type", "Input names", "What it is", "Example")


def rows() -> list[tuple[str, str, str, str, str]]:
    """Return the rows: key, type, input names, what it is, example."""
    return [(f.cado.name, f.type, ", ".join(f.names), f.doc, f.example) for f in FIELDS]


def markdown() -> str:
    """Return the table as Markdown."""
    lines = [_HEAD, tuple("---" for _ in _HEAD)]
    lines += [(f"`{key}`", type_, names, doc, f"`{eg}`") for key, type_, names, doc, eg in rows()]
    escaped = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in escaped)


def plain() -> str:
    """Return the table in columns, without the examples."""
    table = [row[:4] for row in (_HEAD, *rows())]
    widths = [max(len(row[i]) for row in table) for i in range(3)]
    return "".join(
        "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[3]]) + "\n"
        for row in table
    )
