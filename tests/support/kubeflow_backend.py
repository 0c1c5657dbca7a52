"""Backend for compiled pipelines: runs each step's command line in its own process.

It knows KFP's intermediate representation (kfp-pipeline-spec's proto) and nothing of the compiler
under test. It orders the tasks, resolves their placeholders, sets their variables, retries failed
ones, and always runs the exit handler. The resources and the node selector of each step's pod are
worked out and kept, not enforced. Other things that a cluster adds (volumes, secrets) are only
checked for presence.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from tests.support import ROOT
from tests.support.kubeflow_launcher import Launcher, Recorded, Value

STEP_SECONDS = 900


def final_status(run_id: str, task: str, state: str) -> dict[str, Any]:
    """Return a PipelineTaskFinalStatus as the driver of releases 2.14.0 to 2.17.0 passes it.

    Recorded after a success. The state is that of an execution in ML Metadata, and `error` stays
    empty in all cases (backend/src/v2/driver/resolve.go).

    Args:
      run_id: the run's id.
      task: name of the group of tasks that ended.
      state: its state, such as COMPLETE, FAILED, or RUNNING if a driver died.
    """
    return {
        "error": {},
        "pipelineJobResourceName": f"genreflow-{run_id}",
        "pipelineTaskName": task,
        "state": state,
    }


@dataclasses.dataclass
class Attempt:
    """Attempt of a step.

    Attributes:
      task: the step's task.
      status: exit status.
      output: printed text.
      begun: start, in monotonic seconds.
      ended: end, in monotonic seconds.
    """

    task: str
    status: int
    output: str
    begun: float
    ended: float


@dataclasses.dataclass(frozen=True)
class Pod:
    """Pod of a step, as the driver wants it.

    Attributes:
      limits: limits of its container by resource, such as "nvidia.com/gpu".
      node_selector: labels of the machines it may run on.
    """

    limits: dict[str, str]
    node_selector: dict[str, str]


@dataclasses.dataclass
class Run:
    """Result of a run.

    Attributes:
      attempts: in order of their ends.
      succeeded: whether all steps succeeded.
      artifacts: output artifacts by task and name.
      parameters: output parameters by task and name.
      pods: by task.
    """

    attempts: list[Attempt]
    succeeded: bool
    artifacts: dict[str, dict[str, Recorded]]
    parameters: dict[str, dict[str, Value]]
    pods: dict[str, Pod] = dataclasses.field(default_factory=dict)

    @property
    def pages(self) -> dict[str, str]:
        """Return the HTML that steps wrote, by task."""
        return {
            task: found["page"].content
            for task, found in self.artifacts.items()
            if "page" in found and found["page"].content is not None
        }

    def of(self, task: str) -> list[Attempt]:
        return [attempt for attempt in self.attempts if attempt.task == task]


class Backend:
    """Backend for one compiled file, which it can run repeatedly."""

    def __init__(
        self,
        compiled: pathlib.Path,
        scratch: pathlib.Path,
        *,
        environment: Mapping[str, str] | None = None,
        parallel: int = 1,
        on_start: Callable[[str, int, subprocess.Popen[str]], None] | None = None,
    ) -> None:
        """Read the file.

        Args:
          compiled: KFP's YAML: the pipeline, and its Kubernetes settings.
          scratch: folder for the steps' outputs.
          environment: variables of all steps, in place of Secrets.
          parallel: maximum number of steps at once.
          on_start: called with (task, attempt, process) at each start, to disturb it.
        """
        import yaml  # late: with kfp it takes two seconds, and every test loads this module
        from google.protobuf import json_format
        from kfp.pipeline_spec import pipeline_spec_pb2

        documents = list(yaml.safe_load_all(compiled.read_text(encoding="utf-8")))
        self.spec = json_format.ParseDict(documents[0], pipeline_spec_pb2.PipelineSpec())
        self.platform = documents[1] if len(documents) > 1 else {}
        self._executors = json_format.MessageToDict(self.spec.deployment_spec)["executors"]
        self._scratch, self._environment = scratch, dict(environment or {})
        self._parallel, self._on_start = parallel, on_start
        self._lock = threading.Lock()

    def run(self, run_id: str, **parameters: str) -> Run:
        """Run the pipeline.

        Args:
          run_id: the run's id.
          **parameters: values that a user gives when starting a run.
        """
        root = self.spec.root
        given = self._pipeline_inputs(root.input_definitions.parameters, parameters)
        outcome = Run([], True, {}, {})
        handlers = []
        for name, task in root.dag.tasks.items():
            if task.trigger_policy.strategy == task.trigger_policy.ALL_UPSTREAM_TASKS_COMPLETED:
                handlers.append((name, task))
        inner = {
            name: task for name, task in root.dag.tasks.items() if (name, task) not in handlers
        }
        states = self._run_dag(inner, given, run_id, outcome)
        outcome.succeeded = all(states.values())
        for name, task in handlers:
            values = self._task_inputs(task, given, run_id, states, outcome)
            outcome.succeeded &= self._run_task(name, task, values, run_id, outcome)
        return outcome

    def _pipeline_inputs(self, known: Any, given: Mapping[str, str]) -> dict[str, Value]:
        unknown = given.keys() - set(known)
        assert not unknown, f"the pipeline has no parameters {unknown}"
        values = {name: str(spec.default_value.string_value) for name, spec in known.items()}
        lacking = [n for n, spec in known.items() if not spec.is_optional and n not in given]
        assert not lacking, f"no value for {lacking}"
        return {**values, **given}

    def _run_dag(
        self, tasks: Mapping[str, Any], given: Mapping[str, Value], run_id: str, outcome: Run
    ) -> dict[str, bool]:
        """Run each task after its dependencies, and nothing that depends on a failed one."""
        states: dict[str, bool] = {}
        waiting = dict(tasks)
        running: dict[concurrent.futures.Future[bool], str] = {}
        with concurrent.futures.ThreadPoolExecutor(self._parallel) as pool:
            while waiting or running:
                ready = [
                    name
                    for name, task in waiting.items()
                    if all(states.get(before) for before in task.dependent_tasks)
                ]
                for name in sorted(ready):
                    task = waiting.pop(name)
                    values = self._task_inputs(task, given, run_id, states, outcome)
                    future = pool.submit(self._run_task, name, task, values, run_id, outcome)
                    running[future] = name
                if not running:  # the others depend on failed ones
                    states.update(dict.fromkeys(waiting, False))
                    break
                done, _ = concurrent.futures.wait(running, return_when="FIRST_COMPLETED")
                for future in done:
                    states[running.pop(future)] = future.result()
        return states

    def _task_inputs(
        self,
        task: Any,
        given: Mapping[str, Value],
        run_id: str,
        states: Mapping[str, bool],
        outcome: Run,
    ) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for name, source in task.inputs.parameters.items():
            kind = source.WhichOneof("kind")
            if kind == "component_input_parameter":
                values[name] = given[source.component_input_parameter]
            elif kind == "runtime_value":
                constant = source.runtime_value.constant.string_value
                values[name] = constant.replace("{{$.pipeline_job_uuid}}", run_id)
            elif kind == "task_output_parameter":
                output = source.task_output_parameter
                values[name] = outcome.parameters[output.producer_task][output.output_parameter_key]
            elif kind == "task_final_status":
                producer = source.task_final_status.producer_task
                values[name] = json.dumps(
                    final_status(run_id, producer, "COMPLETE" if states[producer] else "FAILED")
                )
            else:
                raise AssertionError(f"{name}: a parameter of kind {kind}")
        return values

    def _run_task(
        self, name: str, task: Any, values: dict[str, Value], run_id: str, outcome: Run
    ) -> bool:
        component = self.spec.components[task.component_ref.name]
        if component.WhichOneof("implementation") == "dag":
            states = self._run_dag(component.dag.tasks, values, run_id, outcome)
            return all(states.values())
        executor = self._executors[component.executor_label]["container"]
        platform = self._platform_of(component.executor_label)
        disk = self._scratch / run_id / name
        tries = 1 + task.retry_policy.max_retry_count
        variables = {item["name"]: item["value"] for item in executor.get("env", [])}
        for number in range(tries):
            launcher = Launcher(component, values, run_id, name, str(disk))
            outcome.pods[name] = Pod(
                launcher.resources(executor), _node_selector(platform, outcome.parameters)
            )
            words = [*executor["command"], *executor.get("args", [])]
            command = [launcher.resolve(word) for word in words]
            assert command[0] == "python", command
            attempt = self._try(name, number, command, variables)
            with self._lock:
                outcome.attempts.append(attempt)
            if attempt.status == 0:
                outcome.artifacts[name], outcome.parameters[name] = launcher.collect()
                return True
        return False

    def _platform_of(self, label: str) -> dict[str, Any]:
        """Return the KubernetesExecutorConfig of an executor, as JSON."""
        kubernetes = self.platform.get("platforms", {}).get("kubernetes", {})
        found: dict[str, Any] = kubernetes.get("deploymentSpec", {}).get("executors", {})
        config: dict[str, Any] = found.get(label, {})
        return config

    def _try(
        self, name: str, number: int, command: list[str], variables: Mapping[str, str]
    ) -> Attempt:
        begun = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, *command[1:]],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), **self._environment, **variables},
            start_new_session=True,
        )
        if self._on_start:
            self._on_start(name, number, process)
        output, _ = process.communicate(timeout=STEP_SECONDS)
        return Attempt(name, process.returncode, output, begun, time.monotonic())


def _node_selector(
    platform: Mapping[str, Any], outputs: Mapping[str, Mapping[str, Value]]
) -> dict[str, str]:
    """Return a pod's node selector, as extendPodSpecPatch in backend/src/v2/driver/k8s.go finds it.

    Args:
      platform: the step's KubernetesExecutorConfig.
      outputs: output parameters of the tasks that have ended.
    """
    selector = platform.get("nodeSelector", {})
    if source := selector.get("nodeSelectorJson"):
        source = source["taskOutputParameter"]
        value = outputs[source["producerTask"]][source["outputParameterKey"]]
        assert isinstance(value, dict), "the driver reads a parameter of type STRUCT"
        return value
    return dict(selector.get("labels", {}))
