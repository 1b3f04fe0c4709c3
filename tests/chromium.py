"""Real headless Chromium, and a server that serves one page and sees whatever else is asked for.

As a program it makes the picture of the README: python -m tests.chromium docs/report.png
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
import threading
import zlib
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cefline.config import Config
from cefline.job import export
from tests import sample

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "chromium-headless-shell"
NAMES = (PACKAGE, "chromium", "chromium-browser", "google-chrome")
_FONT = "fonts-dejavu-core"
PATH = "/report.html"


def installed() -> str:
    """Return the command; the first test that asks installs it, from Debian's packages."""
    (ROOT / ".venv").mkdir(exist_ok=True)
    with (ROOT / ".venv" / "chromium.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run side by side
        if (found := _found()) is None:
            get = ["install", "--yes", "--quiet", "--no-install-recommends", PACKAGE, _FONT]
            for arguments in (["update", "--quiet"], get):
                done = subprocess.run(
                    ["apt-get", *arguments], check=False, capture_output=True, text=True
                )
            found = _found()
            if found is None:
                pytest.fail(f"{PACKAGE} can't be installed here: {done.stderr[-500:]}")
    return found


def _found() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def serving(html: str) -> Iterator[tuple[str, list[str]]]:
    """Serve a page on 127.0.0.1; yield the server's address, and what it was asked for.

    As a proxy it is asked for everything else, wherever that is.
    """
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            known = self.path.endswith(PATH)
            self.send_response(200 if known else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(html.encode() if known else b"")

        do_POST = do_CONNECT = do_GET  # noqa: N815 - names of the library's

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def opened(html: str, *options: str) -> tuple[str, list[str]]:
    """Open a page; return its document as it is in the end, and the paths that were asked for."""
    with serving(html) as (address, asked), tempfile.TemporaryDirectory() as home:
        arguments = [
            installed(),
            *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
            f"--user-data-dir={home}",
            f"--proxy-server={address}",
            "--proxy-bypass-list=<-loopback>",
            "--virtual-time-budget=2000",
            *options,
            f"{address}{PATH}",
        ]
        done = subprocess.run(
            arguments, check=False, capture_output=True, text=True, timeout=120, env=_env(home)
        )
        if done.returncode:
            pytest.fail(f"Chromium ended with {done.returncode}: {done.stderr[-500:]}")
        return done.stdout, [path.removeprefix(address) for path in asked]


def _env(home: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": home, "TMPDIR": tempfile.gettempdir()}


def screenshot(html: str, path: Path, width: int = 1100, height: int = 960) -> None:
    """Write a picture of a page, as PNG."""
    opened(html, f"--window-size={width},{height}", f"--screenshot={path}")


def colours(png: bytes) -> set[tuple[int, ...]]:
    """Return the colours of a picture as Chromium writes them: 8 bits, not interlaced."""
    width, height, depth, kind = struct.unpack(">IIBB", png[16:26])
    assert (depth, kind in {2, 6}) == (8, True)
    size, place, packed = {2: 3, 6: 4}[kind], 8, b""
    while place < len(png):
        (length,) = struct.unpack(">I", png[place : place + 4])
        if png[place + 4 : place + 8] == b"IDAT":
            packed += png[place + 8 : place + 8 + length]
        place += length + 12
    raw, found = zlib.decompress(packed), set()
    above = bytearray(width * size)
    for row in range(height):
        start = row * (width * size + 1)
        line = bytearray(raw[start + 1 : start + 1 + width * size])
        _unfilter(raw[start], line, above, size)
        found |= {tuple(line[x : x + 3]) for x in range(0, len(line), size)}
        above = line
    return found


def _unfilter(kind: int, line: bytearray, above: bytearray, size: int) -> None:
    for x in range(len(line) if kind else 0):
        left = line[x - size] if x >= size else 0
        corner = above[x - size] if x >= size else 0
        up = above[x]
        nearest = min((left, up, corner), key=lambda c: abs(left + up - corner - c))
        line[x] = (line[x] + (0, left, up, (left + up) // 2, nearest)[kind]) & 255


def sample_page() -> str:
    """Return the report of the sample timeline."""
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        dest, source = str(top / "out"), str(sample.DATA / "sample.parquet")
        report = export(Config(sources=(source,), dest=dest, staging=str(top / "staging")))
        delivery = report.sources[0].delivery
        page = top / "_cefline" / "out" / "reports" / f"{delivery}.html"
        return page.read_text(encoding="utf-8")


def main() -> None:
    """Write the picture of the README."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("path", type=Path)
    screenshot(sample_page(), parser.parse_args().path.absolute())


if __name__ == "__main__":
    main()
