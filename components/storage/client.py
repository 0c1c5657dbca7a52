"""S3 client, configured by the environment like every AWS tool, and by nothing else."""

from __future__ import annotations

import functools
import os
import urllib.parse
from typing import Any

from components.storage.errors import StorageSetupError, translated_errors

# Attempts per request in botocore's "standard" mode, with random waits of at most 20 s
# between them; throttling, 5xx and broken connections are retried.
MAX_ATTEMPTS = 6
CONNECT_SECONDS = 10
READ_SECONDS = 60
# Concurrent requests; also the number of files that are fetched ahead.
CONNECTIONS = 8
DEFAULT_REGION = "us-east-1"  # the default of S3-compatible servers

ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


def client() -> Any:
    """Return the boto3 S3 client of this process and environment; threads may share it.

    Raises:
      StorageSetupError: the endpoint is not a URL, a profile does not exist, or Amazon's own
        endpoints need a region and none is set.
    """
    state = tuple(sorted((k, v) for k, v in os.environ.items() if k.startswith("AWS_")))
    return _client(os.getpid(), state)


@functools.lru_cache(maxsize=4)
def _client(_process: int, _environment: tuple[tuple[str, str], ...]) -> Any:
    # Each process needs its own client, as it holds connections and locks.
    import boto3
    import botocore.config

    check_endpoints()
    config = botocore.config.Config(
        retries={"mode": "standard", "total_max_attempts": MAX_ATTEMPTS},
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        max_pool_connections=2 * CONNECTIONS,
        # Many S3-compatible servers do not support trailing checksums.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    with translated_errors("s3"):
        session = boto3.session.Session()
        region = os.environ.get("AWS_REGION") or session.region_name
        made = session.client("s3", config=config, region_name=region or DEFAULT_REGION)
        if region is None and not is_custom(made.meta.endpoint_url):
            raise StorageSetupError("no region; set AWS_REGION to the bucket's region")
        return made


def check_endpoints() -> None:
    """Raise StorageSetupError if an endpoint variable is not http(s)://host[:port]."""
    for name in ENDPOINT_VARIABLES:
        value = os.environ.get(name)
        if not value:
            continue
        try:
            url = urllib.parse.urlsplit(value)
            good = url.scheme in ("http", "https") and url.hostname and url.port != 0
            good = good and url.path in ("", "/")
        except ValueError:
            good = False
        # The message does not repeat the value, which may contain a secret.
        if not good or "@" in value or "?" in value or "#" in value:
            raise StorageSetupError(
                f"{name} must be http://host:port or https://host, without a user name, path "
                "or query"
            )


def is_custom(endpoint_url: str) -> bool:
    """Return whether an endpoint is not Amazon's."""
    name = urllib.parse.urlsplit(endpoint_url).hostname or ""
    return not name.endswith((".amazonaws.com", ".amazonaws.com.cn"))
