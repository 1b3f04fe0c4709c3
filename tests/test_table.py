"""CSV: records, quotes and line breaks, damaged rows, and what is no timeline."""

import csv
import gzip
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cefline
from cefline.errors import SourceError
from cefline.read import Limits, open_source
from cefline.read.table import header
from tests.commands import Result

HEADER = "message,datetime,timestamp,timestamp_desc,tag"
NAMES = HEADER.split(",")
TIME = "2020-09-13T12:28:20+00:00"


def row(message: str) -> str:
    return f"{message},{TIME},1600000100999999,Write time,\n"


def written(path: Path, *rows: str, head: str = HEADER) -> Path:
    path.write_text(head + "\n" + "".join(rows), encoding="utf-8", newline="")
    return path


def read(path: Path, **limits: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - what Limits takes
    """Return ordinals and messages of what is read, however it is cut."""
    found: list[dict[str, Any]] = []
    for chunk in open_source(path, "the source", Limits(**limits)).chunks:
        batch = chunk.load()
        values = batch.data.column("message").to_pylist() if batch.data.num_rows else []
        found += [{"ordinal": n, "message": m} for n, m in zip(batch.ordinals, values, strict=True)]
        found += batch.rejects.select("ordinal", "line", "offset", "reason", "raw").to_dicts()
    return sorted(found, key=lambda one: one["ordinal"])


def messages(path: Path, **limits: Any) -> list[object]:  # noqa: ANN401 - as above
    return [one.get("message") for one in read(path, **limits)]


TEXT = st.text(st.sampled_from(list('a,"\r\n\t= |\\é中\u2028\x85\x0b')), max_size=12)


def by_pandas(rows: Iterable[list[str]]) -> str:
    """Write rows as pandas does, and so Timesketch: quotes only where the csv module has to."""
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows([NAMES, *rows])
    return out.getvalue()


@given(st.lists(st.tuples(TEXT, TEXT), max_size=30), st.integers(1, 64), st.integers(1, 5))
def test_values_are_what_the_csv_module_wrote(
    tmp_path_factory: pytest.TempPathFactory,
    values: list[tuple[str, str]],
    size: int,
    rows: int,
) -> None:
    """Breaks, quotes and commas in values, in pieces and batches of any size."""
    path = tmp_path_factory.mktemp("csv") / "x"
    text = by_pandas([m, TIME, "1600000100999999", d, "t"] for m, d in values)
    path.write_text(text, encoding="utf-8", newline="")
    assert messages(path, json_bytes=size, rows=rows) == [m for m, _ in values]
    frames = list(cefline.read(path, limits=Limits(json_bytes=size, rows=rows)))
    types = [v for f in frames if "type" in f.columns for v in f["type"]]
    assert [t or "" for t in types if (t or "").strip()] == [d for _, d in values if d.strip()]


@given(st.text(st.sampled_from(list('a,"\r\n')), max_size=60), st.integers(1, 70))
def test_any_text_is_records_or_rejects(
    tmp_path_factory: pytest.TempPathFactory, text: str, size: int
) -> None:
    """Whatever stands below the header, in pieces of any size; rejects are where they say."""
    path = written(tmp_path_factory.mktemp("csv") / "x", text, "\n", head="message,timestamp")
    try:
        found = read(path, json_bytes=size)
    except SourceError as err:
        assert "ends in the middle" in err.message  # noqa: PT017 - most texts are read
        return
    assert found == read(path)
    stored = path.read_bytes()
    for one in found:
        if "raw" in one:
            before = stored[: one["offset"]]
            assert stored.startswith(before + one["raw"])
            assert before.count(b"\n") + 1 == one["line"]


def test_a_value_has_line_breaks_quotes_and_commas(tmp_path: Path) -> None:
    path = written(tmp_path / "x", row('"two\nlines, ""quoted""\r\n,"'), row("next"))
    assert messages(path) == ['two\nlines, "quoted"\r\n,', "next"]


def test_a_quote_within_a_field_is_part_of_it(tmp_path: Path) -> None:
    """Only where a field begins a quote opens."""
    path = written(tmp_path / "x", row('5" disk'), row('a"b"c'), row('"x"y'), row("last"))
    assert messages(path) == ['5" disk', 'a"b"c', "xy", "last"]


def test_a_carriage_return_in_a_field_ends_no_record(tmp_path: Path) -> None:
    path = written(tmp_path / "x", row('a\rb "q" c'), row('"a\r"'), row("last"))
    assert messages(path) == ['a\rb "q" c', "a\r", "last"]


def test_lines_may_end_with_a_carriage_return(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes((HEADER + "\n" + row("a") + "\n" + row("b")).replace("\n", "\r\n").encode())
    assert messages(path) == ["a", "b"]


def test_damaged_rows_are_rejects_with_their_lines(tmp_path: Path) -> None:
    """Too few columns, too many, no UTF-8: each with its line, its place and its bytes."""
    path = written(tmp_path / "x", row('"a\nb"'), "short,row\n", "\n", row("fine"), "1,2,3,4,5,6\n")
    with path.open("ab") as file:
        file.write(row("caf\xe9").encode("latin-1") + row("last").encode())
    short = path.read_bytes().index(b"short")
    found = read(path)
    assert [one.get("message") for one in found] == ["a\nb", None, "fine", None, None, "last"]
    assert [one["ordinal"] for one in found] == [0, 1, 3, 4, 5, 6]  # a blank line is no event
    told = [(one["line"], one["reason"]) for one in found if "reason" in one]
    assert told == [
        (4, "2 columns, the header has 5"),
        (7, "6 columns, the header has 5"),
        (8, "no UTF-8"),
    ]
    assert (found[1]["offset"], found[1]["raw"]) == (short, b"short,row")
    assert found == read(path, json_bytes=1, rows=1)


def test_a_quote_that_is_not_closed_damages_its_neighbour_alone(tmp_path: Path) -> None:
    """Up to the next quote all is one record, which is a reject; then reading goes on."""
    path = written(tmp_path / "x", row("a"), 'b,"open\n', row('"c"'), row('"d"'), row("e"))
    found = read(path)
    assert [one.get("message") for one in found] == ["a", None, "d", "e"]
    assert found[1]["line"] == 3


def test_a_quote_that_is_never_closed_fails_the_source(tmp_path: Path) -> None:
    path = written(tmp_path / "x", row("a"), 'b,"open\n', row("c"))
    with pytest.raises(SourceError, match="ends in the middle of the record at line 3"):
        read(path)
    found = read(path, accept_truncated=True)
    assert [one.get("message") for one in found] == ["a", None]
    assert found[1]["reason"] == "cut off"


def test_a_last_record_that_breaks_off_fails_the_source(tmp_path: Path) -> None:
    path = written(tmp_path / "x", row("a"), "b,2020")
    with pytest.raises(SourceError, match="ends in the middle of line 3: 2 columns"):
        read(path)
    assert len(read(path, accept_truncated=True)) == 2


def test_a_last_record_needs_no_line_break(tmp_path: Path) -> None:
    assert messages(written(tmp_path / "x", row("a"), row("b").rstrip("\n"))) == ["a", "b"]


def test_cut_off_gzip_fails_the_source(tmp_path: Path) -> None:
    path = written(tmp_path / "x", *(row(f"m{n * 7919 % 1000}") for n in range(5000)))
    packed = gzip.compress(path.read_bytes())
    path.write_bytes(packed)
    assert len(messages(path)) == 5000
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(SourceError, match="damaged or cut off"):
        read(path)
    whole = [m for m in messages(path, accept_truncated=True) if m is not None]
    assert 100 < len(whole) < 5000
    assert whole == [f"m{n * 7919 % 1000}" for n in range(len(whole))]


@pytest.mark.parametrize("head", [HEADER, '"message",datetime,timestamp,timestamp_desc,"t\nag"'])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_csv_is_known_by_its_header(head: str, bom: str, tmp_path: Path) -> None:
    """Whatever its name; zero events where there is only a header."""
    path = written(tmp_path / "x.parquet", row("a"), head=bom + head)
    opened = open_source(path, "the source", Limits())
    assert (opened.format, opened.dialect.name) == ("csv", "timesketch")
    assert messages(path) == ["a"]
    assert read(written(path, head=bom + head)) == []


@pytest.mark.parametrize(
    "text",
    [
        "date,time,timezone,MACB\n1,2,3,4\n",  # l2tcsv: its times are in two columns
        "timestamp\n1\n",
        "message,tag\na,b\n",
        "Dear all, timestamp and message\n",
        '"message,timestamp\n',
        "message;timestamp\n",
    ],
)
def test_other_text_is_no_timeline(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(SourceError, match="is no timeline: it begins with"):
        open_source(tmp_path / "x.csv", "the source", Limits())


def test_cados_own_names_may_stand_in_csv(tmp_path: Path) -> None:
    path = written(
        tmp_path / "x", "1600000100.5,3,/x,a\n", head="timestamp,evidence_id,filename,id"
    )
    (frame,) = cefline.read(path)
    assert cefline.render(frame)[0].endswith(
        "evidence_id=3 eventTime=1600000100 filePath=/x eventId=a"
    )


def test_a_column_twice_fails_the_source(tmp_path: Path) -> None:
    path = written(tmp_path / "x", "a,b,1\n", head="message,message,timestamp")
    with pytest.raises(SourceError, match="has columns twice: message"):
        open_source(path, "the source", Limits())


def test_columns_of_no_field_are_named_and_carried(
    command: Callable[..., Result], tmp_path: Path
) -> None:
    path, out = tmp_path / "x", tmp_path / "out"
    written(path, f"m,{TIME},w,1=2\n", head="message,datetime,timestamp_desc,a b")
    run = "export", str(path), str(out), "--json", "--evidence-id", "1"
    result = command(*run, "--unknown", "carry")
    assert result.lines[0]["sources"][0]["unknown_columns"] == ["a b"]
    (part,) = out.rglob("*.cef.gz")
    assert cefline.parse(part)["a_b"].to_list() == ["1=2"]
    assert command("verify", str(out)).code == 0


def test_rejected_rows_are_kept_and_balanced(
    command: Callable[..., Result], tmp_path: Path
) -> None:
    path, out = tmp_path / "x", tmp_path / "out"
    written(path, row("a"), "bad,\x1brow\n", row('"b\nc"'))
    result = command("export", str(path), str(out), "--json", "--evidence-id", "1")
    report = result.lines[0]
    assert (report["events_read"], report["events_delivered"], report["events_rejected"]) == (
        3,
        2,
        1,
    )
    kept = json.loads(command("rejects", str(out), "--json").out)
    assert (kept["kind"], kept["line"], kept["raw"]) == ("row", 3, "bad,\x1brow")
    assert command("verify", str(out)).code == 0


def test_the_header_of_an_export_of_timesketch_is_known() -> None:
    """As its `api/v1/export.py` has it: the fields of the documents, then its own."""
    found = header(b"datetime,message,timestamp,timestamp_desc,label,_id,_type,_index\n1,2\n")
    assert found is not None
    assert found.names[-3:] == ("_id", "_type", "_index")


def test_memory_does_not_grow_with_the_source(tmp_path: Path) -> None:
    """Eight times the text, hardly more memory: records are read in pieces."""
    peaks = []
    for rows in (50_000, 400_000):
        path = written(tmp_path / str(rows), *(row(f'"{n}\n{"x" * 300}"') for n in range(rows)))
        code = (
            "import re, sys, pathlib;"
            "from cefline.read import open_source, Limits;"
            "n = sum(c.load().data.num_rows for c in"
            " open_source(pathlib.Path(sys.argv[1]), '', Limits()).chunks);"
            # Not ru_maxrss, which a process has from the one that started it.
            "status = pathlib.Path('/proc/self/status').read_text();"
            r"print(n, re.search(r'VmHWM:\s+(\d+)', status)[1])"
        )
        out = subprocess.run(
            [sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True
        )
        count, peak = map(int, out.stdout.split())
        assert count == rows
        peaks.append(peak)
    assert peaks[1] < peaks[0] * 1.3 + 20_000


def test_batches_are_text(tmp_path: Path) -> None:
    """Nothing is typed while it is read: `007` stays what it is."""
    path = written(tmp_path / "x", row("007"), row("NaN"), row("null"), row("1e5"))
    (chunk,) = open_source(path, "the source", Limits()).chunks
    data = chunk.load().data
    assert {field.type for field in data.schema} == {pa.large_string()}
    assert pl.Series(data.column("message")).to_list() == ["007", "NaN", "null", "1e5"]
