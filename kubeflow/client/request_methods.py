"""Methods of kfp's generated client, by the names that requests have in the API's description."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def request_method(service: Any, name: str) -> Callable[..., Any]:
    """Return the method that sends a request, such as create_run of the runs' service.

    kfp-server-api 2.5 calls it by that name, and 2.17 by run_service_create_run. They also differ
    in the name of the argument for a request's body, which comes first, so pass it by position.

    Raises:
      LookupError: the service has no such request.
    """
    for member in dir(service):
        if member == name or member.endswith(f"_service_{name}"):
            method: Callable[..., Any] = getattr(service, member)
            return method
    raise LookupError(f"kfp's client has no request {name}")
