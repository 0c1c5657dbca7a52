"""TensorFlow's own file system for s3://, and what stands in for it where there is none.

It is part of tensorflow-io, which loads with TensorFlow 2.16 at most; without it, nodes work on
local copies (pipeline.process.staging). TFX, TFDV, TFMA and tf.data use it for artifacts. Its SDK,
in C++, reads the AWS_* variables for keys and retries, but has other names for endpoint,
certificates and timeouts. Beam uses boto3 for s3://, without this project's settings. `prepare`
sets the variables of both, derived from those of AWS tools. Nothing is put into pipeline options or
parameters, which end up in metadata.

A process that used tensorflow-io must end by os._exit. Otherwise its clients are destroyed after
the libraries that they need, and the process aborts ("pure virtual method called").
"""

from __future__ import annotations

import importlib.util
import os

from components.storage.client import CONNECT_SECONDS, MAX_ATTEMPTS, READ_SECONDS, client, is_custom
from components.storage.uri import SCHEME, is_remote

# Sources of credentials that botocore and the C++ SDK both support.
_SHARED_SOURCES = frozenset(
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
    """Set this process up to use these places with TensorFlow and Beam.

    Call it before the first use; child processes inherit the environment. Local places need
    no setup.

    Raises:
      StorageSetupError: the environment is invalid (components.storage.client).
    """
    if not any(is_remote(place) for place in places):
        return
    for name, value in environment().items():
        os.environ[name] = value
    if importlib.util.find_spec("tensorflow_io"):
        import tensorflow_io  # noqa: F401  registers s3:// with TensorFlow
    if not is_known():
        from components.artifacts import tfx_files

        tfx_files.register()


def is_known() -> bool:
    """Return whether TensorFlow knows s3://. Without `prepare` it does not."""
    import tensorflow as tf

    return SCHEME.removesuffix("://") in tf.io.gfile.get_registered_schemes()


def environment() -> dict[str, str]:
    """Return the variables to set, derived from the current AWS_* variables and profile."""
    s3 = client()
    region, endpoint = s3.meta.region_name, s3.meta.endpoint_url
    made = {
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_RETRY_MODE": "standard",
        "AWS_MAX_ATTEMPTS": str(MAX_ATTEMPTS),
        "S3_CONNECT_TIMEOUT_MSEC": str(1000 * CONNECT_SECONDS),
        "S3_REQUEST_TIMEOUT_MSEC": str(1000 * READ_SECONDS),
        # Otherwise every 256 KB read costs a HEAD besides the GET.
        "S3_DISABLE_MULTI_PART_DOWNLOAD": "1",
        # The debug output shows headers, with the session token.
        "AWS_LOG_LEVEL": "fatal",
        # Many S3-compatible servers do not support trailing checksums.
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
    """Return, as variables, keys that only botocore can find (single sign-on, assumed roles)."""
    import boto3

    found = boto3.session.Session().get_credentials()
    if found is None or found.method in _SHARED_SOURCES:
        return {}
    frozen = found.get_frozen_credentials()
    keys = {
        "AWS_ACCESS_KEY_ID": frozen.access_key,
        "AWS_SECRET_ACCESS_KEY": frozen.secret_key,
        "AWS_SESSION_TOKEN": frozen.token,
    }
    return {name: value for name, value in keys.items() if value}
