"""The field table for people; the README's is made from it."""

from collections.abc import Iterator, Sequence

from cefline.render import Profile
from cefline_schemas.dialects import CADO, DIALECTS
from cefline_schemas.dictionary import Copy, Home, ProfileName
from cefline_schemas.targets import TARGETS, Target
from cefline_schemas.timeline import FIELDS, Field

_HEAD = ("Key", "Type", "Input names", "What it is", "Example")
_HOMES = ("Field", "Keys", "Why")
_TARGETS = ("Target", "Setting", "Value", "Why")
_CADO, _DICTIONARY = Profile(), Profile(name="dictionary")
_FITS = {
    "ipv4": "IPv4",
    "ipv6": "IPv6",
    "port": "0 to 65535",
    "number": "an integer",
    "instant": "above 0",
    "dotted": "with dots",
}


def rows(profile: Profile = _CADO) -> list[tuple[str, str, str, str, str]]:
    """Return the rows: key, type, input names, what it is, example."""
    fixed = [(f"`{key}`", "constant", "", value, "") for key, value in profile.constants]
    fields = [
        (_keys(f, "cado"), f.type, ", ".join(f.names), f.doc, f.example) for f in profile.fields
    ]
    return [*fixed, *fields]


def homes(profile: Profile = _DICTIONARY) -> list[tuple[str, str, str]]:
    """Return the rows of profile `dictionary`: field, its keys and what fits them, why."""
    fixed = [("", f"`{key}`", f"Constant: {value}") for key, value in profile.constants]
    return [*fixed, *((f.name, _keys(f, "dictionary"), _why(f)) for f in profile.fields)]


def targets() -> list[tuple[str, str, str, str]]:
    """Return the rows of targets: target, setting, value, why; at last what is open."""
    return [row for target in TARGETS for row in _facts(target)]


def _facts(target: Target) -> Iterator[tuple[str, str, str, str]]:
    for fact in target.facts:
        yield target.name, fact.setting, fact.value, f"{fact.why} ({fact.source})"
    if target.open:
        yield target.name, "", "", target.open


def targets_markdown() -> str:
    """Return the table of targets as Markdown."""
    body = [(*(f"`{cell}`" if cell else "" for cell in cells), why) for *cells, why in targets()]
    return _table([_TARGETS, *body])


def targets_plain() -> str:
    """Return the table of targets in columns."""
    return columns([_TARGETS, *targets()])


def _why(row: Field) -> str:
    return "As it is configured" if row.given else row.dictionary.why


def _keys(row: Field, profile: ProfileName) -> str:
    keys = ", ".join(map(_home, row.homes(profile)))
    copies = () if profile == "cado" else row.dictionary.copies
    return "; ".join([keys, *map(_copy, copies)])


def _home(home: Home) -> str:
    fits = [] if home.fits is None else [_FITS[home.fits]]
    most = [] if home.most is None else [f"{home.most:,}"]
    label = [f"label {home.key.label}"] if home.key.label else []
    told = ", ".join([*fits, *most, *label])
    return f"`{home.key.name}` ({told})" if told else f"`{home.key.name}`"


def _copy(copy: Copy) -> str:
    part = ["last name of the path"] if copy.part == "basename" else []
    unless = [f"unless {copy.unless} has it"] if copy.unless else []
    return " ".join([f"also {_home(copy.home)}", *part, *unless])


def markdown(profile: Profile = _CADO) -> str:
    """Return the table of a profile as Markdown."""
    if profile.name == "dictionary":
        body = [(_code(field), *rest) for field, *rest in homes(profile)]
        return _table([_HOMES, *body])
    return _table([_HEAD, *((*row, _code(eg)) for *row, eg in rows(profile))])


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _table(lines: Sequence[tuple[str, ...]]) -> str:
    head, *body = lines
    with_rule = [head, tuple("---" for _ in head), *body]
    escaped = ([cell.replace("|", "\\|") for cell in line] for line in with_rule)
    return "".join(f"| {' | '.join(line)} |\n" for line in escaped)


def dialects() -> str:
    """Return the input names of the dialects that have names of their own, as Markdown."""
    others = [dialect for dialect in DIALECTS.values() if dialect is not CADO]
    lines = [["Key", *(f"`{dialect.name}`" for dialect in others)], ["---"] * (len(others) + 1)]
    lines += [
        [f"`{field.cado.name}`", *(", ".join(f.names) for f in named)]
        for field, *named in zip(FIELDS, *(dialect.fields for dialect in others), strict=True)
        if any(f.names for f in named)
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def plain(profile: Profile = _CADO) -> str:
    """Return the table of a profile in columns, without examples and marks."""
    if profile.name == "dictionary":
        bare = (tuple(cell.replace("`", "") for cell in row) for row in homes(profile))
        return columns([_HOMES, *bare])
    return columns([_HEAD[:4], *((row[0].replace("`", ""), *row[1:4]) for row in rows(profile))])


def columns(table: Sequence[tuple[str, ...]]) -> str:
    """Return rows in columns; the last one has any width."""
    widths = [max(map(len, column)) for column in list(zip(*table, strict=True))[:-1]]
    return "".join(
        "  ".join(
            [*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[-1]]
        ).rstrip()
        + "\n"
        for row in table
    )
