"""How tasks reach S3: credentials from an Airflow Connection, for as long as the task needs them.

They go to the environment of the task's own process, where cefline's S3 client looks, and nowhere
else: no XCom, no template and no setting has them.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from cefline.answers import no_login
from cefline.errors import LATER, CeflineError, ConfigError, TryAgainError
from cefline.shown import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NAMES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


@contextmanager
def connected(conn_id: str | None) -> Iterator[dict[str, str]]:
    """Give this process the credentials of a Connection, and yield its endpoint and region.

    Args:
        conn_id: a Connection of type `aws`, or None: then S3 is reached as any AWS tool does here.

    Raises:
        ConfigError: there is no such Connection, or it gives no credentials.
        TryAgainError: who hands them out can't be reached, or has too much to do.
    """
    if conn_id is None:
        yield {}
        return
    keys, place = _of_connection(conn_id)
    before = {name: os.environ.get(name) for name in _NAMES}
    _set(dict(zip(_NAMES, keys, strict=True)))
    try:
        yield place
    finally:  # some executors run several tasks in a process
        _set(before)


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _of_connection(conn_id: str) -> tuple[tuple[str, str, str | None], dict[str, str]]:
    """Return key, secret and token of a Connection, and `endpoint` and `region` where it has them.

    The hook of the amazon provider knows roles and web identities.
    """
    from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        BaseHook.get_connection(conn_id)  # the hook below goes on without one
    except AirflowNotFoundException:
        message = f"there is no Airflow Connection {conn_id!r}"
        hint = "Create it, of type aws, or leave conn_id out for the worker's own credentials"
        raise ConfigError(message, hint=hint) from None
    try:
        found, place = _asked(AwsGenericHook(aws_conn_id=conn_id, client_type="s3"))
    except Exception as err:  # noqa: BLE001 - of boto, the provider or what it asks; may hold secrets
        raise _refused(conn_id, err) from None
    if found is None:
        message = f"the Airflow Connection {conn_id!r} has no credentials, nor has the worker"
        hint = "Give it the key as login and the secret as password, or a role_arn in its extra"
        raise ConfigError(message, hint=hint)
    return (found.access_key, found.secret_key, found.token), place


def _asked(hook: Any) -> tuple[Any, dict[str, str]]:  # noqa: ANN401 - Airflow's
    """Return credentials, masked in logs, or None, and the place; STS is asked but once."""
    from airflow.sdk.log import mask_secret

    found = hook.get_session().get_credentials()
    found = found and found.get_frozen_credentials()
    for secret in (found.secret_key, found.token) if found else ():
        if secret:
            mask_secret(secret)
    told = {
        "endpoint": hook.conn_config.get_service_endpoint_url("s3"),
        "region": hook.region_name,
    }
    return found, {name: str(value) for name, value in told.items() if value}


_PASSING = {
    "ExpiredToken",
    "ExpiredTokenException",
    "IDPCommunicationError",
    "RequestExpired",
    "RequestLimitExceeded",
    "RequestTimeTooSkewed",
}


def _refused(conn_id: str, err: Exception) -> CeflineError:
    """Return our error for one of who hands out credentials: its code, never its text."""
    import botocore.exceptions as boto

    answer = getattr(err, "response", None)
    answer = answer if isinstance(answer, dict) else {}
    code = printable(str(answer.get("Error", {}).get("Code") or type(err).__name__))
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    message = f"the Airflow Connection {conn_id!r} gives no credentials: {code}"
    wrong = (boto.ProfileNotFound, boto.NoCredentialsError, boto.PartialCredentialsError)
    lasting = isinstance(err, (*wrong, NotImplementedError, AttributeError, ValueError))
    if isinstance(err, boto.ClientError):
        passing = code in _PASSING or code.startswith("Throttl")
        lasting = not passing and HTTPStatus.BAD_REQUEST <= status < HTTPStatus.TOO_MANY_REQUESTS
    if not lasting or isinstance(err, no_login()):  # what is not known may pass
        return TryAgainError(message, hint=LATER)
    hint = "Check its keys, profile, role_arn and assume_role_method, and whom the role trusts"
    return ConfigError(message, hint=hint)
