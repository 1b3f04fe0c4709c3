"""What becomes of a source once it was delivered: nothing, a tag, or another place."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from cefline import s3
from cefline.errors import CeflineError, ConfigError, of_system
from cefline.sources import Local, check_unchanged

if TYPE_CHECKING:
    from collections.abc import Callable

    from cefline.config import Config
    from cefline.sources import Source

After = Literal["none", "tag", "move"]

_COPIED_AT_ONCE = 5 << 30
"""CopyObject takes no more."""
_COPIED_PART = 1 << 30

TAG = {"Key": "cefline", "Value": "delivered"}


def check(config: Config) -> None:
    """Make sure that sources don't go where the next run finds them.

    Raises:
        ConfigError: they would, or nothing says where they go.
    """
    if config.after != "move":
        return
    if not config.after_to:
        raise ConfigError("after = move says not where to", hint="Set after_to: a folder or s3://")
    target = _absolute(config.after_to)
    for name in config.sources:
        if f"{target}/".startswith(f"{_scanned(name)}/"):
            message = f"after_to {config.after_to} lies below the source {name}"
            raise ConfigError(message, hint="Expected a place that is not searched for sources")
    if f"{target}/".startswith(f"{_absolute(str(config.dest))}/"):
        message = f"after_to {config.after_to} lies below the destination {config.dest}"
        raise ConfigError(message, hint="Expected a place that the SIEM does not read")


def _scanned(name: str) -> str:
    """Return the folder or prefix below which a source's name finds files."""
    given = name.removeprefix("file://")
    fixed = re.split(r"[*?\[]", given)[0]
    return _absolute(fixed if fixed == given else fixed.rpartition("/")[0] or ".").rstrip("/")


def apply(source: Source, config: Config, connect: Callable[[], s3.Client]) -> None:
    """Tag or move a source that was delivered; doing it again comes to the same.

    Raises:
        CeflineError: it can't be done.
    """
    on_s3 = source.url.startswith("s3://")
    if config.after == "tag":
        if not on_s3:
            message = f"{source.url} is a local file: it can't be tagged"
            raise ConfigError(message, hint="after = move, or none")
        _tag(source, connect())
    elif on_s3:
        _move_object(source, _target(source, config), connect())
    else:
        _move_file(source, Path(_target(source, config)))


def _tag(source: Source, client: s3.Client) -> None:
    there = s3.call(client, "get_object_tagging", source.url)["TagSet"]
    tags = [*(tag for tag in there if tag["Key"] != TAG["Key"]), TAG]
    s3.call(client, "put_object_tagging", source.url, Tagging={"TagSet": tags})


def _target(source: Source, config: Config) -> str:
    """Return where a source goes; sources of one name don't meet there."""
    name = PurePosixPath(source.url).name
    return f"{config.after_to}/{source.key({})[:8]}-{name}"


def _move_object(source: Source, target: str, client: s3.Client) -> None:
    if not target.startswith("s3://"):
        message = f"{source.url} can't be moved to {target}"
        raise ConfigError(message, hint="after_to of sources on S3 is s3://bucket/prefix")
    bucket, key = s3.split(source.url)
    what: dict[str, Any] = {
        "CopySource": {"Bucket": bucket, "Key": key},
        "CopySourceIfMatch": source.version,
    }
    if source.size > _COPIED_AT_ONCE:
        _copy_in_parts(source, target, client, what)
    else:
        s3.call(client, "copy_object", target, **what)
    # Replaced in the meantime, it stays: the next run delivers what it is now.
    if s3.call(client, "head_object", source.url)["ETag"] == source.version:
        s3.call(client, "delete_object", source.url)


def _copy_in_parts(source: Source, target: str, client: s3.Client, what: dict[str, Any]) -> None:
    """Copy an object that is too large for CopyObject, on S3's side; tags are not copied."""
    upload = s3.call(client, "create_multipart_upload", target)["UploadId"]
    try:
        parts = []
        for number, start in enumerate(range(0, source.size, _COPIED_PART), 1):
            end = min(start + _COPIED_PART, source.size) - 1
            part = {
                "UploadId": upload,
                "PartNumber": number,
                "CopySourceRange": s3.byte_range(start, end),
            }
            answer = s3.call(client, "upload_part_copy", target, **part, **what)
            parts.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
        whole = {"UploadId": upload, "MultipartUpload": {"Parts": parts}}
        s3.call(client, "complete_multipart_upload", target, **whole)
    except BaseException:
        with suppress(CeflineError):
            s3.call(client, "abort_multipart_upload", target, UploadId=upload)
        raise


def _move_file(source: Source, target: Path) -> None:
    if str(target).startswith("s3:"):
        message = f"{source.url} can't be moved to {target}"
        raise ConfigError(message, hint="after_to of local sources is a folder")
    check_unchanged(Local(source, source.local_path, ""))  # else the next run delivers what it is
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(source.local_path, target)
    except OSError as err:
        raise of_system(err, str(source.url)) from err


def _absolute(name: str) -> str:
    return name if "://" in name else os.path.abspath(name)  # noqa: PTH100 - `..` too


def told(source: Source, config: Config, connect: Callable[[], s3.Client]) -> str:
    """Tag or move a source; return what there is to say where it can't be done now."""
    try:
        apply(source, config, connect)
    except CeflineError as err:
        return f"it was delivered, but not {_DONE[config.after]}: {err}"
    return ""


_DONE = {"tag": "tagged", "move": "moved"}
