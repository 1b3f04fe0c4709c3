"""What delivery rests on is proven on objects in the state, before the first part."""

import hashlib
from urllib.parse import parse_qsl

from cefline import s3
from cefline.deliver.store import LocalStore, S3Store, Store
from cefline.errors import ConfigError


def prove_create_only(state: Store) -> None:
    """Create an object twice: some services that speak S3 or GCS overwrite what is there.

    Raises:
        ConfigError: this one does.
    """
    if isinstance(state, LocalStore):  # links, which the system refuses
        return
    _created, again = (state.create("create-only", b"cefline", "text/plain", {}) for _ in range(2))
    if again:
        message = f"{state.url}: this service overwrites objects although it is told not to"
        hint = "Exactly once needs create-only writes (If-None-Match: *): update it, or use another"
        raise ConfigError(message, hint=hint)


def prove(dest: Store, state: Store) -> None:
    """Put an object with the arguments of all parts into the state, once, and look at it.

    Raises:
        ConfigError: S3 did not do with it what it was told to.
    """
    if not isinstance(dest, S3Store) or not isinstance(state, S3Store) or not dest.put:
        return
    asked = hashlib.sha256(repr(sorted(dest.put.items())).encode()).hexdigest()[:16]
    probe = S3Store(state.url, state.client, dest.put)
    key = f"probes/{asked}"
    # Where it is there already it is looked at again: that run may have been killed or refused it.
    probe.create(key, b"cefline", "text/plain", {})
    url = f"{state.url}/{key}"
    storage_class = dest.put.get("StorageClass", "STANDARD")
    if storage_class != "STANDARD":
        found = s3.call(state.client, "head_object", url).get("StorageClass", "STANDARD")
        _expect(url, "storage class", storage_class, str(found))
    if tags := dest.put.get("Tagging"):
        answer = s3.call(state.client, "get_object_tagging", url)
        found = sorted((tag["Key"], tag["Value"]) for tag in answer["TagSet"])
        _expect(url, "tags", str(sorted(parse_qsl(tags, keep_blank_values=True))), str(found))


def _expect(url: str, what: str, asked: str, found: str) -> None:
    if asked != found:
        message = f"{url}: S3 gave it {what} {found}, not {asked}"
        raise ConfigError(message, hint="Check the settings under s3, and what this S3 can do")
