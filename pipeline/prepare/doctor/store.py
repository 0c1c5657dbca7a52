"""Check that object stores answer."""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Collection, Mapping

from components.common.endpoints import unreachable
from components.common.errors import GenreflowError
from components.storage.client import ENDPOINT_VARIABLES, check_endpoints
from components.storage.uri import is_remote
from pipeline.prepare.finding import OK, PROBLEM, UNKNOWN, Finding

CONNECT_SECONDS = 3.0


def check_stores(places: Collection[str], environ: Mapping[str, str] = os.environ) -> list[Finding]:
    """Check that the endpoint answers, and that each place in it can be listed.

    Args:
      places: paths and URIs of data, artifacts and models; paths are ignored.
      environ: the environment variables.
    """
    remote = sorted({place for place in places if is_remote(place)})
    endpoint = next((environ[name] for name in ENDPOINT_VARIABLES if environ.get(name)), "")
    if not remote and not endpoint:
        return [
            Finding(
                "store",
                UNKNOWN,
                "no s3:// place is configured; --data-dir s3://BUCKET/FOLDER checks one",
            )
        ]
    found = []
    if endpoint:
        found.append(_check_endpoint(endpoint))
        if found[0].outcome == PROBLEM:
            return found  # requests would only wait for their time limits
    return [*found, *map(_check_place, remote)]


def _check_endpoint(endpoint: str) -> Finding:
    try:
        check_endpoints()
    except GenreflowError as error:
        return Finding("store", PROBLEM, str(error))
    url = urllib.parse.urlsplit(endpoint)
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
    address = f"{host}:{url.port or (443 if url.scheme == 'https' else 80)}"
    reason = unreachable(address, CONNECT_SECONDS)
    if reason:
        text = f"nothing answers at {address} ({reason}); start the store, or correct the variable"
        return Finding("store", PROBLEM, f"{text} {' or '.join(ENDPOINT_VARIABLES)}")
    return Finding("store", OK, f"{address} answers")


def _check_place(place: str) -> Finding:
    from components.storage import objects

    try:
        filled = objects.any_below(place)
    except GenreflowError as error:
        return Finding("store", PROBLEM, str(error))
    return Finding("store", OK, f"{place} can be listed" + ("" if filled else "; it is empty"))
