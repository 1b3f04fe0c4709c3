"""What holds of any bytes: functions that the fuzzer and the tests feed with input.

Each takes bytes, and raises if something is wrong with what cefline makes of them. Events are
compared with the standard library's reading of the same JSON, one object at a time.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

import polars as pl
import pyarrow as pa

from cefline.conform import Conformed, conform
from cefline.errors import SourceError
from cefline.parse import HEADER, parse
from cefline.read import Batch
from cefline.read.byline import MAX_DEPTH
from cefline.read.frames import Lines, bounded, of_array, of_ndjson
from cefline.read.ndjson import load
from cefline.render import Profile, render
from cefline_schemas.timeline import BY_NAME, CANONICAL, FIELDS
from tests.inputs import RULES, URL, Event, Outcome, outcome, reader
from tests.oracle import VISIBLE

Frame = Callable[[Callable[[int], bytes], str, int], Iterator[Lines]]

_WINDOWS = (1, 2, 3, 7, 16, 64, 256, 4096)
_ROWS = (1, 2, 3, 5, 8, 64, 512, 32_768)
_WHOLE = 1 << 20
_MANY = 6
"""Loading takes milliseconds a batch: more of them are compared as frames only."""

_NAMES = (*CANONICAL, "zz", "\\u006dsg", "eventI\\u0064", "x=1 suser", "\\ud800", "")
_STRINGS = (
    *(
        "",
        " ",
        "\\t",
        "a",
        "a=b|c\\\\",
        "\\n",
        "\\u2028",
        "\u2028",
        "\x85",
        "\\u0000",
        "\x7f",
        "\\u001f",
    ),
    *(
        "\\ud800",
        "\\udc00\\ud800",
        "\\ud83d\\ude00",
        "\U0001f600",
        "\\\\ud800",
        "\\/",
        '\\"',
        'x\\":[1',
    ),
    *("[]", "[1]", "null", "true", "False", "0", "-0", " 7 ", "1.0", "1e3", "NaN", "890430600"),
    *("2026-01-12T10:15:00Z", "9223372036854775808", "Timeline Event", " key=value", "\u3000"),
)
_VALUES = (
    *(f'"{text}"' for text in _STRINGS),
    *("null", "true", "false", "0", "-0", "7", "-1", "1.0", "-0.0", "1.10", "1E5", "1e-7", "1e400"),
    *("890430600", "890430600.5", "9223372036854775807", "9223372036854775808", "-1e18", "1e16"),
    *("123456789012345678901234567890", "0.1e1", "[]", "[[]]", "{}", "[null]", '[""]', "[1,1.5]"),
    *('["\\ud800"]', '{"a":null}', '{"a":"\\n\'"}', '[{"url":"u","str_detected":true}]', "[1e400]"),
    *('{"a":1,"a":2}', '{"\\ud800":-0}', "[" * 150 + "]" * 150, "[" * 250 + "]" * 250),
    *("NaN", "01", "1.", "'x'", '"\x00"', '"\\x41"', '{"a":1', "tru", "+1", "[1,]", '"', "}"),
)
"""JSON texts of values, the last of them broken."""

_PROFILE = Profile()
_UNUSABLE = "no usable field"
_SPECIAL = {"type", "super_short", "short"}
"""Name and `type` depend on them."""
_TOLD = ("kind", "ordinal", "line", "offset", "field", "event_id", "reason", "raw")
_BREAKS = bytes.maketrans(b"\r\n", b"  ")
_SHOWN = str.maketrans({raw: shown.replace("\\\\", "\\", 1) for raw, shown in VISIBLE})
_INT64 = range(-(2**63), 2**63)


def ndjson(data: bytes) -> None:
    """Lines: what is read is delivered or rejected, and the window makes no difference."""
    text = _text(data, b"\n", b"\n")
    frames = _framed(of_ndjson, data[:1], text)
    assert frames is not None
    lines = text.split(b"\n")
    assert [line for _, _, line in _placed(frames)] == (lines if lines[-1] else lines[:-1])
    filled = {n: line for n, line in enumerate(lines) if line.strip()}
    found = _loaded(frames, text, of_ndjson)
    last = filled.get(len(lines) - 1)
    if found is None:
        assert (last and _object(last) is None) or _has_time(filled.values())
        return
    assert not last or _object(last) is not None
    _check_events(found, {n: _object(line) for n, line in filled.items()})


def array(data: bytes) -> None:
    """Elements: as many as the standard library finds, delivered or rejected."""
    text = b"[" + _text(data, b", ", b"]")
    try:
        elements = json.loads(text.decode())
    except (ValueError, RecursionError):
        elements = None
    frames = _framed(of_array, data[:1], text)
    if frames is None:
        assert elements is None
        return
    placed = list(_placed(frames))
    _check_wrapped(text, placed)
    assert [ordinal for ordinal, _, _ in placed] == list(range(len(placed)))
    for _, offset, line in placed:
        assert text[offset : offset + len(line)].translate(_BREAKS) == line
    found = _loaded(frames, text, of_array)
    if elements is not None:
        assert len(placed) == len(elements)
    if found is not None:
        _check_events(found, {n: _object(line) for n, _, line in placed})


def _check_wrapped(text: bytes, placed: list[tuple[int, int, bytes]]) -> None:
    """Compare an array with the same one inside an object."""
    before = b'{"of":[{}], "events": '
    shifted = [(ordinal, offset + len(before), line) for ordinal, offset, line in placed]
    for window in (len(before) + 1, _WHOLE):
        wrapped = of_array(reader(before + text + b"}").read, URL, window, before)
        same(list(_placed(list(wrapped))), shifted, "elements in an object and alone")


def parsed(data: bytes) -> None:
    """CEF text: a line parses alone as in company, or is refused."""
    lines = data.decode(errors="replace").split("\n")[:4]
    together = _parsed(lines)
    alone = [_parsed([line]) for line in lines]
    assert (together is None) == any(one is None for one in alone)
    if together is None:
        return
    one_by_one = [row for one in alone if one is not None for row in one]
    same(together, one_by_one, "lines together and alone")
    same(together, _parsed("\n".join([*lines, ""]).encode()), "lines and text")
    same(len(together), len(lines), "rows and lines")


def value(data: bytes) -> None:
    """Text in every field: one line for each event, from which the same values come back."""
    choice, text = int.from_bytes(data[:2], "little"), data[2:].decode(errors="replace")
    half = len(text) // 2
    head, tail = text[:half], text[half:]
    columns: dict[str, pa.Array] = {}
    for place, field in enumerate(FIELDS):
        if place % 6 != choice % 6 and field.name not in _SPECIAL:
            continue
        swapped = choice >> place % 7 & 1
        some = text if choice >> place % 8 & 1 else None
        column = pa.array([text, (head, tail)[swapped], some], pa.large_string())
        columns[field.name] = column.dictionary_encode() if choice >> 15 else column
    batch = Batch(pa.RecordBatch.from_pydict(columns), pl.int_range(3, eager=True))
    try:
        conformed = conform(batch, RULES)
    except SourceError:  # a time without a zone
        del columns["eventTime"]
        batch = Batch(pa.RecordBatch.from_pydict(columns), pl.int_range(3, eager=True))
        conformed = conform(batch, RULES)
    found = outcome([conformed])
    _check_lines(conformed)
    rows = pa.table(columns).to_pylist()
    _check_events(found, dict(enumerate(rows)))


CHECKS: Mapping[str, Callable[[bytes], None]] = MappingProxyType(
    {"ndjson": ndjson, "array": array, "parse": parsed, "value": value}
)
"""By the name that `make fuzz` takes, which is the corpus folder's too."""


def same(found: object, expected: object, what: str) -> None:
    """Compare, and say what was compared."""
    assert found == expected, f"{what}: {found!r} is not {expected!r}"


def _text(data: bytes, between: bytes, end: bytes) -> bytes:
    """Return what to read: the bytes themselves, or objects whose members they choose.

    The first byte's highest bit decides which, and the next whether the text ends as whole ones do.
    """
    form, rest = sum(data[:1]), data[1:]
    whole = rest if not form & 128 else between.join(map(_chosen, rest.split(b"\xff")))
    return whole + (end if form & 64 else b"")


def _chosen(choices: bytes) -> bytes:
    """Return an object with a member for each two bytes: the name and the value they choose."""
    pairs = zip(choices[::2], choices[1::2], strict=False)
    members = (f'"{_NAMES[n % len(_NAMES)]}":{_VALUES[v % len(_VALUES)]}' for n, v in pairs)
    return f"{{{','.join(members)}}}".encode()


def _framed(frame: Frame, choice: bytes, text: bytes) -> list[Lines] | None:
    """Frame a text with the window and the rows that a byte chooses; None if it is refused."""
    window, rows = _WINDOWS[sum(choice) & 7], _ROWS[sum(choice) >> 3 & 7]
    frames = _listed(bounded(frame(reader(text).read, URL, window), rows))
    whole = _listed(frame(reader(text).read, URL, _WHOLE))
    assert (frames is None) == (whole is None)
    assert list(_placed(frames or [])) == list(_placed(whole or []))
    return frames


def _listed(frames: Iterator[Lines]) -> list[Lines] | None:
    try:
        return list(frames)
    except SourceError:
        return None


def _placed(frames: list[Lines]) -> Iterator[tuple[int, int, bytes]]:
    """Yield ordinal, offset and text of each line."""
    for lines in frames:
        split = lines.text.removesuffix(b"\n").split(b"\n")
        assert len(lines.offsets) in {1, len(split)}
        offset = lines.offsets[0]
        for place, line in enumerate(split):
            each = lines.offsets[place] if len(lines.offsets) == len(split) else offset
            yield lines.first + place, each, line
            offset += len(line) + 1


def _loaded(frames: list[Lines], text: bytes, frame: Frame) -> Outcome | None:
    """Return what comes of one frame, or None if the source fails; the same comes of several."""
    whole = _outcome(list(frame(reader(text).read, URL, _WHOLE)))
    if 1 < len(frames) <= _MANY:
        split = _outcome(frames)
        assert (split is None) == (whole is None)
        if split and whole:
            same(split[0].events, whole[0].events, "events of several batches and of one")
            same(split[0].rejected(*_TOLD), whole[0].rejected(*_TOLD), "rejects of the same")
            same(split[0].counts, whole[0].counts, "counts of the same")
    if whole is None:
        return None
    for conformed in whole[1]:
        _check_lines(conformed)
    return whole[0]


def _outcome(frames: list[Lines]) -> tuple[Outcome, list[Conformed]] | None:
    try:
        conformed = [conform(load(lines, URL), RULES) for lines in frames]
    except SourceError:
        return None
    return outcome(conformed), conformed


def _has_time(lines: object) -> bool:
    """Whether a time without a zone may be in the lines: that fails a source, too."""
    assert hasattr(lines, "__iter__")
    times = [name for name, field in CANONICAL.items() if field == "eventTime"]
    read = [_object(line) for line in lines]
    return any(isinstance(o.get(name), str) for o in read if o is not None for name in times)


def _object(line: bytes) -> Event | None:
    """Return a line's object as the standard library reads it; None where it is none."""
    try:
        found = json.loads(line.decode(), parse_constant=_refused, object_pairs_hook=tuple)
    except (ValueError, RecursionError):
        return None
    return dict(found) if isinstance(found, tuple) and _depth(found) <= MAX_DEPTH else None


def _refused(text: str) -> None:
    message = f"{text} is not JSON"
    raise ValueError(message)


def _depth(found: object) -> int:
    """Return how deep lists and objects (pairs, as keys may be equal) nest."""
    if not isinstance(found, tuple | list):
        return 0
    inner = (value for _, value in found) if isinstance(found, tuple) else found
    return 1 + max(map(_depth, inner), default=0)


def _check_events(found: Outcome, objects: Mapping[int, Event | None]) -> None:
    """Compare events with the objects that were read; each is delivered or rejected, not both."""
    rows = found.rejects.filter(pl.col("kind") == "row")
    rejected = dict(rows.select("ordinal", "reason").rows())
    assert len(rejected) == rows.height
    same(sorted([*found.events, *rejected]), sorted(objects), "delivered or rejected, and read")
    for ordinal, read in objects.items():
        if read is None:
            assert rejected.get(ordinal, _UNUSABLE) != _UNUSABLE, f"{ordinal} is no object"
            continue
        same(rejected.get(ordinal, _UNUSABLE), _UNUSABLE, f"reason of {ordinal}")
        _check_event(found.events.get(ordinal, {}), read)


def _check_event(event: Event, read: Event) -> None:
    """Compare the values of one event, those whose text needs no literal."""
    for field in FIELDS:
        given = [v for v in map(read.get, field.names) if v is not None]
        if field.type in {"text", "list"} and all(isinstance(v, str) for v in given):
            filled = [_visible(str(v)) for v in given if not is_blank(str(v))]
            same(event.get(field.name), filled[0] if filled else None, field.name)
        elif len(given) == 1 and (expected := _exact(given[0], field.type)) is not None:
            same(event.get(field.name), expected, field.name)


def _exact(given: object, type_: str) -> object:
    if type_ == "bool":
        return given if isinstance(given, bool) else None
    whole = isinstance(given, int) and not isinstance(given, bool) and given in _INT64
    if not whole or type_ == "time":
        return None
    return given if type_ == "int" else str(given)


def is_blank(text: str) -> bool:
    """Whether text is white space only; Python takes U+001C to U+001F for some."""
    return all(c.isspace() and not "\x1c" <= c <= "\x1f" for c in text)


def _visible(text: str) -> str:
    """Return text with lone surrogates as reading shows them."""
    return "".join(f"\\u{ord(c):04x}" if "\ud800" <= c <= "\udfff" else c for c in text)


def _check_lines(conformed: Conformed) -> None:
    """Render a batch: a line for each event, however it is split, and its values come back."""
    found = outcome([conformed])
    if not found.events:
        return
    rendered = render(conformed.columns, _PROFILE)
    text = b"".join(line.encode() for _, part in rendered.slices() for line in part.to_pylist())
    height = len(found.events)
    assert rendered.lengths.sum() == len(text)
    assert text.count(b"\n") == height
    assert text.endswith(b"\n")
    assert len(text.splitlines()) == len(text.decode().splitlines()) == height
    events = [found.events[n] for n in sorted(found.events)]
    back = parse(text).drop(HEADER).to_dicts()
    present = [{name: v for name, v in row.items() if v is not None} for row in back]
    expected = [{name: _as_written(name, v) for name, v in e.items()} for e in events]
    same(present, expected, "values parsed and rendered")


def _as_written(name: str, given: object) -> object:
    if BY_NAME[name].type == "time":
        assert isinstance(given, int)
        return given // 1_000_000
    return given.translate(_SHOWN) if isinstance(given, str) else given


def _parsed(lines: list[str] | bytes) -> list[Event] | None:
    """Return the rows of CEF text, without the keys that a row has not; None if refused."""
    try:
        frame = parse(lines)
    except SourceError as err:
        assert "line " in str(err)  # noqa: PT017 - the message is what is compared
        return None
    return [{n: v for n, v in row.items() if v is not None} for row in frame.to_dicts()]
