"""Credentials that expire in the middle of a run: it goes on with new ones, or the next one does.

They come from a process that a profile names, as those of a login do. The proxy before the server
refuses the first key from some moment on.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests import faults, pollers
from tests.seaweed import RENEWED, WRITER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.commands import Result
    from tests.seaweed import S3, Identity

PARTS = 5
IDS = Counter(f"e{number}" for number in range(3 * PARTS))
MOMENTS = ["/state.json", "/plans/", "/progress/", "-000003.cef.gz", "/manifests/", ".closed"]
"""The first key expires as an object of such a name has been put."""


@dataclass
class Login:
    """What the profile's process hands out, and whose requests are taken."""

    file: Path
    moment: str
    renews: bool
    """Whether there are new credentials when the first ones expire."""
    expired: bool = False
    taken: list[tuple[str, str]] = field(default_factory=list)
    """Key pair and object of each request."""
    refused: int = 0

    def hand_out(self, who: Identity, minutes: float) -> None:
        """Let the process print credentials.

        Where they expire within 15 minutes it is asked again before each request.
        """
        expires = datetime.now(UTC) + timedelta(minutes=minutes)
        printed = {
            "Version": 1,
            "AccessKeyId": who.key,
            "SecretAccessKey": who.secret,
            "Expiration": f"{expires:%Y-%m-%dT%H:%M:%SZ}",
        }
        draft = self.file.with_suffix(".new")
        draft.write_text(json.dumps(printed), encoding="utf-8")
        draft.replace(self.file)

    def refuse(self, asked: faults.Request) -> str:
        """Refuse the first key after its time; its time is over when an object has been put."""
        (key,) = re.findall(r"Credential=(\w+)/", asked.headers["Authorization"])
        if not asked.status and key == WRITER.key and self.expired:
            self.refused += 1
            return "ExpiredToken"
        if not asked.status:
            self.taken.append((key, asked.key))
        elif asked.method == "PUT" and self.moment in asked.key and not self.expired:
            self.expired = True
            if self.renews:
                self.hand_out(RENEWED, 60)
        return ""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a timeline of several parts."""
    path = tmp_path / "a.jsonl"
    rows = ({"msg": "m", "evidence_id": n % PARTS, "eventId": f"e{n}"} for n in range(len(IDS)))
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def export(
    s3: S3,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Callable[..., Result],
    caplog: pytest.LogCaptureFixture,
) -> Callable[[Login], Result]:
    """Return what delivers the timeline with a login's credentials, and sees that none is shown."""
    for name, value in s3.env.items():
        if "KEY" not in name:
            monkeypatch.setenv(name, value)
    config = source.with_name("aws")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "siem")

    def exported(login: Login) -> Result:
        config.write_text(f"[profile siem]\ncredential_process = cat {login.file}\n")
        with faults.Proxy(s3.endpoint, refuse=login.refuse) as proxy:
            monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
            result = command("export", str(source), f"{s3.url}/out")
        shown = f"{result.out}{result.err}{caplog.text}"
        for who in (WRITER, RENEWED):
            assert who.key not in shown
            assert who.secret not in shown
        return result

    return exported


def delivered(s3: S3) -> Counter[str]:
    """Count the events that are out, by their ID."""
    shelf = pollers.S3Shelf(s3.endpoint, f"{s3.prefix}/out/")
    return Counter(one for at in shelf.listed() for one in pollers.text_ids(shelf.read(at.key)))


def signers(login: Login) -> list[str]:
    """Return the keys that signed, each one after the other."""
    return list(dict.fromkeys(key for key, _ in login.taken))


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_outlives_its_credentials(
    s3: S3, tmp_path: Path, export: Callable[[Login], Result], moment: str
) -> None:
    """It signs with new ones from then on, at whatever step it is; everything is out once."""
    login = Login(tmp_path / "login", moment, renews=True)
    login.hand_out(WRITER, 12)
    assert export(login).code == 0
    assert signers(login) == [WRITER.key, RENEWED.key]
    assert login.refused == 0
    assert delivered(s3) == IDS


@pytest.mark.parametrize("moment", MOMENTS[:-1])
@pytest.mark.parametrize("minutes", [12, 60], ids=["asked again", "thought to be good"])
def test_a_run_without_new_credentials_is_to_be_run_again(
    s3: S3,
    tmp_path: Path,
    export: Callable[[Login], Result],
    moment: str,
    minutes: float,
) -> None:
    """Exit code 75, and what to do; the next run delivers what is left, and each event is once."""
    login = Login(tmp_path / "login", moment, renews=False)
    login.hand_out(WRITER, minutes)
    failed = export(login)
    assert failed.code == 75
    assert "the session token has expired. Log in again" in failed.err
    # A plan is followed by the numbers of its report, without which a delivery goes on.
    assert login.refused == (2 if moment == "/plans/" else 1)
    assert signers(login) == [WRITER.key]
    parts_out = sum(delivered(s3).values()) // 3
    assert parts_out == {"-000003.cef.gz": 3, "/manifests/": PARTS}.get(moment, 0)
    login.hand_out(RENEWED, 60)
    assert export(login).code == 0
    assert delivered(s3) == IDS
    assert export(login).code == 0
    assert delivered(s3) == IDS


ENDS = ["expired ones", "none"]


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("minutes", [12, 5], ids=["advisory", "mandatory"])
def test_a_login_that_has_ended_is_to_be_renewed(
    s3: S3,
    tmp_path: Path,
    export: Callable[[Login], Result],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    *,
    ends: str,
    minutes: float,
) -> None:
    """The process hands out what has expired, or fails, as it does until someone logs in again."""
    login = Login(tmp_path / "login", "-000003.cef.gz", renews=False)
    login.hand_out(WRITER, minutes)
    refuse = login.refuse

    def ending(asked: faults.Request) -> str:
        before, code = login.expired, refuse(asked)
        if login.expired and not before:
            if ends == "none":
                login.file.unlink()
            else:
                login.hand_out(WRITER, -1)
        return code

    monkeypatch.setattr(login, "refuse", ending)
    failed = export(login)
    assert failed.code == 75
    assert "Log in again" in failed.err
    assert "Traceback" not in f"{failed.err}{caplog.text}"
    login.hand_out(RENEWED, 60)
    assert export(login).code == 0
    assert delivered(s3) == IDS


@pytest.mark.parametrize("ends", ENDS)
def test_a_login_that_ended_before_the_run_is_told(
    s3: S3, tmp_path: Path, export: Callable[[Login], Result], ends: str
) -> None:
    """At once, in a line that says what to do."""
    login = Login(tmp_path / "login", "nothing", renews=False)
    if ends == "expired ones":
        login.hand_out(WRITER, -1)
    failed = export(login)
    assert failed.code == 75
    assert "Log in again" in failed.err
    assert s3.sizes() == {}
