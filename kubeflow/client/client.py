"""Client for the API of Kubeflow Pipelines: submit, schedule, list and read runs.

It is built on kfp's client and uses two parts of it: the authentication (host, tokens, cookies of
kfp's own settings) and the code generated from the API's description. kfp's own convenience
methods are not used, because they print links and accept no time limits.
"""

from __future__ import annotations

import json
import warnings
from typing import Any

from components.common.errors import GenreflowError, UsageError
from components.common.escape import printable
from kubeflow.client import versions
from kubeflow.client.access import NAMESPACE_VARIABLE, Access
from kubeflow.client.errors import (
    NotFoundError,
    UnavailableError,
    client_exceptions,
    not_the_api,
    safe_line,
    to_genreflow_error,
)
from kubeflow.client.run_request import RunRequest
from kubeflow.client.run_state import Run, run_of

# Seconds to connect, and between two bytes of a response; the largest responses have some 500 kB.
TIMEOUT_SECONDS = (5, 30)
# kfp's client takes this for "no namespace given"; a Kubeflow with a single user runs there.
_NO_NAMESPACE = "kubeflow"
_MAX_PAGE_RUNS = 200


def connect(access: Access) -> KubeflowClient:
    """Return a client that has reached the API once. Imports kfp, which takes some seconds.

    Raises:
      GenreflowError: the API cannot be reached, or refuses this user.
      UsageError: a namespace is needed, or kfp's own settings cannot be read.
    """
    import google.auth.exceptions
    import kfp
    import urllib3

    _check_settings(kfp.Client._LOCAL_KFP_CONTEXT)

    class QuietClient(kfp.Client):  # type: ignore[misc]  # kfp has no types
        """Client of kfp that checks the API's health once, and writes no settings.

        kfp's own would try five times, print a traceback each time, and leave a settings file in
        the home folder.
        """

        health: Any = None
        is_json = False
        version = ""

        def get_kfp_healthz(self, sleep_duration: int = 0) -> Any:
            self.health, _, headers = self._healthz_api.get_healthz_with_http_info(
                _request_timeout=TIMEOUT_SECONDS
            )
            self.is_json = "json" in str(headers.get("content-type"))
            # The generated model has no field for it.
            self.version = _version_in(self._healthz_api.api_client.last_response.data)
            return self.health

        def set_user_namespace(self, namespace: str) -> None:
            self._context_setting["namespace"] = namespace.strip()

        def _load_config(self, *args: Any, **kwargs: Any) -> Any:
            config = super()._load_config(*args, **kwargs)
            # kfp's default would apply each time limit four times.
            config.retries = urllib3.Retry(
                total=None, connect=1, read=0, redirect=3, status=0, other=0
            )
            return config

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a notice that this client is for version 2
            client = QuietClient(
                host=access.host,
                namespace=access.namespace or _NO_NAMESPACE,
                credentials=access.token,
                ssl_ca_cert=access.ca_cert or None,
            )
        if client.health is None:
            client.get_kfp_healthz()
    except google.auth.exceptions.GoogleAuthError as error:
        why = safe_line(error, access)
        raise GenreflowError(f"{access.host}: Google issued no token: {why}") from None
    except client_exceptions() as error:
        raise to_genreflow_error(error, access, "API of Kubeflow Pipelines 2") from None
    if not client.is_json:
        raise not_the_api(access)
    namespace = client.get_user_namespace() or ""
    if client.health.multi_user and not namespace:
        raise UsageError(
            f"{access.host} has many users: give your profile's namespace with --namespace (or "
            f"{NAMESPACE_VARIABLE})"
        )
    # With a single user everything runs in Kubeflow's own namespace, and requests must name none.
    named = namespace if client.health.multi_user else ""
    return KubeflowClient(access, client, named, client.version)


def _version_in(health: Any) -> str:
    """Return the version in a response of healthz, such as "2.17.0"; "" if it tells none.

    The API itself calls it `tag_name` (backend/src/apiserver/main.go), and the server of the web
    page `apiServerTagName` (frontend/server/handlers/healthz.ts).
    """
    try:
        values = json.loads(health)
        return str(values.get("tag_name") or values.get("apiServerTagName") or "")
    except (ValueError, TypeError, AttributeError, RecursionError):
        return ""


def _check_settings(path: str) -> None:
    """Check the settings file of kfp's client, which kfp itself reads unchecked.

    Raises:
      UsageError: the file cannot be read.
    """
    try:
        with open(path, encoding="utf-8") as file:
            valid = "namespace" in json.load(file)
    except FileNotFoundError:
        return
    except (OSError, ValueError, TypeError, RecursionError):
        valid = False
    if not valid:
        raise UsageError(
            f"{path}: the settings of kfp's client cannot be read; repair or delete the file"
        )


class KubeflowClient:
    """Client for one Kubeflow Pipelines. Its errors can be shown to the user.

    Each method sends one request, or more if it must look up an experiment.

    Attributes:
      access: address and credentials.
      kfp: kfp's client; its methods are for `call`.
      version: version of Kubeflow Pipelines; "" or another word if it tells none.
      namespace: namespace that requests name; "" if Kubeflow has a single user.
      pods_namespace: namespace in which the steps run, as far as is known.
    """

    def __init__(self, access: Access, client: Any, namespace: str, version: str = "") -> None:
        self.access = access
        self.version = version
        self.namespace = namespace
        self.pods_namespace = namespace or access.namespace or _NO_NAMESPACE
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
            response = self.call("experiment", self.kfp.runs.create_run, body=body)
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
        method = self.kfp.recurring_runs.create_recurring_run
        try:
            response = self.call("experiment", method, body=body)
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
                self.kfp.runs.list_runs,
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
        response = self.call(f"run {run_id}", self.kfp.runs.get_run, run_id=run_id)
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
            experiments.list_experiments,
            filter=named(name),
            **({"namespace": self.namespace} if self.namespace else {}),
        )
        # Names are unique within a namespace.
        found = [one for one in response.experiments or () if one.display_name == name]
        if not found and not create:
            raise NotFoundError(f"--experiment {name}: there is no experiment of this name")
        if not found:
            body = api.V2beta1Experiment(display_name=name, namespace=self.namespace or None)
            found = [self.call("namespace", experiments.create_experiment, body=body)]
        return str(self.with_id(found[0], "experiment_id").experiment_id)

    def call(self, what: str, method: Any, **arguments: Any) -> Any:
        """Return the response to a request.

        Args:
          what: the requested thing, for the message of a failure.
          method: a method of kfp's generated client.
          **arguments: its arguments.

        Raises:
          GenreflowError: Kubeflow refuses the request, or cannot be reached.
        """
        try:
            return method(**arguments, _request_timeout=TIMEOUT_SECONDS)
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
