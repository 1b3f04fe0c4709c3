"""Hostile NDJSON by the hundred thousand: any value in any field, in any spelling of JSON.

What property tests draw is a few events; this makes as many as wanted, fast, the same ones for the
same seed.
"""

import json
import random
import re
from collections.abc import Callable, Iterator

from tests.reference import ALIASES, TYPES

BREAKS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
SIGNS = [
    *"\\=|\"' \t[]{},:;#%/",
    *BREAKS,
    *"\x00\x07\x08\x1b\x1f\x7f\x80\x9f\xa0",
    *"\u200b\u202e\u2066\u3000\ufeff\ufffd\ufffe\ue000",
    *"é中\u0301\U0001f600\U0010ffff",
    *"\ud800\udfff",
    *"a1Z",
    "\r\n",
    "\\n",
    "\\\\",
    "\\=",
    "\\|",
    "\\u0007",
    " key=value",
    " suser=root",
    "eventTime=0 ",
    "|10|alarm=True",
    "CEF:0|a|b|c|0|d|10|alarm=True",
    "\nCEF:0|a|b|c|0|d|10|msg=x\n",
]
LOOKALIKES = [
    "None",
    "null",
    "True",
    "true",
    "False",
    "false",
    "TRUE ",
    "0",
    "1",
    "-0",
    "007",
    "-",
    "+",
    "[]",
    "{}",
    "['a']",
    "[1",
    "nan",
    "inf",
    "-Infinity",
    "0x10",
    "1_000",
    "Timeline Event",
    "%Y",
    "$1",
    "${1}",
    "^.*$",
    "\\u0000",
    "-1e-5",
    "٣",
    "１",
    " ",
    "\u2003\u3000",
    "\x1c",
    " \\",
    "\\\\",
]
INTEGERS = [0, 1, 2, 3, 4, 9, 10, 11, -1, 2**31, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 10**30]
NUMBERS = [
    "-0",
    "-0.0",
    "0.0",
    "1.0",
    "2.50",
    "1e3",
    "1E+2",
    "10e-1",
    "0.1e1",
    "1e-4",
    "1e-5",
    "-1.5e-5",
    "1e-6",
    "1e-7",
    "9.9e-6",
    "5e-324",
    "1e15",
    "1e16",
    "1e18",
    "1e22",
    "1.7976931348623157e308",
    "1e309",
    "-1E400",
    "123456789012345678.5",
    "0.30000000000000004",
    "4.0e0",
    "9007199254740993.0",
    "1595194940.9999999",
]
NUMERIC_TEXTS = [
    " 7 ",
    "+3",
    "3.0",
    "3.",
    "1.50",
    "1e2",
    "25e-1",
    "-0.0",
    "1e400",
    "9223372036854775807",
    "5.5e0",
    "\t1\n",
]
ZONES = ["Z", "z", "+00:00", "-00:00", "+02:00", "-0930", "+14:00", "-23:59", "+24:00", "+01:60"]
MOMENT = 1595194940  # the standard's sample event
FIELD_OF = {**{name: name for name in TYPES}, **{alias: name for name, alias in ALIASES.items()}}
UNKNOWN = ["x=1 suser", "", "MSG", "msg ", "event_time", "CEF:0|a", "\n", "\ud800", "__proto__"]
_SURROGATE = re.compile(r"\\ud[89a-f]")
SPECIAL = ["type", "super_short", "short", "alarm", "alarm_severity", "eventTime", "msg"]

WHOLE_FLOATS = True
"""Whether JSON numbers that are whole, but no integers by their spelling, come in int and bool
fields: what becomes of them depends on the other values of the line."""
LISTED_SURROGATES = True
"""Whether lone surrogates come in lists and objects: their backslash is escaped once too often."""


def hostile_lines(seed: int, count: int) -> Iterator[bytes]:
    """Yield NDJSON lines without their LF, each one a JSON object."""
    maker = _Maker(random.Random(seed))
    return (maker.line() for _ in range(count))


class _Maker:
    """Makes values, spelled as JSON."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.random, self.pick = dice.random, dice.choice
        self.by_type: dict[str, Callable[[], str]] = {
            "int": self.numeric,
            "bool": self.truth,
            "time": self.time,
            "text": self.any_text,
        }

    def line(self) -> bytes:
        members = [member for name in self.names() for member in self.members(name)]
        members += [
            self.member(n, self.value(n)) for n in TYPES if self.random() < 0.005
        ]  # perhaps a second time
        self.dice.shuffle(members)
        gap = self.pick(["", "", "", " ", "\t", "\r"])
        edge = self.pick(["", "", "", " ", "\r"])
        return f"{edge}{{{gap}{f'{gap},{gap}'.join(members)}{gap}}}{edge}".encode()

    def names(self) -> set[str]:
        if self.random() < 0.005:
            return set(TYPES)
        names = set(self.dice.sample(list(TYPES), self.dice.randrange(6)))
        names |= {name for name in SPECIAL if self.random() < 0.2}
        return names | ({self.pick(UNKNOWN)} if self.random() < 0.1 else set())

    def members(self, name: str) -> Iterator[str]:
        """Yield a field under its name, its alias, or both, with values that differ or not."""
        alias = ALIASES.get(name)
        form = self.random() if alias else 0.0
        value = self.value(name)
        if form < 0.7:
            yield self.member(name, value)
        if alias and form > 0.4:
            yield self.member(alias, value if self.random() < 0.3 else self.value(name))

    def member(self, name: str, value: str) -> str:
        colon = self.pick([":", ":", ": ", " :\t"])
        spelled = self.spelled(name)
        if name and self.random() < 0.02:
            spelled = f'"\\u{ord(name[0]):04x}{json.dumps(name[1:])[1:]}'
        return f"{spelled}{colon}{value}"

    def value(self, name: str) -> str:
        value = self.any_value(name)
        if not WHOLE_FLOATS and TYPES.get(name) in {"int", "bool"} and _is_whole_float(value):
            return "3"
        return value

    def any_value(self, name: str) -> str:
        choice = self.random()
        if choice < 0.7:
            return self.by_type[TYPES.get(name, "text")]()
        if choice < 0.8:
            return self.structure(3)
        if choice < 0.85:
            return self.pick(["true", "false", "null", "null"])
        return self.pick([self.numeric, self.time, self.any_text])()

    def any_text(self) -> str:
        return self.spelled(self.text())

    def text(self) -> str:
        choice = self.random()
        if choice < 0.5:
            return "".join(self.dice.choices(SIGNS, k=self.dice.randrange(9)))
        if choice < 0.6:
            return self.pick(LOOKALIKES)
        if choice < 0.7:
            word = "".join(self.dice.choices("Access time_0-9.ex/", k=self.dice.randrange(1, 20)))
            return (
                self.pick(["", " ", '"', "'", "\xa0"]) + word + self.pick(["", " ", '"', "'", "\\"])
            )
        if choice < 0.75:  # about the limit of Name, whatever stands there
            filler = self.pick(["a", "é", "中", "\U0001f600", "|", "\\", "\x00", "a|"])
            size = len(filler.encode()) + (filler in "|\\") + 6 * (filler == "\x00")
            return "".join(self.dice.choices(SIGNS, k=3)) + filler * (
                self.dice.randrange(490, 530) // size
            )
        codes = (self.dice.randrange(self.pick([0x80, 0x800, 0x10000, 0x110000])) for _ in range(5))
        return "".join(map(chr, codes))

    def spelled(self, text: str) -> str:
        """Spell a text: escaped where it must be, or where it may be."""
        surrogate = any("\ud800" <= c <= "\udfff" for c in text)
        spelled = json.dumps(text, ensure_ascii=surrogate or self.random() < 0.3)
        return spelled.replace("/", "\\/") if self.random() < 0.1 else spelled

    def numeric(self) -> str:
        choice = self.random()
        if choice < 0.4:
            return str(self.pick(INTEGERS))
        if choice < 0.6:
            return self.pick(NUMBERS)
        if choice < 0.8:
            return json.dumps(self.pick(NUMERIC_TEXTS))
        if choice < 0.9:
            return repr(self.dice.uniform(-1, 1) * 10.0 ** self.dice.randrange(-9, 20))
        return str(self.dice.getrandbits(self.dice.randrange(1, 90)))

    def truth(self) -> str:
        return self.pick(
            ['"true"', '" False\\t"', '"1"', '"TRUE"', '"yes"', "true", "0", "1", "1.0"]
        )

    def time(self) -> str:
        choice = self.random()
        if choice < 0.3:
            return str(
                self.pick([MOMENT, -11644473600, 1383170228399, 9223372036854, 9223372036855])
            )
        if choice < 0.5:
            number = repr(round(self.dice.uniform(-1e10, 1e10), self.dice.randrange(7)))
            return self.pick(['"{}"', '" {} "', "{}"]).format(number)
        moment = "{:04}-{:02}-{:02}{}{:02}:{:02}:{:02}".format(
            self.pick([1, 1601, 1969, 1970, 2000, 2020, 2100, 9998]),
            self.dice.randrange(1, 13),
            self.dice.randrange(1, 32),
            self.pick("T T"),
            self.dice.randrange(25),
            self.dice.randrange(61),
            self.dice.randrange(62),
        )
        fraction = self.pick(["", ".5", ".000001", ".9999999", ".123456789"])
        return json.dumps(moment + fraction + self.pick(ZONES))

    def structure(self, depth: int) -> str:
        spelled = self.any_structure(depth)
        return spelled if LISTED_SURROGATES or not _SURROGATE.search(spelled) else "[[{}]]"

    def any_structure(self, depth: int) -> str:
        parts = [self.element(depth) for _ in range(self.dice.randrange(4))]
        if self.random() < 0.5:
            return f"[{', '.join(parts)}]"
        names = [self.pick(["url", "str_detected", "a", "note", self.text()]) for _ in parts]
        pairs = (f"{self.spelled(n)}:{part}" for n, part in zip(names, parts, strict=True))
        return f"{{{','.join(pairs)}}}"

    def element(self, depth: int) -> str:
        choice = self.random()
        if depth and choice < 0.3:
            return self.any_structure(depth - 1)
        if choice < 0.45:
            return self.pick(["true", "false", "null"])
        return self.numeric() if choice < 0.6 else self.spelled(self.text())


def _is_whole_float(spelled: str) -> bool:
    return bool(re.fullmatch(r"-?[0-9]+[.eE].*", spelled)) and float(spelled).is_integer()
