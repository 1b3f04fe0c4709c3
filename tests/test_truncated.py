"""Sources that break off: they fail, or what is whole of them is delivered and said to be."""

import json
import random
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import cefline
from cefline import Config
from cefline.errors import SourceError
from tests.lines import Event, Written, of_lines, of_table, written, zipped, zstd

OPTION = "--accept-truncated keeps what is whole"
NOTE = "cut off, what is whole was read: the source"

EVENTS: list[Event] = [
    {"eventId": "1", "msg": "}]"},
    {"eventId": "2", "notes": [{"a": "]\n"}, 5]},
    {"eventId": "3"},
    {"eventId": "4", "msg": "\U0001f600", "evidence_id": 12345},
]
SMALL = [json.dumps(event, ensure_ascii=False).encode() for event in EVENTS]
LINES = b"".join(line + b"\n" for line in SMALL)
ARRAY = b"[\n" + b",\n".join(SMALL) + b"\n]"
BEFORE, AFTER = b'{"meta":{"a":[1]}, "events": ', b', "more": 5}'

_DICE = random.Random(7)
MANY = [b'{"eventId":"%d","msg":"%050x"}' % (n, _DICE.getrandbits(200)) for n in range(12_000)]
LONG = b"".join(line + b"\n" for line in MANY)
"""1 MB that compress to the half: several blocks of any compression."""
PACKED = zipped(LONG)


def ids(out: Written) -> list[object]:
    """Return the ids of the events that were delivered, and make sure that all are accounted."""
    rejected = out.rejected("ordinal")
    assert out.read == len(out.lines) + len(rejected)
    return [event["eventId"] for event in out.events]


def wholes(text: bytes) -> list[str]:
    """Return the ids of the whole objects in the beginning of lines or of an array."""
    found, at = [], 0
    for number, line in enumerate(SMALL, 1):
        at = text.find(line, at)
        if at < 0:
            break
        found.append(str(number))
        at += len(line)
    return found


def refused(content: bytes) -> None:
    """Make sure that a source fails without the option, and that the hint names it."""
    with pytest.raises(SourceError) as caught:
        written(content)
    assert OPTION in caught.value.hint
    assert caught.value.exit_code == 1


# Text.


@given(st.integers(1, len(LINES)))
def test_lines_before_the_cut_are_delivered(cut: int) -> None:
    """Whole lines are delivered, the last one without its LF too; a broken one is a reject."""
    content = LINES[:cut]
    out = written(content, accept_truncated=True)
    whole = wholes(content)
    assert ids(out) == whole
    last = content[content.rfind(b"\n") + 1 :]
    broken = last and last != SMALL[len(whole) - 1]
    offset = len(content) - len(last)
    expected = [("row", len(whole), len(whole) + 1, offset, last)] if broken else []
    assert out.rejected("kind", "ordinal", "line", "offset", "raw") == expected
    if broken:
        refused(content)
    else:
        assert written(content).lines == out.lines


@pytest.mark.parametrize("content", [LINES[:-3], LINES[:5]], ids=["last", "only"])
def test_a_cut_line_is_told(content: bytes) -> None:
    """The report says that lines were cut off, as it does of every other form."""
    [note] = written(content, accept_truncated=True).notes
    assert note.startswith(NOTE)


@pytest.mark.parametrize("content", [LINES, LINES[:-1], b"", ARRAY, BEFORE + ARRAY + AFTER])
def test_a_whole_source_has_no_note(content: bytes) -> None:
    """The option changes nothing of sources that are whole."""
    for stored in (content, zipped(content), zstd(content)):
        out = written(stored, accept_truncated=True)
        assert out.notes == ()
        assert out.lines == written(stored).lines
        assert not out.rejected("ordinal")


@given(st.integers(len(SMALL[0]) + 2, len(ARRAY) - 1), st.sampled_from([b"", BEFORE]))
@example(len(ARRAY) - 1, b"")
@example(len(SMALL[0]) + 2, BEFORE)
def test_elements_before_the_cut_are_delivered(cut: int, before: bytes) -> None:
    """Of an array, alone or in an object, every whole element is delivered, and a note says so."""
    content = before + ARRAY[:cut]
    out = written(content, accept_truncated=True)
    assert ids(out) == wholes(ARRAY[:cut])
    assert not out.rejected("ordinal")
    [note] = out.notes
    assert note.startswith(NOTE)
    assert f"at element {len(out.lines)}, byte " in note
    refused(content)


@pytest.mark.parametrize("broken", [b"{x}", b'{"eventId":"5"', b"{,}", b"}"])
def test_elements_before_a_broken_one_are_delivered(broken: bytes) -> None:
    """What follows a broken element can't be told from what is in it: it is the end."""
    content = b"[" + b",".join([*SMALL[:2], broken, *SMALL[2:]]) + b"]"
    out = written(content, accept_truncated=True)
    assert ids(out) == ["1", "2"]
    [note] = out.notes
    assert "breaks off or is broken at element 2" in note
    refused(content)


@pytest.mark.parametrize(
    "content",
    [
        b"[",
        b"[ ",
        ARRAY[:10],
        BEFORE + ARRAY[:10],
        zipped(LINES)[:5],
        zipped(LINES)[:15],
        zstd(LINES)[:8],
        zipped(ARRAY[:10]),
    ],
)
def test_a_cut_before_the_first_event_is_no_failure(content: bytes) -> None:
    """With the option, a source of which nothing is whole is one without events, and a note."""
    out = written(content, accept_truncated=True)
    assert ids(out) == []
    [note] = out.notes
    assert note.startswith(NOTE)


@pytest.mark.parametrize("kept", range(len(AFTER)))
def test_a_cut_after_the_array_of_an_object_keeps_it(kept: int) -> None:
    """Where the array is whole and the object around it is not, all events are delivered."""
    out = written(BEFORE + ARRAY + AFTER[:kept], accept_truncated=True)
    assert ids(out) == ["1", "2", "3", "4"]
    [note] = out.notes
    assert note.startswith(NOTE)


@pytest.mark.parametrize("content", [ARRAY + b" x", ARRAY + ARRAY, ARRAY + LINES])
def test_text_after_an_array_is_no_cut(content: bytes) -> None:
    """The option is for what is missing, not for what is too much."""
    with pytest.raises(SourceError, match="after the JSON array there is more"):
        written(content, accept_truncated=True)


# Compressed text.


def inflated(content: bytes) -> bytes:
    """Return all that zlib makes of the beginning of a gzip file."""
    return zlib.decompressobj(wbits=31).decompress(content)


@pytest.mark.parametrize("pack", [zipped, zstd])
@pytest.mark.parametrize("form", ["lines", "array"])
@pytest.mark.parametrize("share", [0.7, 0.85, 0.999])
def test_nothing_is_made_up_of_cut_compression(pack: Any, form: str, share: float) -> None:  # noqa: ANN401 - one of two
    """What is delivered is the beginning, in order; a broken line is a reject; a note says it."""
    stored = pack(LONG if form == "lines" else b"[" + b",".join(MANY) + b"]")
    content = stored[: int(len(stored) * share)]
    out = written(content, accept_truncated=True)
    delivered = ids(out)
    assert delivered == [str(n) for n in range(len(delivered))]
    assert [event["msg"] for event in out.events[-1:]] == [
        json.loads(MANY[len(delivered) - 1])["msg"]
    ]
    rejects = out.rejected("ordinal", "raw")
    assert len(rejects) <= (form == "lines")
    for ordinal, raw in rejects:
        assert ordinal == len(delivered)
        assert isinstance(raw, bytes)
        assert MANY[len(delivered)].startswith(raw)
    [note] = out.notes
    assert note.startswith(f"{NOTE} is damaged or cut off near byte {len(content)}") or (
        form == "array" and "breaks off" in note
    )
    if pack is zipped and form == "lines":
        behind = len(inflated(content)) - sum(len(line) + 1 for line in MANY[: len(delivered)])
        assert 0 <= behind < (256 << 10) + 100
    refused(content)


_BUG_PIECE = "up to 256 KiB of text before the damage are lost with the read that finds it"


@pytest.mark.parametrize("cut", [1_000, 20_000, 300_000, -100_000, -9, -8, -1])
def test_all_lines_before_the_cut_of_gzip_are_delivered(cut: int) -> None:
    """Every line that zlib gives whole is delivered."""
    content = PACKED[:cut]
    text = inflated(content)
    out = written(content, accept_truncated=True)
    assert len(ids(out)) == text.count(b"\n")
    last = text[text.rfind(b"\n") + 1 :]
    assert out.rejected("raw") == ([(last,)] if last else [])


@pytest.mark.parametrize("pack", [zipped, zstd])
@pytest.mark.parametrize("form", ["lines", "array"])
def test_the_beginning_is_not_lost(pack: Any, form: str) -> None:  # noqa: ANN401 - one of two
    """Damage right behind the first piece leaves that piece, which was read without a fault."""
    stored = pack(LONG if form == "lines" else b"[" + b",".join(MANY) + b"]")
    out = written(stored[: len(stored) * 45 // 100], accept_truncated=True)
    assert len(ids(out)) > 3_000
    assert len(out.notes) == 1


@pytest.mark.parametrize("pack", [zipped, zstd])
@pytest.mark.parametrize("form", [LINES, ARRAY])
def test_members_before_the_damaged_one_are_delivered(pack: Any, form: bytes) -> None:  # noqa: ANN401 - one of two
    """Members and frames that are whole are kept, whatever becomes of the last one."""
    half = form.index(SMALL[2])
    content = pack(form[:half]) + pack(form[half:])[:12]
    out = written(content, accept_truncated=True)
    assert ids(out)[:2] == ["1", "2"]
    assert len(out.notes) == 1


@pytest.mark.parametrize("missing", range(1, 9))
def test_a_missing_check_sum_costs_no_event(missing: int) -> None:
    """A gzip file whose check sum and length alone are missing has all its events."""
    out = written(zipped(LINES)[:-missing], accept_truncated=True)
    assert ids(out) == ["1", "2", "3", "4"]
    assert not out.rejected("ordinal")
    assert len(out.notes) == 1


@settings(max_examples=12)
@given(share=st.floats(0.3, 0.99), bits=st.integers(1, 255))
def test_corruption_in_the_middle_of_gzip_is_told(share: float, bits: int) -> None:
    """A flipped byte fails the source; with the option its beginning is there, and a note."""
    content = bytearray(PACKED)
    at = int(len(content) * share)
    sound = inflated(bytes(content[:at])).count(b"\n")
    content[at] ^= bits
    out = written(bytes(content), accept_truncated=True)
    assert out.read == len(out.lines) + len(out.rejected("ordinal"))
    [note] = out.notes
    assert note.startswith(f"{NOTE} is damaged or cut off near byte ")
    kept = min(len(out.lines), sound)
    assert out.events[:kept] == [json.loads(line) for line in MANY[:kept]]
    refused(bytes(content))


# Parquet.

ROWS, GROUP = 4_000, 1_000


def table(compression: str) -> bytes:
    """Return a Parquet file of four row groups."""
    names = [str(n) for n in range(ROWS)]
    texts = [f"{n * 7919 % 1_000_003:x}" * 5 for n in range(ROWS)]
    columns = {"eventId": names, "msg": texts, "zz": texts}
    return of_table(columns, row_group_size=GROUP, compression=compression, use_dictionary=False)


def damaged(content: bytes, group: int, column: int) -> bytes:
    """Return a Parquet file with zeros in the place of a column chunk."""
    metadata = pq.read_metadata(pa.BufferReader(content))
    chunk = metadata.row_group(group).column(column)
    start, size = chunk.data_page_offset, chunk.total_compressed_size
    return content[:start] + bytes(size) + content[start + size :]


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip"])
@pytest.mark.parametrize("group", range(4))
@pytest.mark.parametrize("column", [0, 1])
def test_row_groups_before_the_damage_are_delivered(
    compression: str, group: int, column: int
) -> None:
    """Of a corrupt Parquet file, all rows of the groups before are delivered."""
    content = damaged(table(compression), group, column)
    out = written(content, accept_truncated=True)
    assert ids(out) == [str(n) for n in range(group * GROUP)]
    assert not out.rejected("ordinal")
    [note] = out.notes
    assert note.startswith(f"{NOTE} is damaged after row {group * GROUP}: ")
    refused(content)


def test_damage_in_a_column_that_is_not_read_is_none() -> None:
    """Unknown columns are not looked at, unless they are carried."""
    content = damaged(table("snappy"), 2, 2)
    assert len(written(content).lines) == ROWS
    assert written(content, accept_truncated=True).notes == ()
    out = written(content, accept_truncated=True, unknown="carry")
    assert ids(out) == [str(n) for n in range(2 * GROUP)]
    assert len(out.notes) == 1


@pytest.mark.parametrize("kept", [5, 100, -1, -8])
def test_parquet_without_its_end_fails_all_the_same(kept: int) -> None:
    """Without its footer, nothing of a Parquet file is whole."""
    for accept in (False, True):
        with pytest.raises(SourceError, match="begins like Parquet but can't be opened"):
            written(table("snappy")[:kept], accept_truncated=accept)


# Carried columns, and what a run says.


@given(st.integers(len(SMALL[0]) + 2, len(ARRAY) - 1))
def test_columns_of_a_cut_source_are_carried(cut: int) -> None:
    """Reading all names first gives up no event: both readings end at the same place."""
    named = ARRAY.replace(b'"msg"', b'"zzz"')[:cut]
    out = written(named, accept_truncated=True, unknown="carry")
    plain = written(named, accept_truncated=True)
    assert ids(out) == ids(plain)
    assert [event.get("zzz") for event in out.events][:1] == ["}]"]
    assert out.notes == plain.notes
    with pytest.raises(SourceError, match="breaks off"):
        written(named, unknown="carry")


@pytest.mark.parametrize(
    ("content", "delivered", "rejected"),
    [
        (ARRAY[: ARRAY.index(SMALL[2]) + 3], 2, 0),
        (BEFORE + ARRAY[:-1], 4, 0),
        (damaged(table("snappy"), 1, 0), GROUP, 0),
        (PACKED[:-1000], None, 1),
        (zstd(LONG)[:-1000], None, 1),
        (LINES[:-3], 3, 1),
    ],
    ids=["array", "wrapped", "parquet", "gzip", "zstd", "lines"],
)
def test_the_report_and_the_manifest_say_it(
    tmp_path: Path, content: bytes, delivered: int | None, rejected: int
) -> None:
    """A cut source fails a run; with the option its whole events are out, and the note is kept."""
    source = tmp_path / "source"
    source.write_bytes(content)
    config = Config(sources=(str(source),), dest=str(tmp_path / "refused"))
    report = cefline.export(config)
    assert report.exit_code == 1
    assert OPTION in str(report.sources[0].error)
    assert report.delivered == 0
    accepting = Config(sources=(str(source),), dest=str(tmp_path / "out"), accept_truncated=True)
    report = cefline.export(accepting)
    assert report.exit_code == 0
    [told] = report.as_json()["sources"]
    assert told["outcome"] == "delivered"
    assert told["events_read"] == told["events_delivered"] + told["events_rejected"]
    assert told["events_rejected"] == rejected
    assert told["events_delivered"] == sum(part.events for part in report.parts)
    if delivered is not None:
        assert told["events_delivered"] == delivered
    [note] = told["notes"]
    assert note.startswith(f"cut off, what is whole was read: {source}")
    assert any("cut off, what is whole was read" in line for line in report.lines())
    [manifest] = (tmp_path / "_cefline" / "out" / "manifests").glob("*.json")
    kept = json.loads(manifest.read_text(encoding="utf-8"))
    assert kept["notes"] == [note]
    assert kept["events_delivered"] == told["events_delivered"]
    again = cefline.export(accepting)
    assert [one.outcome for one in again.sources] == ["known"]


def test_the_option_does_not_pass_over_bad_lines() -> None:
    """Lines that are broken elsewhere are rejects as ever, with the option and without it."""
    content = of_lines(EVENTS[:1]) + b"bad\n" + of_lines(EVENTS[1:])
    for accept in (False, True):
        out = written(content, accept_truncated=accept)
        assert ids(out) == ["1", "2", "3", "4"]
        assert out.rejected("ordinal", "raw") == [(1, b"bad")]
        assert out.notes == ()
