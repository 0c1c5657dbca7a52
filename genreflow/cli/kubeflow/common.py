"""Work that several commands of `genreflow kubeflow` share: connect, read a pipeline, print."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from genreflow.suggested import line_of

if TYPE_CHECKING:
    from kubeflow.client.access import Access
    from kubeflow.client.client import KubeflowClient
    from kubeflow.client.package import Package
    from kubeflow.client.run_request import RunRequest


@dataclasses.dataclass(frozen=True)
class ConnectionOptions:
    """Connection options as typed.

    Attributes:
      host: URL of Kubeflow Pipelines; "" if not given.
      namespace: namespace of the user's profile; "" if not given.
      ca_cert: path of a PEM file; "" if not given.
    """

    host: str = ""
    namespace: str = ""
    ca_cert: str = ""

    def access(self) -> Access:
        """Return the address and credentials; the environment completes the options.

        Raises:
          UsageError: there is no host, or an option or variable is invalid.
        """
        from kubeflow.client.access import access_of

        return access_of(self.host, self.namespace, self.ca_cert, os.environ)

    def command(self, *words: str) -> str:
        """Return a `genreflow kubeflow` command line with the same connection options.

        Args:
          *words: the subcommand and its arguments.
        """
        options = {"--host": self.host, "--namespace": self.namespace, "--ca-cert": self.ca_cert}
        typed = [word for name, value in options.items() if value for word in (name, value)]
        return line_of("kubeflow", *words, *typed)


@contextlib.contextmanager
def connected(access: Access) -> Iterator[KubeflowClient]:
    """Yield a connected client. Meanwhile libraries cannot write to stderr."""
    from genreflow.cli.quiet import quiet_stderr

    with quiet_stderr() as console:
        with console.status("connecting to Kubeflow (its client takes some seconds to start)"):
            from kubeflow.client import connecting

            found = connecting.connect(access)
        yield found


def read_request(
    file: str, params: Sequence[str], name: str, experiment: str, service_account: str
) -> RunRequest:
    """Read a compiled pipeline and return the request to run it, fully checked. Sends nothing.

    Args:
      file: path of the compiled pipeline.
      params: the run's parameters as KEY=VALUE.
      name: of the run or schedule.
      experiment: name of the experiment.
      service_account: account that the steps run as; "" for Kubeflow's default.

    Raises:
      UsageError: the file, a parameter or a name is invalid.
    """
    from kubeflow.client import package, run_checks
    from kubeflow.client.run_request import RunRequest, check_names

    check_names(name, experiment, service_account)
    pipeline = read_package(file)
    values = package.parameters(pipeline, params)
    run_checks.check(pipeline, values)
    return RunRequest(pipeline, values, name, experiment, service_account)


def read_package(file: str) -> Package:
    """Read a compiled pipeline.

    Raises:
      UsageError: the file cannot be read, or is not a compiled pipeline.
    """
    from genreflow.cli.quiet import quiet_stderr
    from kubeflow.client import package

    with quiet_stderr() as console, console.status(f"reading {file}"):
        return package.read(file)
