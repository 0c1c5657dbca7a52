"""The S3 client: configured by the environment as every AWS tool is, and by nothing else."""

from __future__ import annotations

import functools
import os
import urllib.parse
from typing import Any

from components.storage.errors import StorageSetupError, in_words

# Attempts of one request in botocore's "standard" mode, which waits between them (at
# random, at most 20 s); throttling, 5xx and broken connections are tried again.
ATTEMPTS = 6
CONNECT_SECONDS = 10
READ_SECONDS = 60
# Requests at once; also how many files are fetched ahead.
CONNECTIONS = 8
DEFAULT_REGION = "us-east-1"  # what S3-compatible servers take where none is set

ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


def client() -> Any:
    """A boto3 S3 client for this process and environment. Safe to use from several threads.

    Raises:
      StorageSetupError: the endpoint is no URL, a profile does not exist, or no region is
        known where Amazon's own endpoints need one.
    """
    state = tuple(sorted((k, v) for k, v in os.environ.items() if k.startswith("AWS_")))
    return _client(os.getpid(), state)


@functools.lru_cache(maxsize=4)
def _client(_process: int, _environment: tuple[tuple[str, str], ...]) -> Any:
    # A client holds connections and locks, so each process makes its own.
    import boto3
    import botocore.config

    check_endpoints()
    config = botocore.config.Config(
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        max_pool_connections=2 * CONNECTIONS,
        # Servers that are not Amazon's often know no trailing checksums.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    with in_words("s3"):
        session = boto3.session.Session()
        region = os.environ.get("AWS_REGION") or session.region_name
        made = session.client("s3", config=config, region_name=region or DEFAULT_REGION)
        if region is None and not is_custom(made.meta.endpoint_url):
            raise StorageSetupError("no region; set AWS_REGION to that of the bucket")
        return made


def check_endpoints() -> None:
    """Raises StorageSetupError for an endpoint variable that is not http(s)://host[:port]."""
    for name in ENDPOINT_VARIABLES:
        value = os.environ.get(name)
        if not value:
            continue
        try:
            url = urllib.parse.urlsplit(value)
            good = url.scheme in ("http", "https") and url.hostname and url.port != 0
            # TensorFlow's client takes no path.
            good = good and url.path in ("", "/")
        except ValueError:
            good = False
        # The value is not shown: it may hold what it should not.
        if not good or "@" in value or "?" in value or "#" in value:
            raise StorageSetupError(
                f"{name} must be http://host:port or https://host, with nothing else in it"
            )


def is_custom(endpoint_url: str) -> bool:
    """Whether an endpoint is another server than Amazon's."""
    name = urllib.parse.urlsplit(endpoint_url).hostname or ""
    return not name.endswith((".amazonaws.com", ".amazonaws.com.cn"))
