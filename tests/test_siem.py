"""The pages on each SIEM: their settings load, their commands exist, and they lead somewhere."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import cefline
from cefline import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "siem"
PAGES = [
    "arcsight",
    "cribl",
    "datadog",
    "elastic",
    "graylog",
    "logscale",
    "logstash",
    "qradar",
    "secops",
    "sentinel",
    "splunk",
    "sumo",
    "tenzir",
    "vector",
]
HEADINGS = ["Bucket", "Rights", "cefline", "Settings", "Count", "One event", "Known faults"]
TEXTS = {page: (FOLDER / f"{page}.md").read_text(encoding="utf-8") for page in PAGES}
INDEX = (FOLDER / "README.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
OURS = json.loads(README.partition("### S3 permissions")[2].split("```")[1].removeprefix("json"))


def blocks(text: str, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> Iterator[list[str]]:
    """Yield the arguments of each command of ours, in blocks and in the text."""
    lines = [line for block in blocks(text, "sh") for line in block.splitlines()]
    for line in [*lines, *re.findall(r"`(cefline [a-z][^`]*)`", text)]:
        if line.startswith("cefline "):
            yield shlex.split(line, comments=True)[1:]


def documents(kind: str) -> list[tuple[str, Any]]:
    """Return the JSON of all pages that has a key of this name, with its page.

    Without the policy of our own: it is the same on all.
    """
    found = ((page, json.loads(b)) for page, text in TEXTS.items() for b in blocks(text, "json"))
    return [(page, document) for page, document in found if kind in document and document != OURS]


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def test_there_is_a_page_for_each_siem_and_no_other() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.md")) == sorted(["README", *PAGES])


def test_the_table_has_each_page_once() -> None:
    rows = [line for line in INDEX.splitlines() if line.startswith("| [")]
    assert sorted(re.findall(r"\]\(([a-z]+)\.md\)", "\n".join(rows))) == PAGES
    assert "docs/siem/README.md" in README


@pytest.mark.parametrize("page", PAGES)
def test_a_page_leads_from_bucket_to_search(page: str) -> None:
    """In the same order on each, and it says at its top what was not run here."""
    assert re.findall(r"^## (.+)$", TEXTS[page], re.MULTILINE) == HEADINGS
    top = TEXTS[page].partition("\n## ")[0]
    assert "ot verified here:**" in top or "Only AWS itself was not at hand" in top
    assert "cefline verify --config /etc/cefline.toml --expect siem --json" in TEXTS[page]
    assert "WKS-1" in TEXTS[page].partition("## One event")[2].partition("## ")[0]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_needs_no_other_one(page: str, tmp_path: Path) -> None:
    """How to install, our rights, credentials, an S3 service's address, and keys to search by."""
    assert "/opt/cefline/bin/pip install -c requirements.lock ." in TEXTS[page]
    assert [json.loads(block) for block in blocks(TEXTS[page], "json")].count(OURS) == 1
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", TEXTS[page])]
    assert set(links) == {"../../README.md"}
    for name in ("AWS_ACCESS_KEY_ID", "`dvchost`", "`CadoResponseEventTime`"):
        assert name in TEXTS[page]
    (block,) = blocks(TEXTS[page], "toml")
    more = re.findall(r"`(endpoint = [^`]+|allow_http = [^`]+)`", TEXTS[page])
    assert len(more) == 2
    file = tmp_path / "cefline.toml"
    file.write_text(block + "\n".join(more), encoding="utf-8")  # [s3] is its last table
    found = cefline.load_config({}, {}, file).config.s3
    assert (found.endpoint, found.allow_http) == ("https://s3.example.com", True)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_what_is_to_be_replaced(page: str) -> None:
    """Each name that is an example, in the first sentence on the bucket, and no other."""
    first, _, rest = TEXTS[page].partition("\n## Bucket\n\n")[2].partition("\n")
    assert first.endswith(" are examples: replace them throughout. The three buckets must exist.")
    names = r"acme-\w+|1{4}2{4}3{4}|\b\w+-central-\d|\b(?!s3\.)\w+\.example\.com"
    assert sorted(re.findall(f"`({names})`", first)) == sorted({*re.findall(names, rest)})


@pytest.mark.parametrize("page", PAGES)
def test_a_page_tells_seconds_from_milliseconds(page: str) -> None:
    """The counts of `verify` have the one, keys of an event the other."""
    count = TEXTS[page].partition("\n## Count\n")[2].partition("\n## ")[0]
    assert "`first_event_time` and `last_event_time` are seconds since 1970" in count
    assert "`rt` and `CadoResponseEventTime` are milliseconds" in count


@pytest.mark.parametrize("page", PAGES)
def test_our_commands_have_our_settings(page: str) -> None:
    """Without the file a command knows no endpoint of another S3 service."""
    reach = {"preview", "export", "verify"}
    given = [command for command in commands(TEXTS[page]) if command[1:]]
    found = [command for command in given if command[0] in reach or "SOURCE" in command]
    assert {name for name, *_ in found} >= reach
    for command in found:
        assert command[command.index("--config") + 1] == "/etc/cefline.toml"


@pytest.mark.parametrize("page", PAGES)
def test_our_settings_load(page: str, tmp_path: Path) -> None:
    """As a configuration, with nothing left to say on the command line."""
    (block,) = blocks(TEXTS[page], "toml")
    file = tmp_path / "cefline.toml"
    file.write_text(block, encoding="utf-8")
    config = cefline.load_config({}, {}, file).config
    assert config.profile == "dictionary"
    assert (config.dest, config.state) == ("s3://acme-siem/cado", "s3://acme-cefline/cado")
    assert config.sources == ("s3://acme-exports/cado/",)
    assert config.s3.region == "eu-central-1"
    assert config.max_event == cefline.Config().max_event  # what is long is cut, and no reject
    suffix = {"gzip": ".cef.gz", "zstd": ".cef.zst", "none": ".cef"}[config.compression]
    assert f"00000001-000001{suffix}\n" in TEXTS[page]


@pytest.mark.parametrize("page", ["README", *PAGES])
def test_our_commands_are_commands(page: str) -> None:
    """Their options exist; none is run."""
    text = INDEX if page == "README" else TEXTS[page]
    found = list(commands(text))
    assert found
    for name, *arguments in found:
        command = cli.commands.commands[name]
        with command.make_context(name, arguments) as context:
            assert context.params


def test_every_block_of_json_is_json() -> None:
    for page in PAGES:
        for block in blocks(TEXTS[page], "json"):
            assert json.loads(block), page


@pytest.mark.parametrize("page", PAGES)
def test_a_reader_may_read_parts_and_nothing_else(page: str) -> None:
    """No reader writes or deletes, none is let at the state, and no action is a pattern."""
    policies = [policy for of, policy in documents("Statement") if of == page]
    statements = [s for policy in policies for s in policy["Statement"]]
    own = [s for s in statements if "Principal" not in s]
    assert any(listed(s["Action"]) == ["s3:GetObject"] for s in own)
    actions = {action for s in statements for action in listed(s["Action"])}
    assert actions <= {
        "s3:GetObject",
        "s3:ListBucket",
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:ChangeMessageVisibility",
        "sqs:GetQueueAttributes",
        "sqs:GetQueueUrl",
        "sqs:SendMessage",
        "sns:Publish",
        "sts:AssumeRole",
    }
    resources = {r for s in own for r in listed(s["Resource"])}
    assert resources <= {
        "arn:aws:s3:::acme-siem/cado/*",
        "arn:aws:s3:::acme-siem/cado",  # Tenzir asks whether the prefix is an object
        "arn:aws:s3:::acme-siem",
        "arn:aws:sqs:eu-central-1:111122223333:cado-cef",
    }
    for statement in own:
        if listed(statement["Action"]) == ["s3:ListBucket"]:
            ((how, on),) = statement["Condition"].items()
            assert how == ("StringLikeIfExists" if page == "tenzir" else "StringLike")
            assert on == {"s3:prefix": "cado/*"}


@pytest.mark.parametrize(
    "kind", ["QueueConfigurations", "TopicConfigurations", "LambdaFunctionConfigurations"]
)
def test_notifications_are_of_parts(kind: str) -> None:
    """Of those below the destination, by the name that the policy of the receiver lets in."""
    found = documents(kind)
    assert found
    for page, document in found:
        (one,) = document[kind]
        rules = {rule["Name"]: rule["Value"] for rule in one["Filter"]["Key"]["FilterRules"]}
        assert rules.pop("prefix") == "cado/"
        assert all(".cef.gz".endswith(suffix) for suffix in rules.values())
        assert one["Events"] == ["s3:ObjectCreated:*"]
        receiver = next(value for name, value in one.items() if name.endswith("Arn"))
        policies = json.dumps([p for of, p in documents("Statement") if of == page])
        assert receiver in policies or kind.startswith("Lambda")


@pytest.mark.parametrize("page", PAGES)
def test_a_reader_of_a_queue_has_a_queue(page: str) -> None:
    """And one that lists may list."""
    policies = json.dumps([p for of, p in documents("Statement") if of == page])
    has_queue = any(of == page for of, _ in documents("QueueConfigurations"))
    assert has_queue == ("sqs:ReceiveMessage" in policies)
    assert has_queue or page == "datadog" or "s3:ListBucket" in policies


@pytest.mark.parametrize("page", ["README", *PAGES])
def test_every_link_leads_somewhere(page: str) -> None:
    text = INDEX if page == "README" else TEXTS[page]
    titles = re.findall(r"^##+ (.+)$", README, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
    for link in re.findall(r"\]\(([^)]+)\)", text):
        path, _, anchor = link.partition("#")
        assert (FOLDER / path).resolve().exists(), link
        assert not anchor or (path == "../../README.md" and anchor in anchors), link


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_aws_know_their_region(page: str) -> None:
    """Those that make a queue, a topic or a permission: it is that of the bucket."""
    for block in blocks(TEXTS[page], "sh"):
        if re.search(r"^aws ", block, re.MULTILINE):
            assert block.startswith("export AWS_DEFAULT_REGION=eu-central-1\n")


def test_splunk_is_told_which_times_have_another_key() -> None:
    """Those outside of the target's window, by whose days the page names it."""
    window = cefline.load_config({"target": "splunk"}, {}, None).config.time_window
    first, last = (bound[:10] for bound in str(window).split("/"))
    assert f"`CadoResponseEventTime` before {first} and after {last}" in TEXTS["splunk"]


@pytest.mark.parametrize("page", ["graylog", "vector"])
def test_vector_takes_no_message_before_its_events_are_out(page: str) -> None:
    """Each of its sinks acknowledges."""
    (text,) = (block for block in blocks(TEXTS[page], "yaml") if "\nsinks:" in block)
    sinks = text.partition("\nsinks:\n")[2]
    count = len(re.findall(r"^  \w+:$", sinks, re.MULTILINE))
    assert count == sinks.count("    acknowledgements: {enabled: true}\n") == 2


def test_qradar_searches_for_the_log_source_that_is_made() -> None:
    """By its name, which is not its identifier."""
    (name,) = re.findall(r"^Name = (.+)$", TEXTS["qradar"], re.MULTILINE)
    searches = blocks(TEXTS["qradar"], "sql")
    assert len(searches) == 2
    assert all(f"LOGSOURCENAME(logsourceid) = '{name}'" in search for search in searches)


def test_the_feed_of_secops_has_the_log_type_that_is_made() -> None:
    (made,) = re.findall(r"Vendor/Product `(.+)`, Log Type `(.+)`", TEXTS["secops"])
    assert f"Log type = {made[0]} ({made[1]})\n" in TEXTS["secops"]


def test_what_cribl_is_told_fits_together() -> None:
    """The queue is an expression, and the breaker takes the longest line of ours."""
    source, ruleset = (document for page, document in documents("id") if page == "cribl")
    assert re.fullmatch(r"'https://sqs\.[^']+'", source["queueName"])
    assert source["breakerRulesets"] == [ruleset["id"]]
    assert f"a pipeline `{source['pipeline']}`" in TEXTS["cribl"]
    assert f"__inputId.startsWith('{source['type']}:{source['id']}')" in TEXTS["cribl"]
    (settings,) = (tomllib.loads(block) for block in blocks(TEXTS["cribl"], "toml"))
    found = cefline.load_config({"max_line": settings["max_line"]}, {}, None).config
    assert found.max_line == ruleset["rules"][0]["maxEventBytes"]


def test_a_grok_parser_of_datadog_has_one_rule() -> None:
    """No second one would be used."""
    rules = [block for block in blocks(TEXTS["datadog"], "text") if "%{" in block]
    assert [len(rule.splitlines()) for rule in rules] == [1, 1, 1]


def test_the_function_of_datadog_has_its_name() -> None:
    """The commands and the notification name the one that the stack makes."""
    (name,) = re.findall(r"^FunctionName = (.+)$", TEXTS["datadog"], re.MULTILINE)
    assert f':function:{name}"' in TEXTS["datadog"]
    assert f"--function-name {name} " in TEXTS["datadog"]


@pytest.mark.parametrize("page", PAGES)
def test_tables_have_as_many_cells_in_each_row(page: str) -> None:
    """A pipe in a cell would end it."""
    faults = TEXTS[page].partition("## Known faults\n")[2]
    (table,) = re.findall(r"(?:^\|.*\n)+", faults, re.MULTILINE)
    cells = [len(re.split(r"(?<!\\)\|", row)) for row in table.splitlines()]
    assert set(cells) == {4}
