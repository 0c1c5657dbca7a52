"""Check of Beam's flags by Beam's own parser and the job service. Imports Beam when called."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Collection, Sequence
from typing import NoReturn

from components.common.errors import UsageError
from pipeline.process.libraries import quick_imports

# The answer takes milliseconds.
_ANSWER_SECONDS = 10.0


class FlagError(UsageError):
    """Error for a flag that Beam does not know, or cannot parse."""


def check_flags(flags: Sequence[str], further: Collection[str] = ()) -> None:
    """Check flags against all option classes of Beam, which itself would ignore unknown ones.

    Args:
      flags: such as "--parallelism=8".
      further: names without dashes that the job service knows; their values are not checked.

    Raises:
      FlagError: a flag is unknown, or its value cannot be parsed.
    """
    with quick_imports():
        from apache_beam.options.pipeline_options import PipelineOptions

        from components.artifacts import beam_jobs  # noqa: F401  its flags become Beam's

    parsers: list[argparse.ArgumentParser] = []
    known = PipelineOptions([]).get_all_options(add_extra_args_fn=parsers.append)
    (parser,) = parsers
    parser.allow_abbrev = False  # "--job_end" is no flag that anyone meant
    parser.error = _refuse  # type: ignore[method-assign]  # it would print and exit
    _, unknown = parser.parse_known_args(list(flags))
    for flag in unknown:
        name = flag.split("=", 1)[0].removeprefix("--")
        if name in further:
            continue
        near = difflib.get_close_matches(name, [*known, *further], n=1)
        hint = f"; did you mean --{near[0]}?" if near else ""
        raise FlagError(f"--{name} is no flag of Beam's{hint}")


def _refuse(message: str) -> NoReturn:
    raise FlagError(message)


def described_flags(endpoint: str) -> frozenset[str]:
    """Return the names of the flags that a job service knows in addition to Beam's own.

    Raises:
      UsageError: what listens there is no job service.
    """
    with quick_imports():
        import grpc
        from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

    with grpc.insecure_channel(endpoint) as channel:
        stub = beam_job_api_pb2_grpc.JobServiceStub(channel)
        request = beam_job_api_pb2.DescribePipelineOptionsRequest()
        try:
            answer = stub.DescribePipelineOptions(request, timeout=_ANSWER_SECONDS)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.UNIMPLEMENTED:
                return frozenset()
            raise UsageError(
                f"{endpoint}: listens, but is no job service of Beam's ({error.code().name}); give "
                "the port of the job service, not of the cluster or of its web page"
            ) from error
    return frozenset(option.name for option in answer.options)
