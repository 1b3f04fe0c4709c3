"""Real plaso, in an environment of its own, and evidence for it to read."""

import csv
import fcntl
import json
import os
import shutil
import sqlite3
import struct
import subprocess
import venv
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
VERSION = "20260720"
PARSERS = "utmp,text/bash_history,text/syslog_traditional,sqlite/chrome_8_history,filestat"

_HOME = ROOT / ".venv" / "plaso"
"""Beside the environment of the tests: `make clean` removes both."""

_HOSTILE = "a=b|c\\d \"q\" 'x' [{}] é\U0001f600"


def installed() -> Path:
    """Return the folder of plaso's commands; they are installed by the first test that asks."""
    _HOME.parent.mkdir(exist_ok=True)
    with (_HOME.parent / "plaso.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run side by side
        if not (_HOME / VERSION).exists():
            shutil.rmtree(_HOME, ignore_errors=True)
            venv.create(_HOME, with_pip=True)
            pip = [str(_HOME / "bin" / "python"), "-m", "pip", "install", "--quiet"]
            done = subprocess.run(
                [*pip, f"plaso=={VERSION}"], check=False, capture_output=True, text=True
            )
            if done.returncode:
                pytest.fail(f"plaso can't be installed here: {done.stderr[-500:]}")
            (_HOME / VERSION).touch()
    return _HOME / "bin"


def evidence(folder: Path) -> Path:
    """Make files of several kinds, with hostile texts and times, and return their folder."""
    log, home = folder / "var" / "log", folder / "home" / "a"
    log.mkdir(parents=True)
    home.mkdir(parents=True)
    (log / "wtmp").write_bytes(
        _utmp(2, b"reboot", b"5.10", 1_600_000_000, 123_456)
        + _utmp(7, b"alice", b"10.0.0.7", 1_600_000_100, 999_999)
        + _utmp(8, b"", b"", 1_600_000_200, 0)
    )
    lines = (f"Jan  {n} 10:00:0{n} host1 sshd[{n}]: {_HOSTILE} no {n}\n" for n in range(1, 9))
    (log / "syslog").write_text("".join(lines), encoding="utf-8")
    (home / ".bash_history").write_text(f"#1600000200\nls -la\n#1600000300\necho {_HOSTILE}\n")
    _history(home / "History")
    for number, (name, seconds) in enumerate(
        (("old", -86_400), ("zero", 0), ("far", 4_000_000_000), (f"x {_HOSTILE}", 1_000_000_000))
    ):
        path = folder / name
        path.write_text(name, encoding="utf-8")
        os.utime(path, ns=(seconds * 10**9 + 123_456_789 + number, seconds * 10**9))
    return folder


def timeline(bin_: Path, source: Path, into: Path, *formats: tuple[str, ...]) -> list[Path]:
    """Run log2timeline on a folder, and psort once for each format and its options."""
    into.mkdir()
    common = ["--unattended", "--quiet", "--logfile", str(into / "log.gz")]
    storage = into / "timeline.plaso"
    log2timeline = ["--single_process", "--parsers", PARSERS, "--storage_file", str(storage)]
    _run([bin_ / "log2timeline", *common, *log2timeline, "--timezone", "UTC", str(source)], into)
    made = [into / f"{number}.export" for number in range(len(formats))]
    for path, options in zip(made, formats, strict=True):
        _run([bin_ / "psort", *common, *options, "--write", str(path), str(storage)], into)
    return made


_DOCUMENTS = """
import json, sys
from plaso.output.opensearch_ts import OpenSearchTimesketchOutputModule as Module
from plaso.scripts import psort

def flush(self):
    for document in self._event_documents[1::2]:
        out.write(json.dumps(document) + "\\n")
    self._event_documents, self._number_of_buffered_events = [], 0

Module._Connect = Module._CreateIndexIfNotExists = lambda *_: None
Module._FlushEvents = flush
with open(sys.argv.pop(1), "w", encoding="utf-8") as out:
    psort.Main()
"""


def documents(bin_: Path, into: Path) -> list[dict[str, Any]]:
    """Return the documents that psort stores for Timesketch, without a server to store them."""
    made, mappings = into / "documents", into / "mappings"
    mappings.write_text("{}")
    common = ["--unattended", "--quiet", "--logfile", str(into / "log.gz")]
    index = ["--index_name", "x", "--timeline_identifier", "1"]
    options = ["-o", "opensearch_ts", *index, "--opensearch_mappings", str(mappings)]
    script = [str(bin_ / "python"), "-c", _DOCUMENTS, str(made)]
    _run([*script, *common, *options, str(into / "timeline.plaso")], into)
    stored = [json.loads(line) for line in made.read_text(encoding="utf-8").splitlines()]
    own = ({"_id": f"id{n}", "_index": "x", "label": []} for n in range(len(stored)))
    return [{**document, **more} for document, more in zip(stored, own, strict=True)]


def by_timesketch(documents: list[dict[str, Any]], path: Path) -> Path:
    """Write documents as Timesketch exports CSV: with pandas, a column for each name there is.

    pandas has floats where an integer is missing in some row, and Python's text of lists.
    """
    names = list(dict.fromkeys(name for document in documents for name in document))
    floats = {
        name
        for name in names
        if any(name not in d for d in documents)
        and all(type(d[name]) is int for d in documents if name in d)
    }
    rows = (
        {n: float(v) if n in floats else ",".join(v) if n == "tag" else v for n, v in d.items()}
        for d in documents
    )
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def _run(arguments: list[str | Path], folder: Path) -> None:
    done = subprocess.run(
        arguments, check=False, capture_output=True, text=True, cwd=folder, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _utmp(kind: int, user: bytes, host: bytes, seconds: int, micros: int) -> bytes:
    """Return a record of Linux's wtmp."""
    layout = "<hxxi32s4s32s256shhiii4i20x"
    terminal = (kind, 900, b"pts/0", b"ts/0", user, host)
    return struct.pack(layout, *terminal, 0, 0, 0, seconds, micros, 0, 0, 0, 0)


def _history(path: Path) -> None:
    """Make the database of a Chrome of version 8, with a title of several lines."""
    visited = (1_600_000_400 + 11_644_473_600) * 10**6 + 654_321
    with sqlite3.connect(path) as history:
        history.executescript(
            "CREATE TABLE downloads (id INTEGER PRIMARY KEY, full_path LONGVARCHAR NOT NULL,"
            " url LONGVARCHAR NOT NULL, start_time INTEGER NOT NULL,"
            " received_bytes INTEGER NOT NULL, total_bytes INTEGER NOT NULL,"
            " state INTEGER NOT NULL);"
            "CREATE TABLE keyword_search_terms (keyword_id INTEGER NOT NULL,"
            " url_id INTEGER NOT NULL, lower_term LONGVARCHAR NOT NULL, term LONGVARCHAR NOT NULL);"
            "CREATE TABLE meta (key LONGVARCHAR NOT NULL UNIQUE PRIMARY KEY, value LONGVARCHAR);"
            "CREATE TABLE presentation (url_id INTEGER PRIMARY KEY, pres_index INTEGER NOT NULL);"
            "CREATE TABLE segment_usage (id INTEGER PRIMARY KEY, segment_id INTEGER NOT NULL,"
            " time_slot INTEGER NOT NULL, visit_count INTEGER DEFAULT 0 NOT NULL);"
            "CREATE TABLE segments (id INTEGER PRIMARY KEY, name VARCHAR, url_id INTEGER NON NULL,"
            " pres_index INTEGER DEFAULT -1 NOT NULL);"
            "CREATE TABLE urls (id INTEGER PRIMARY KEY, url LONGVARCHAR, title LONGVARCHAR,"
            " visit_count INTEGER DEFAULT 0 NOT NULL, typed_count INTEGER DEFAULT 0 NOT NULL,"
            " last_visit_time INTEGER NOT NULL, hidden INTEGER DEFAULT 0 NOT NULL,"
            " favicon_id INTEGER DEFAULT 0 NOT NULL);"
            "CREATE TABLE visits (id INTEGER PRIMARY KEY, url INTEGER NOT NULL,"
            " visit_time INTEGER NOT NULL, from_visit INTEGER,"
            " transition INTEGER DEFAULT 0 NOT NULL, segment_id INTEGER, is_indexed BOOLEAN);"
        )
        page = ("https://example.com/?q=a=b|c", f"Ti\ttle\r\nof {_HOSTILE}\nlines", visited)
        history.execute("INSERT INTO urls VALUES (1, ?, ?, 1, 1, ?, 0, 0)", page)
        history.execute("INSERT INTO visits VALUES (1, 1, ?, 0, 0, 0, 0)", (visited,))
        got = ("/home/a/x.exe", "https://example.com/x.exe", 1_600_000_401)
        history.execute("INSERT INTO downloads VALUES (1, ?, ?, ?, 10, 10, 1)", got)
    history.close()
