"""Limits of lines and values: what is cut, what never is, and that it is all said."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cefline
from cefline.conform import Rules, conform
from cefline.parse import parse
from cefline.read import Batch
from cefline.render import Profile, Rendered
from cefline.render import render as render_columns
from cefline_schemas import cef
from cefline_schemas.demands import LEAST_LIMIT, LEAST_NAMED, Demands
from cefline_schemas.timeline import FIELDS
from tests import hostile
from tests.lines import of_lines, of_rows, written
from tests.test_verify import Site, differences, forged, text_edit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MARKED = re.compile(r"(.*)\.\.\.\[cut (\d+) bytes\]", re.DOTALL)
FREE = {f.name for f in FIELDS if f.free}
SLACK = 40
"""A mark, its digits, and what a character or an escape is long."""

ANY_LENGTH = 1 << 40
"""The rule for monstrous events has a test of its own; the longest texts here come near it."""

long_text = st.builds(
    lambda t, n: t * n, st.one_of(st.sampled_from(hostile.SIGNS), hostile.text), st.integers(1, 900)
)


@st.composite
def frames(draw: st.DrawFn) -> pl.DataFrame:
    """Draw hostile frames, with some long texts of any field."""
    frame = draw(hostile.frames())
    names = draw(st.sets(st.sampled_from([*FREE, "short", "extra", "filePath", "type"])))
    texts = st.lists(st.one_of(st.none(), long_text), min_size=frame.height, max_size=frame.height)
    frame = frame.with_columns(pl.Series(name, draw(texts), pl.String) for name in sorted(names))
    return frame.with_columns(macb=pl.lit("M..."))  # so that there is something in each row


demanded = st.builds(
    Demands,
    max_value=st.one_of(st.none(), st.integers(LEAST_LIMIT, 5000)),
    max_line=st.one_of(st.none(), st.integers(LEAST_LIMIT, 20_000)),
    escapes=st.sampled_from([cef.EXTENSION_ESCAPES, cef.EXTENDED_ESCAPES]),
)


def rendered(frame: pl.DataFrame, profile: Profile, *, encoded: bool = False) -> Rendered:
    """Render a frame, its texts as dictionaries or plain."""
    if encoded:
        texts = [name for name, dtype in frame.schema.items() if dtype == pl.String]
        frame = frame.with_columns(pl.col(texts).cast(pl.Categorical))
    data = frame.to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks()
    batch = data.to_batches()[0]
    ordinals = pl.int_range(frame.height, eager=True)
    return render_columns(conform(Batch(batch, ordinals), Rules()).columns, profile)


def texts(made: Rendered) -> dict[int, str]:
    """Return the lines without their LF, by their row."""
    lines = [line for _, part in made.slices() for line in part.to_pylist()]
    assert [len(line.encode()) for line in lines] == made.lengths.to_list()
    assert all(line.endswith("\n") for line in lines)
    return dict(zip(made.rows, (line[:-1] for line in lines), strict=True))


def values(line: str) -> dict[str, int]:
    """Return the keys of a line and the bytes of their values, as they are written."""
    extension = re.sub(r"^CEF:0\|(?:(?:[^\\|]|\\.)*\|){6}", "", line)
    pieces = re.split(r"(?:^| )([^ =\\]+)=", extension)
    assert pieces[0] == ""
    return {k: len(v.encode()) for k, v in zip(pieces[1::2], pieces[2::2], strict=True)}


def parsed(lines: Mapping[int, str], profile: Profile) -> dict[int, dict[str, Any]]:
    """Return the fields of lines."""
    rows = parse(lines.values(), profile.name).to_dicts() if lines else []
    there = ({name: value for name, value in row.items() if value is not None} for row in rows)
    return dict(zip(lines, there, strict=True))


def check(
    whole: str, cut: str, demands: Demands, fields: tuple[dict[str, Any], dict[str, Any]]
) -> dict[str, int]:
    """Check a line against what it is without limits, and return the bytes that were cut."""
    before, after = fields
    assert len(cut.encode()) + 1 <= (demands.max_line or 10**9)
    assert max(values(cut).values(), default=0) <= (demands.max_value or 10**9)
    assert list(values(cut)) == list(values(whole))
    gone = {}
    for name, value in after.items():
        if value != before[name]:
            assert name in FREE
            found = MARKED.fullmatch(value)
            assert found, value
            assert before[name].startswith(found[1])
            gone[name] = len(before[name].encode()) - len(found[1].encode())
            assert gone[name] == int(found[2]) > 0
    assert before.keys() == after.keys()
    return gone


@pytest.mark.parametrize("name", ["cado", "dictionary"])
@pytest.mark.parametrize("encoded", [False, True])
@given(frame=frames(), demands=demanded)
def test_lines_keep_to_their_limits(
    name: Any,  # noqa: ANN401 - a Literal
    encoded: bool,  # noqa: FBT001 - a parameter
    frame: pl.DataFrame,
    demands: Demands,
) -> None:
    """What is cut is marked, counted, kept, of free text and the longest; all else is as it was."""
    free = Profile(name=name, demands=Demands(escapes=demands.escapes), max_event=ANY_LENGTH)
    bound = Profile(name=name, demands=demands, max_event=ANY_LENGTH)
    wholes = texts(rendered(frame, free, encoded=encoded))
    made = rendered(frame, bound, encoded=encoded)
    cuts, counted = texts(made), dict[str, int]()
    before, after = parsed(wholes, bound), parsed(cuts, bound)
    records = made.rejects.filter(kind="cut").select("row", "field", "raw").rows()
    kept = {(row, field): raw.decode() for row, field, raw in records}
    for row, whole in wholes.items():
        sizes = values(whole)
        fits = len(whole.encode()) + 1 <= (demands.max_line or 10**9) and max(
            sizes.values(), default=0
        ) <= (demands.max_value or 10**9)
        if row not in cuts:
            assert not fits
            continue
        gone = check(whole, cuts[row], demands, (before[row], after[row]))
        assert fits == (not gone)
        assert (cuts[row] == whole) == fits
        for field, count in gone.items():
            counted[field] = counted.get(field, 0) + count
            assert kept.pop((row, field)) == frame[field].cast(pl.String)[row]
        _check_longest(whole, cuts[row], demands)
    assert not kept
    assert {f: n for (f, kind), n in made.counts.items() if kind == "cut_bytes"} == counted
    refused = set(made.rejects.filter(kind="row")["row"])
    assert refused == wholes.keys() - cuts.keys()


def _check_longest(whole: str, cut: str, demands: Demands) -> None:
    """Make sure that the longest were cut, and no more than had to be."""
    before, after = values(whole), values(cut)
    shortened = {key: size for key, size in after.items() if size != before[key]}
    over = len(whole.encode()) + 1 > (demands.max_line or 10**9)
    if not over or not shortened:
        return
    level = max(size for key, size in shortened.items())
    free = [key for key in after if key in {f.cado.name for f in FIELDS if f.free}]
    assert all(after[key] <= max(level, LEAST_NAMED) + SLACK for key in free)
    if demands.max_value is None:
        # Each cut may fall short by its slack: nothing beside that is given away.
        assert len(cut.encode()) + 1 > (demands.max_line or 0) - SLACK * len(shortened)


def line(demands: Demands, name: Any = "cado", **event: object) -> str | None:  # noqa: ANN401 - a Literal
    """Render one event."""
    found: str | None = cefline.render(pl.DataFrame([event]), Profile(name=name, demands=demands))[
        0
    ]
    return found


def test_a_cut_text_ends_in_its_mark() -> None:
    """The number is of the bytes that are not there: kept and cut are the whole."""
    made = line(Demands(max_value=2048), type="t", msg="a=" * 4000, extra="whole")
    assert made is not None
    found = re.search(r"\|msg=((?:a\\=)+a?)\.\.\.\[cut (\d+) bytes\] extra=whole$", made)
    assert found
    assert len(found[1].replace("\\", "")) + int(found[2]) == 8000


@pytest.mark.parametrize("sign", ["\\", "=", "\nx", "é", "\U0001f600", "\x07", "a\\"])
def test_no_character_and_no_escape_is_cut_within(sign: str) -> None:
    """Wherever the limit falls."""
    raw = sign * 3000
    shown = raw.replace("\x07", "\\u0007")
    for shift in range(9):
        made = line(Demands(max_value=2048 + shift), msg=raw)
        assert made is not None
        found = MARKED.fullmatch(parse([made])["msg"][0])
        assert found
        assert shown.startswith(found[1])
        assert sign != "\x07" or len(found[1]) % 6 == 0
        assert len(found[1].encode()) + int(found[2]) == len(shown.encode())


def test_the_longest_texts_come_to_one_length() -> None:
    """The short ones stay whole."""
    event = {"msg": "m" * 4000, "extra": "e" * 9000, "notes": "n" * 300, "filePath": "/a"}
    made = line(Demands(max_line=4096), type="t", **event)
    assert made is not None
    sizes = values(made)
    assert sizes["msg"] == sizes["extra"] > 1700
    assert sizes["notes"] == 300
    assert 4090 < len(made) + 1 <= 4096


@pytest.mark.parametrize("name", [f.name for f in FIELDS if f.type == "text" and not f.free])
def test_what_identifies_an_event_is_never_cut(name: str) -> None:
    """The event is a reject that says why."""
    made = rendered(
        pl.DataFrame({name: ["x" * 5000, "x"], "msg": ["m" * 5000] * 2}),
        Profile(demands=Demands(max_line=4096)),
    )
    assert list(texts(made)) == [1]
    (reject,) = made.rejects.filter(kind="row").to_dicts()
    assert reject["reason"] == "line_limit: more than 4096 bytes with all free text cut"
    assert not [kind for _, kind in made.counts if kind == "cut_bytes"][1:]
    value = rendered(pl.DataFrame({name: ["x" * 5000]}), Profile(demands=Demands(max_value=4096)))
    assert not texts(value)
    assert value.rejects["reason"].to_list() == [
        "line_limit: a value of more than 4096 bytes that is never cut"
    ]


def test_name_stays_what_it_is_when_its_text_is_cut() -> None:
    """An event without a type is named by `short`: parsing still finds no type."""
    event = {"short": "s|" * 3000, "msg": "m" * 3000, "extra": "e" * 3000}
    limit = Demands(max_line=2048)
    made, whole = line(limit, **event), line(Demands(), **event)
    assert made is not None
    assert whole is not None
    assert parse([made])["type"].to_list() == parse([whole])["type"].to_list() == [None]
    assert parse([made])["name"].to_list() == parse([whole])["name"].to_list()


def test_no_limit_is_looked_at_where_none_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """An option that is not used costs nothing."""
    monkeypatch.setattr(sys.modules["cefline.render"], "limited", None)
    assert line(Demands(), msg="m" * 100_000)


def test_lines_that_fit_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their lengths are known before they are made."""
    monkeypatch.setattr("cefline.limit._cut", None)
    assert line(Demands(max_line=4096, max_value=4096), msg="m" * 3000)


def test_much_text_of_few_values_is_cut_in_slices() -> None:
    """A megabyte in a dictionary, in a hundred rows: what is looked at at once is bounded."""
    frame = pl.DataFrame(
        {"extra": ["x" * (1 << 20)] * 100, "eventId": [str(n) for n in range(100)]}
    )
    made = rendered(frame, Profile(demands=Demands(max_line=4096)), encoded=True)
    assert made.lengths.max() <= 4096  # type: ignore[operator]  # of Int64
    assert len(texts(made)) == 100
    assert made.rejects.filter(kind="cut").height == 100


# Delivered and verified.

EVENT: Mapping[str, object] = {
    "evidence_id": 1,
    "eventId": "e1",
    "eventTime": 1595194940,
    "msg": "m" * 3000,
    "extra": "x=\n" * 1500,
}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Return an empty place of its own."""
    return Site(tmp_path)


@pytest.mark.parametrize("profile", ["cado", "dictionary"])
def test_a_cut_delivery_is_verified(site: Site, profile: str) -> None:
    """By the plan's limits, which the run that verifies does not have."""
    content = of_lines([dict(EVENT)] * 4)
    settings = {"profile": profile, "max_line": 4096, "part_size": 1 << 20}
    (report,) = site.deliver(site.write("a.jsonl", content), **settings)
    assert differences(site) == []
    manifest = site.manifest(report.delivery)
    assert manifest["settings"]["max_line"] == 4096
    assert manifest["counts"]["extra"]["cut_bytes"] > 0
    cuts = [row for row in manifest["rejects"] if row["kind"] == "cut"]
    assert {(row["field"], row["count"]) for row in cuts} == {("extra", 4), ("msg", 4)}


@pytest.mark.parametrize("profile", ["cado", "dictionary"])
@pytest.mark.parametrize("change", ["number", "text", "more"])
def test_another_change_of_a_cut_text_is_found(site: Site, profile: str, change: str) -> None:
    """Neither the mark nor what is before it may be another."""
    content = of_lines([dict(EVENT)] * 4)
    delivery = site.one("a.jsonl", content, profile=profile, max_line=4096, part_size=1 << 20)
    (mark,) = re.findall(rb"mm(\.\.\.\[cut \d+ bytes\])", _third(site, delivery))
    old = f"mm{mark.decode()}"
    new = {
        "number": old.replace("[cut 1", "[cut 2").replace("[cut 9", "[cut 8"),
        "text": old.replace("mm", "mn"),
        "more": old.replace("mm", "m"),
    }[change]
    assert new != old
    forged(site, delivery, text_edit(old, new))
    assert "event 3: msg is not what the source says" in differences(site)


def _third(site: Site, delivery: str) -> bytes:
    from cefline.pack import text_of

    key = site.manifest(delivery)["parts"][0]["key"]
    return text_of(site.read(key)).splitlines()[2]


def test_a_value_that_looks_cut_is_whole(site: Site) -> None:
    """A source may hold the mark; nothing is thought to be missing."""
    content = of_lines([{**EVENT, "msg": "m...[cut 5 bytes]"}] * 4)
    delivery = site.one("a.jsonl", content, max_line=4096, part_size=1 << 20)
    assert differences(site) == []
    forged(site, delivery, text_edit("m...[cut 5 bytes]", "m...[cut 6 bytes]"))
    assert "event 3: msg is not what the source says" in differences(site)


def test_cut_values_are_kept_up_to_a_bound(monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
    """All are counted."""
    monkeypatch.setattr("cefline.tally.MAX_REPLACED", 3)
    (report,) = site.deliver(
        site.write("a.jsonl", of_lines([dict(EVENT)] * 4)), max_line=4096, part_size=1 << 20
    )
    assert report.tally.rejects_of("cut") == 8
    kept = b"".join(site.read(key, "_cefline/out") for key in report.reject_objects)
    assert kept.count(b'"kind": "cut"') == 3


@pytest.mark.parametrize("form", [of_lines, of_rows])
def test_a_rejected_event_is_kept_as_it_was(form: Any) -> None:  # noqa: ANN401 - either
    """With its raw form, as any row."""
    made = written(form([{"filePath": "/" * 5000, "msg": "m"}, {"msg": "m"}]), max_line=4096)
    assert len(made.lines) == 1
    (reject,) = made.rejects.filter(kind="row").to_dicts()
    assert reject["reason"].startswith("line_limit: ")
    assert b"/////" in reject["raw"]


def test_the_standard_of_the_real_ones_is_kept(data: Path) -> None:
    """Real alarms, at the least limit that may be set: identity whole, and cuts that add up."""
    demands = Demands(max_line=LEAST_LIMIT)
    for frame in cefline.read(data / "real_alarms.parquet"):
        whole = cefline.render(frame)
        cut = cefline.render(frame, Profile(demands=demands))
        assert cut.str.len_bytes().max() < LEAST_LIMIT  # type: ignore[operator]  # of UInt32
        there = cut.is_not_null()
        assert there.sum() > 0.9 * len(there)
        before, after = (parse(text.filter(there)) for text in (whole, cut))
        for name in after.columns:
            if name not in FREE:
                assert before[name].equals(after[name], null_equal=True), name


@pytest.mark.parametrize("framing", ["none", "rfc5424"])
def test_limits_go_with_stamps_frames_and_selections(site: Site, framing: str) -> None:
    """What is before `CEF:` and the delivery count to the line, and are never cut."""
    events = [{**EVENT, "macb": "M..."}, {**EVENT, "host": "h"}] * 2
    settings = {"max_line": 2048, "stamp": True, "framing": framing, "drop": ("macb",)}
    delivery = site.one("a.jsonl", of_lines(events), part_size=1 << 20, **settings)
    assert differences(site) == []
    third = _third(site, delivery)
    assert 2000 < len(third) < 2048
    assert f"CadoResponseDelivery={delivery} ".encode() in third
    assert b"macb" not in third


def test_what_is_kept_is_the_sources_text() -> None:
    """Not what it became for its reader."""
    event = {"msg": "a\r\n" * 2000, "extra": "\r\n\x07"}
    made = rendered(pl.DataFrame([event]), Profile(demands=Demands(max_line=2048, crlf_as_lf=True)))
    raw = {row["kind"]: row["raw"].decode() for row in made.rejects.to_dicts()}
    assert raw == {"cut": event["msg"], "replaced": event["extra"]}


def test_a_header_that_is_too_long_by_itself_is_a_reject() -> None:
    """Nothing of it can be cut."""
    device = cef.Device(vendor="v" * 3000)
    frame = pl.DataFrame([{"type": "t"}])
    made = rendered(frame, Profile(device, demands=Demands(max_line=2048)))
    assert made.lengths.is_empty()
    assert made.rejects["reason"].str.starts_with("line_limit").all()
