"""Stamped lines: each says its delivery, and is otherwise what it is without."""

from __future__ import annotations

import gzip
import json
import re
from typing import TYPE_CHECKING, Any

import polars as pl
import pycef
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cefline
from cefline.config import Config
from cefline.job import export
from cefline.render import Profile
from cefline_schemas.cef import STAMP
from cefline_schemas.timeline import FIELDS
from tests import sample
from tests.events import SIGNS
from tests.oracle import VISIBLE
from tests.parts import KilledError, kill_at

if TYPE_CHECKING:
    from pathlib import Path

PARQUET = sample.DATA / "sample.parquet"
ID = "4d786e85115120ad6bd788e340f0c18e"

TEXT = st.lists(st.sampled_from([s for s in SIGNS if not "\ud800" <= s <= "\udfff"])).map("".join)
EVENT = st.dictionaries(st.sampled_from([f.name for f in FIELDS if f.type == "text"]), TEXT)


def delivered(out: Path) -> list[str]:
    """Return the lines of all parts."""
    texts = (gzip.decompress(part.read_bytes()) for part in sorted(out.rglob("*.cef.gz")))
    return [line for text in texts for line in text.decode().splitlines()]


def run(folder: Path, source: Path = PARQUET, **settings: Any) -> cefline.Report:  # noqa: ANN401 - a config's own
    given = {"threads": 1, "partition_by": (), "turn_timeout": 0.0, **settings}
    report = export(Config(sources=(str(source),), dest=str(folder / "out"), **given))
    assert report.exit_code == 0
    return report


def with_first(pair: str, line: str) -> str:
    """Return a line with a pair before all others."""
    found = re.match(r"(?:(?:[^|\\]|\\.)*\|){7}", line)
    assert found is not None
    header, rest = line[: found.end()], line[found.end() :]
    return f"{header}{pair} {rest}" if rest else f"{header}{pair}"


def escaped(text: str) -> str:
    """Return text as a value is escaped."""
    signs = {"\\": "\\\\", "=": "\\=", "\n": "\\n", "\r": "\\r", **dict(VISIBLE)}
    return "".join(signs.get(sign, sign) for sign in text)


@given(st.lists(EVENT, min_size=1, max_size=5), st.text(st.characters(codec="utf-8"), min_size=1))
def test_a_stamped_line_is_the_line_and_its_stamp(events: list[dict[str, str]], stamp: str) -> None:
    """Whatever both hold: the stamp comes first, once, and parsing gives it back."""
    frame = pl.DataFrame([{**dict.fromkeys(("msg", "host")), **one} for one in events])
    plain = cefline.render(frame, Profile()).to_list()
    stamped = cefline.render(frame, Profile(stamp=stamp)).to_list()
    pair = f"{STAMP}={escaped(stamp)}"
    assert stamped == [None if line is None else with_first(pair, line) for line in plain]


def test_every_line_says_its_delivery(tmp_path: Path) -> None:
    """Other readers find it, too; without the option nothing does."""
    run(tmp_path / "plain")
    run(tmp_path / "stamped", stamp=True)
    plain, stamped = (delivered(tmp_path / n / "out") for n in ("plain", "stamped"))
    assert len(stamped) == 300
    assert [line.replace(f"{STAMP}={ID} ", "") for line in stamped] == plain
    assert not any(STAMP in line for line in plain)
    parsed = cefline.parse(stamped)
    assert parsed[STAMP].to_list() == [ID] * 300
    assert parsed.drop(STAMP).equals(cefline.parse(plain))
    for line in stamped:
        if "\\" not in line.split("|", 6)[5]:  # pycef cuts such a header wrongly
            assert pycef.parse(line)[STAMP] == ID


def test_no_value_is_taken_for_a_stamp(tmp_path: Path) -> None:
    """A carried column of that name gets another key; in text the sign is escaped."""
    event = {STAMP: "x", STAMP.lower(): "y", "msg": f"a {STAMP}=forged b", "eventId": "e"}
    source = tmp_path / "a.jsonl"
    source.write_text(json.dumps(event), encoding="utf-8")
    for stamp in (False, True):
        run(tmp_path / str(stamp), source, stamp=stamp, unknown="carry")
        (row,) = cefline.parse(delivered(tmp_path / str(stamp) / "out")).to_dicts()
        assert (row[f"{STAMP}_2"], row[f"{STAMP.lower()}_3"]) == ("x", "y")
        assert row["msg"] == event["msg"]
        assert (STAMP in row) == stamp
        assert row.get(STAMP) != "forged"


def test_a_second_delivery_has_another_stamp(tmp_path: Path) -> None:
    """So each can be purged by itself."""
    first = run(tmp_path, stamp=True).sources[0].delivery
    second = run(tmp_path, stamp=True, redeliver="again").sources[0].delivery
    parsed = cefline.parse(delivered(tmp_path / "out"))
    assert parsed[STAMP].value_counts().sort("count", STAMP).rows() == sorted(
        [(first, 300), (second, 300)]
    )


@pytest.mark.parametrize("stamp", [False, True])
def test_a_killed_delivery_is_ended_with_the_stamps_it_was_begun_with(
    tmp_path: Path, *, stamp: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, "-000002.cef", done=True)
        with pytest.raises(KilledError):
            run(tmp_path, stamp=stamp, part_size=1 << 15)
    run(tmp_path, stamp=not stamp)
    assert [STAMP in line for line in delivered(tmp_path / "out")] == [stamp] * 300


def test_preview_shows_the_stamp_of_the_delivery_to_come(
    tmp_path: Path,
    command: Any,  # noqa: ANN401 - a fixture
) -> None:
    run(tmp_path, stamp=True)
    shown = command("preview", str(PARQUET), "-n", "300", "--stamp").out.splitlines()
    assert shown == delivered(tmp_path / "out")
