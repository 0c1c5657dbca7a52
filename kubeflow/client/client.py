"""Kubeflow Pipelines' API, by kfp's client: runs are submitted, scheduled, listed, looked at.

Of kfp's client this takes how it finds out where and as whom (host, tokens, cookies of its own
settings) and the interface that is generated of the API. Its own methods on top of that print
links and take no time limits.
"""

from __future__ import annotations

import dataclasses
import json
import re
import warnings
from collections.abc import Mapping
from typing import Any

from components.common.errors import GenreflowError, UsageError
from components.common.escape import printable
from kubeflow.client import errors as client_errors
from kubeflow.client.access import NAMESPACE_VARIABLE, Access
from kubeflow.client.package import Package
from kubeflow.client.run_state import Run, run_of

# Seconds to connect, and between two bytes of an answer: the largest answers are of some 500 kB.
TIMEOUT = (5, 30)
EXPERIMENT = "genreflow"
# What kfp's client takes for "none was named"; and where a Kubeflow with a single user runs.
_NO_NAMESPACE = "kubeflow"
# The narrowest columns that Kubeflow had for names.
_MAX_NAME = 128
_MAX_PAGE = 200
_EQUALS = "EQUALS"
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,127}", re.ASCII)
# RFC 1123 subdomains, which names of service accounts are.
_SERVICE_ACCOUNT = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)


@dataclasses.dataclass(frozen=True)
class Order:
    """What a run, or the runs of a schedule, are to be."""

    package: Package
    parameters: Mapping[str, str]
    name: str
    experiment: str = EXPERIMENT
    service_account: str = ""


def check_names(name: str, experiment: str, service_account: str) -> None:
    """Refuses names that Kubeflow would, or cut.

    Raises:
      UsageError: which one, and why.
    """
    for option, text in (("--run-name", name), ("--experiment", experiment)):
        if not text.strip() or len(text) > _MAX_NAME or not text.isprintable():
            raise UsageError(
                f"{option} {printable(text[:_MAX_NAME])}: 1 to {_MAX_NAME} characters are "
                "needed, all on one line"
            )
    if service_account and not _SERVICE_ACCOUNT.fullmatch(service_account):
        raise UsageError(f"--service-account {service_account}: no name that Kubernetes takes")


def check_run_id(run_id: str) -> None:
    """Refuses what is the id of no run.

    Raises:
      UsageError: it is none.
    """
    if not _RUN_ID.fullmatch(run_id):
        raise UsageError(
            f"{run_id}: not a run's id, which looks like 6a2b8d1e-5f0c-4c7e-9d3a-0b1c2d3e4f5a; "
            "genreflow kubeflow runs lists them"
        )


def connect(access: Access) -> Client:
    """A client that has been answered already. Imports kfp, which takes some seconds.

    Raises:
      GenreflowError: the API cannot be reached, or does not let this user in.
      UsageError: a namespace is needed; or kfp's own settings cannot be read.
    """
    import google.auth.exceptions
    import kfp
    import urllib3

    _check_settings(kfp.Client._LOCAL_KFP_CONTEXT)

    class Quick(kfp.Client):  # type: ignore[misc]  # kfp has no types
        """Asks once whether anybody is there, not five times with a traceback each; and leaves
        no settings behind in the home folder."""

        health: Any = None
        is_json = False

        def get_kfp_healthz(self, sleep_duration: int = 0) -> Any:
            self.health, _, headers = self._healthz_api.get_healthz_with_http_info(
                _request_timeout=TIMEOUT
            )
            self.is_json = "json" in str(headers.get("content-type"))
            return self.health

        def set_user_namespace(self, namespace: str) -> None:
            self._context_setting["namespace"] = namespace.strip()

        def _load_config(self, *args: Any, **kwargs: Any) -> Any:
            config = super()._load_config(*args, **kwargs)
            # Else each time limit would count four times.
            config.retries = urllib3.Retry(
                total=None, connect=1, read=0, redirect=3, status=0, other=0
            )
            return config

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it is made for version 2
            client = Quick(
                host=access.host,
                namespace=access.namespace or _NO_NAMESPACE,
                credentials=access.token,
                ssl_ca_cert=access.ca_cert or None,
            )
        if client.health is None:
            client.get_kfp_healthz()
    except google.auth.exceptions.GoogleAuthError as error:
        why = client_errors.told(error, access)
        raise GenreflowError(f"{access.host}: Google gives no token: {why}") from None
    except client_errors.expected() as error:
        raise client_errors.in_words(error, access, "API of Kubeflow Pipelines 2") from None
    if not client.is_json:
        raise client_errors.not_the_api(access)
    namespace = client.get_user_namespace() or ""
    if client.health.multi_user and not namespace:
        raise UsageError(
            f"{access.host} has many users: give --namespace (or {NAMESPACE_VARIABLE}), that of "
            "your profile"
        )
    # With a single user everything runs in Kubeflow's own namespace, and it refuses to hear of any.
    return Client(access, client, namespace if client.health.multi_user else "")


def _check_settings(path: str) -> None:
    """kfp's client reads its own settings without a look at them.

    Raises:
      UsageError: they cannot be read.
    """
    try:
        with open(path, encoding="utf-8") as file:
            right = "namespace" in json.load(file)
    except FileNotFoundError:
        return
    except (OSError, ValueError, TypeError, RecursionError):
        right = False
    if not right:
        raise UsageError(
            f"{path}: the settings of kfp's client cannot be read; mend the file, or remove it"
        )


class Client:
    """A thin layer: one request a method (more where an experiment has to be found), and errors in
    words. `namespace`: what requests name, "" where Kubeflow has a single user.
    `pods_namespace`: where the steps are, as far as is known."""

    def __init__(self, access: Access, client: Any, namespace: str) -> None:
        self.access = access
        self.namespace = namespace
        self.pods_namespace = namespace or access.namespace or _NO_NAMESPACE
        self._client = client

    def submit(self, order: Order) -> Run:
        """Starts a run.

        Raises:
          GenreflowError: it was refused, or Kubeflow cannot be reached.
        """
        import kfp_server_api as api

        experiment_id = self._experiment(order.experiment, create=True)
        body = api.V2beta1Run(
            experiment_id=experiment_id,
            display_name=order.name,
            pipeline_spec=dict(order.package.spec),
            runtime_config=api.V2beta1RuntimeConfig(parameters=dict(order.parameters)),
            service_account=order.service_account or None,
        )
        try:
            answer = self._call("experiment", self._client.runs.create_run, body=body)
        except client_errors.PassingError as error:
            raise _unsure(error) from error
        return run_of(self._with_id(answer, "run_id"))

    def schedule(self, order: Order, cron: str) -> str:
        """Starts a run whenever a cron expression of six fields says so, one at a time, and none
        for times that were missed; returns the schedule's id.

        Raises:
          GenreflowError: it was refused, or Kubeflow cannot be reached.
        """
        import kfp_server_api as api

        experiment_id = self._experiment(order.experiment, create=True)
        body = api.V2beta1RecurringRun(
            experiment_id=experiment_id,
            display_name=order.name,
            mode=api.RecurringRunMode.ENABLE,
            pipeline_spec=dict(order.package.spec),
            runtime_config=api.V2beta1RuntimeConfig(parameters=dict(order.parameters)),
            trigger=api.V2beta1Trigger(cron_schedule=api.V2beta1CronSchedule(cron=cron)),
            max_concurrency="1",
            no_catchup=True,
            service_account=order.service_account or None,
        )
        method = self._client.recurring_runs.create_recurring_run
        try:
            answer = self._call("experiment", method, body=body)
        except client_errors.PassingError as error:
            raise _unsure(error) from error
        return str(self._with_id(answer, "recurring_run_id").recurring_run_id)

    def runs(self, limit: int, experiment: str = "") -> list[Run]:
        """The latest runs, newest first, without their steps; of one experiment where it is named.

        Raises:
          GenreflowError: no such experiment, or Kubeflow cannot be reached.
        """
        where: dict[str, str] = {}
        if experiment:
            where["experiment_id"] = self._experiment(experiment, create=False)
        elif self.namespace:
            where["namespace"] = self.namespace
        found: list[Run] = []
        page = ""
        while len(found) < limit:
            answer = self._call(
                "namespace",
                self._client.runs.list_runs,
                page_size=min(limit - len(found), _MAX_PAGE),
                page_token=page,
                sort_by="created_at desc",
                **where,
            )
            runs = answer.runs or []
            found += [run_of(one) for one in runs]
            page = answer.next_page_token or ""
            if not page or not runs:
                break
        return found[:limit]

    def run(self, run_id: str) -> Run:
        """A run as it is now, with its steps.

        Raises:
          NotFoundError: there is none with this id.
          PassingError: no answer, which may pass.
          GenreflowError: another refusal.
        """
        answer = self._call(f"run {run_id}", self._client.runs.get_run, run_id=run_id)
        return run_of(self._with_id(answer, "run_id"))

    def _experiment(self, name: str, *, create: bool) -> str:
        """The id of the experiment of a name."""
        import kfp_server_api as api

        predicate = {"operation": _EQUALS, "key": "display_name", "stringValue": name}
        experiments = self._client.experiments
        answer = self._call(
            "namespace",
            experiments.list_experiments,
            filter=json.dumps({"predicates": [predicate]}),
            **({"namespace": self.namespace} if self.namespace else {}),
        )
        # More than one of a name are not possible in one namespace.
        found = [one for one in answer.experiments or () if one.display_name == name]
        if not found and not create:
            raise client_errors.NotFoundError(f"--experiment {name}: there is none of that name")
        if not found:
            body = api.V2beta1Experiment(display_name=name, namespace=self.namespace or None)
            found = [self._call("namespace", experiments.create_experiment, body=body)]
        return str(self._with_id(found[0], "experiment_id").experiment_id)

    def _call(self, what: str, method: Any, **arguments: Any) -> Any:
        try:
            return method(**arguments, _request_timeout=TIMEOUT)
        except client_errors.expected() as error:
            raise client_errors.in_words(error, self.access, what) from None

    def _with_id(self, answer: Any, name: str) -> Any:
        """An answer that has an id: one that is no JSON leaves all fields empty."""
        if not isinstance(getattr(answer, name, None), str):
            raise client_errors.not_the_api(self.access)
        return answer


def _unsure(error: GenreflowError) -> GenreflowError:
    return GenreflowError(
        f"{error}\nwhether it was started nevertheless is not known; look before you try again: "
        "genreflow kubeflow runs"
    )
