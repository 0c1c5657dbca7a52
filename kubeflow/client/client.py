"""Client for the API of Kubeflow Pipelines: submit, schedule, list and read runs.

It is built on kfp's client and uses two parts of it: the authentication (host, tokens, cookies of
kfp's own settings; kubeflow.client.connecting) and the code generated from the API's description.
kfp's own convenience methods are not used, because they print links and accept no time limits.
"""

from __future__ import annotations

import json
from typing import Any

from components.common.errors import GenreflowError
from components.common.escape import printable
from kubeflow.client import versions
from kubeflow.client.access import Access
from kubeflow.client.errors import (
    NotFoundError,
    UnavailableError,
    client_exceptions,
    not_the_api,
    to_genreflow_error,
)
from kubeflow.client.request_methods import request_method
from kubeflow.client.run_request import RunRequest
from kubeflow.client.run_state import Run, run_of

# Seconds to connect, and between two bytes of a response; the largest responses have some 500 kB.
TIMEOUT_SECONDS = (5, 30)
# kfp's client takes this for "no namespace given"; a Kubeflow with a single user runs there.
NO_NAMESPACE = "kubeflow"
_MAX_PAGE_RUNS = 200


class KubeflowClient:
    """Client for one Kubeflow Pipelines. Its errors can be shown to the user.

    Each method sends one request, or more if it must look up an experiment.

    Attributes:
      access: address and credentials.
      kfp: kfp's client; its services are for `call`.
      version: version of Kubeflow Pipelines; "" or another word if it tells none.
      namespace: namespace that requests name; "" if Kubeflow has a single user.
      pods_namespace: namespace in which the steps run, as far as is known.
    """

    def __init__(self, access: Access, client: Any, namespace: str, version: str = "") -> None:
        self.access = access
        self.version = version
        self.namespace = namespace
        self.pods_namespace = namespace or access.namespace or NO_NAMESPACE
        self.kfp = client

    def submit(self, request: RunRequest) -> Run:
        """Start a run.

        Raises:
          GenreflowError: Kubeflow is too old or refuses the run, or cannot be reached.
        """
        import kfp_server_api as api

        self.check_version(request.package.min_version)
        experiment_id = self._experiment(request.experiment, create=True)
        body = api.V2beta1Run(
            experiment_id=experiment_id,
            display_name=request.name,
            pipeline_spec=dict(request.package.spec),
            runtime_config=api.V2beta1RuntimeConfig(parameters=dict(request.parameters)),
            service_account=request.service_account or None,
        )
        try:
            response = self.call("experiment", self.kfp.runs, "create_run", body)
        except UnavailableError as error:
            raise _maybe_started(error) from error
        return run_of(self.with_id(response, "run_id"))

    def schedule(self, request: RunRequest, cron: str) -> str:
        """Create a schedule and return its id.

        Its runs start one at a time; missed times are not made up for.

        Args:
          request: the run to start each time.
          cron: expression of six fields.

        Raises:
          GenreflowError: Kubeflow is too old or refuses the schedule, or cannot be reached.
        """
        import kfp_server_api as api

        self.check_version(request.package.min_version)
        experiment_id = self._experiment(request.experiment, create=True)
        body = api.V2beta1RecurringRun(
            experiment_id=experiment_id,
            display_name=request.name,
            mode=api.RecurringRunMode.ENABLE,
            pipeline_spec=dict(request.package.spec),
            runtime_config=api.V2beta1RuntimeConfig(parameters=dict(request.parameters)),
            trigger=api.V2beta1Trigger(cron_schedule=api.V2beta1CronSchedule(cron=cron)),
            max_concurrency="1",
            no_catchup=True,
            service_account=request.service_account or None,
        )
        service = self.kfp.recurring_runs
        try:
            response = self.call("experiment", service, "create_recurring_run", body)
        except UnavailableError as error:
            raise _maybe_started(error) from error
        return str(self.with_id(response, "recurring_run_id").recurring_run_id)

    def runs(self, limit: int, experiment: str = "") -> list[Run]:
        """Return the latest runs, newest first, without their steps.

        Args:
          limit: maximum number of runs.
          experiment: return only runs of this experiment, unless "".

        Raises:
          GenreflowError: there is no such experiment, or Kubeflow cannot be reached.
        """
        scope: dict[str, str] = {}
        if experiment:
            scope["experiment_id"] = self._experiment(experiment, create=False)
        elif self.namespace:
            scope["namespace"] = self.namespace
        found: list[Run] = []
        page = ""
        while len(found) < limit:
            response = self.call(
                "namespace",
                self.kfp.runs,
                "list_runs",
                page_size=min(limit - len(found), _MAX_PAGE_RUNS),
                page_token=page,
                sort_by="created_at desc",
                **scope,
            )
            runs = response.runs or []
            found += [run_of(one) for one in runs]
            page = response.next_page_token or ""
            if not page or not runs:
                break
        return found[:limit]

    def run(self, run_id: str) -> Run:
        """Return a run in its current state, with its steps.

        Raises:
          NotFoundError: there is no run with this id.
          UnavailableError: Kubeflow does not respond; a retry may succeed.
          GenreflowError: Kubeflow refuses the request.
        """
        response = self.call(f"run {run_id}", self.kfp.runs, "get_run", run_id)
        return run_of(self.with_id(response, "run_id"))

    def check_version(self, least: str) -> None:
        """Raise GenreflowError if Kubeflow Pipelines says that it is older than `least`."""
        if versions.is_too_old(self.version, least):
            raise GenreflowError(
                f"{printable(self.access.host)}: Kubeflow Pipelines {printable(self.version)} "
                f"cannot run this pipeline, which needs {least} or newer; have it upgraded"
            )

    def _experiment(self, name: str, *, create: bool) -> str:
        """Return the id of an experiment; create it if wanted."""
        import kfp_server_api as api

        experiments = self.kfp.experiments
        response = self.call(
            "namespace",
            experiments,
            "list_experiments",
            filter=named(name),
            **({"namespace": self.namespace} if self.namespace else {}),
        )
        # Names are unique within a namespace.
        found = [one for one in response.experiments or () if one.display_name == name]
        if not found and not create:
            raise NotFoundError(f"--experiment {name}: there is no experiment of this name")
        if not found:
            body = api.V2beta1Experiment(display_name=name, namespace=self.namespace or None)
            found = [self.call("namespace", experiments, "create_experiment", body)]
        return str(self.with_id(found[0], "experiment_id").experiment_id)

    def call(self, what: str, service: Any, name: str, /, *body: Any, **options: Any) -> Any:
        """Return the response to a request.

        Args:
          what: the requested thing, for the message of a failure.
          service: a service of kfp's generated client.
          name: the request's name in the API's description.
          *body: what the request needs: its body, a file, or an id.
          **options: what it may have.

        Raises:
          GenreflowError: Kubeflow refuses the request, or cannot be reached.
        """
        send = request_method(service, name)
        try:
            return send(*body, **options, _request_timeout=TIMEOUT_SECONDS)
        except client_exceptions() as error:
            raise to_genreflow_error(error, self.access, what) from None

    def with_id(self, response: Any, name: str) -> Any:
        """Return a response after checking its id: if it was not JSON, all fields are empty."""
        if not isinstance(getattr(response, name, None), str):
            raise not_the_api(self.access)
        return response


def named(name: str) -> str:
    """Return the filter of a list request for the things of a name."""
    predicate = {"operation": "EQUALS", "key": "display_name", "stringValue": name}
    return json.dumps({"predicates": [predicate]})


def _maybe_started(error: GenreflowError) -> GenreflowError:
    """Return the error of a request that Kubeflow may have received all the same."""
    return GenreflowError(
        f"{error}\nit may have been started nevertheless; check before you retry: "
        "genreflow kubeflow runs"
    )
