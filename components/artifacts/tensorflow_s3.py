"""TensorFlow's own file system for s3://, which tensorflow-io brings.

TFX, TFDV, TFMA and tf.data read and write artifacts by it. It is an SDK of its own, in C++,
which knows the AWS_* variables for keys and retries, but endpoint, certificates and time limits
by names of its own; and Beam's s3:// is boto3 again, without this project's settings. `prepare`
derives all of them from what an AWS tool would use. Nothing is ever put into pipeline options
or parameters, which end up in metadata.

A process in which tensorflow-io was used must end by os._exit: its clients are torn down after
the libraries that they need, which aborts ("pure virtual method called").
"""

from __future__ import annotations

import os

from components.storage.client import ATTEMPTS, CONNECT_SECONDS, READ_SECONDS, client, is_custom
from components.storage.uri import is_remote

# How botocore found its keys, where the C++ SDK finds them in the same way.
_KNOWN_TO_BOTH = frozenset(
    {
        "env",
        "shared-credentials-file",
        "config-file",
        "custom-process",
        "assume-role-with-web-identity",
        "container-role",
        "iam-role",
    }
)


def prepare(*places: str) -> None:
    """Makes TensorFlow and Beam read and write these places; does nothing for local ones.

    To be called before the first use, in the process that works; the ones that it starts
    inherit the environment.

    Raises:
      StorageSetupError: the environment is not right (components.storage.client).
    """
    if not any(is_remote(place) for place in places):
        return
    for name, value in environment().items():
        os.environ[name] = value
    import tensorflow_io  # noqa: F401  registers s3:// with TensorFlow


def environment() -> dict[str, str]:
    """The variables to set, derived from the AWS_* variables and profiles that are in force."""
    s3 = client()
    region, endpoint = s3.meta.region_name, s3.meta.endpoint_url
    made = {
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_RETRY_MODE": "standard",
        "AWS_MAX_ATTEMPTS": str(ATTEMPTS),
        "S3_CONNECT_TIMEOUT_MSEC": str(1000 * CONNECT_SECONDS),
        "S3_REQUEST_TIMEOUT_MSEC": str(1000 * READ_SECONDS),
        # Else every 256 KB that are read cost a HEAD besides the GET.
        "S3_DISABLE_MULTI_PART_DOWNLOAD": "1",
        # Its debugging output shows headers, the session token among them.
        "AWS_LOG_LEVEL": "fatal",
        # Servers that are not Amazon's often know no trailing checksums.
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
    }
    if is_custom(endpoint):
        made["S3_ENDPOINT"] = endpoint
    bundle = os.environ.get("AWS_CA_BUNDLE")
    if bundle:
        made["S3_CA_FILE"] = bundle
    made.update(_credentials())
    return made


def _credentials() -> dict[str, str]:
    """Keys that only botocore can find (single sign-on, assumed roles), as variables."""
    import boto3

    found = boto3.session.Session().get_credentials()
    if found is None or found.method in _KNOWN_TO_BOTH:
        return {}
    frozen = found.get_frozen_credentials()
    keys = {
        "AWS_ACCESS_KEY_ID": frozen.access_key,
        "AWS_SECRET_ACCESS_KEY": frozen.secret_key,
        "AWS_SESSION_TOKEN": frozen.token,
    }
    return {name: value for name, value in keys.items() if value}
