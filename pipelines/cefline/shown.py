"""Names and values as they are shown: in messages, logs, reports and on terminals."""


def printable(text: str) -> str:
    """Return text as a terminal, a log or JSON can take it: anything else as an escape."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
