"""Tests of versions that appear, vanish, fail and change while requests are answered."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import pathlib
import shutil
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from serving.model.model_files import ModelFolderError
from serving.protocol.protos import get_model_status_pb2
from serving.server.config.settings import Batching, Limits, ModelConfig, VersionPolicy
from serving.server.errors import ServingError
from serving.server.models import versions
from serving.server.models.manager import ModelManager
from serving.server.models.model_state import VersionState, VersionStatus
from serving.server.models.servable import Servable
from tests.support.serving_toys import clips

pytestmark = pytest.mark.memory

C = grpc.StatusCode
SOON_S = 120.0  # far longer than any test takes; only a hang reaches it
SOUND = clips(1)
ALL, TWO = VersionPolicy("all"), VersionPolicy("latest", 2)


@pytest.fixture(scope="module")
def answers(toy_models: pathlib.Path) -> dict[int, npt.NDArray[np.float32]]:
    """Return the outputs of each toy model for SOUND, computed by TensorFlow."""
    found = {}
    for number in (1, 2):
        model = tf.saved_model.load(str(toy_models / str(number)))
        answer = model.signatures["serving_default"](waveform=tf.constant(SOUND))
        found[number] = answer["probabilities"].numpy()
    assert not np.allclose(found[1], found[2], atol=1e-3)
    return found


@pytest.fixture
def root(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "models" / "genreflow"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def publish(toy_models: pathlib.Path, root: pathlib.Path) -> Callable[..., pathlib.Path]:
    """Return `publish(version, toy)`, which makes a version appear at once by a rename."""

    def publish(version: int, toy: int = 1, into: pathlib.Path = root) -> pathlib.Path:
        into.mkdir(exist_ok=True)
        scratch = shutil.copytree(toy_models / str(toy), into / f"tmp-{version}")
        # The toys' warm-up requests take a second, and are tested elsewhere.
        (scratch / "assets.extra" / "tf_serving_warmup_requests").unlink()
        return pathlib.Path(scratch).rename(into / str(version))

    return publish


class Running:
    """Running manager, with its events."""

    def __init__(self, configs: Sequence[ModelConfig], batching: Batching | None) -> None:
        self.said: list[str] = []
        self.manager = ModelManager(
            configs,
            batching=batching,
            limits=Limits(),
            poll_seconds=0.02,
            on_event=self.said.append,
        )

    def states(self, name: str = "genreflow") -> dict[int, VersionState]:
        return {status.version: status.state for status in self.status(name)}

    def status(self, name: str = "genreflow") -> list[VersionStatus]:
        try:
            return self.manager.status(name)
        except ServingError:
            return []

    def serves(self, *numbers: int, name: str = "genreflow") -> bool:
        states = self.states(name)
        return {n for n, state in states.items() if state is VersionState.AVAILABLE} == set(numbers)

    def ask(self, version: int | None = None, label: str | None = None) -> Any:
        with self.manager.lease("genreflow", version, label) as servable:
            return servable.predict("", {"waveform": SOUND})["probabilities"]


@pytest.fixture
def run(root: pathlib.Path) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def run(
        configs: Sequence[ModelConfig] | None = None,
        *,
        wait: bool = True,
        batching: Batching | None = None,
        **settings: Any,
    ) -> Running:
        running = Running(configs or [ModelConfig("genreflow", root, **settings)], batching)
        started.append(running)
        running.manager.start()
        if wait:
            running.manager.wait_until_available(SOON_S)
        return running

    yield run
    for running in started:
        running.manager.stop()


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.005)


def refused(code: grpc.StatusCode, act: Callable[[], object]) -> str:
    with pytest.raises(ServingError) as caught:
        act()
    assert caught.value.code is code
    return caught.value.message


def lease(running: Running, *arguments: Any) -> Callable[[], None]:
    def act() -> None:
        with running.manager.lease(*arguments):
            pass

    return act


def test_states_have_the_numbers_of_the_protocol() -> None:
    proto = get_model_status_pb2.ModelVersionStatus.State
    for state in VersionState:
        assert state.value == proto.Value(state.name)
    assert len(VersionState) == len(proto.keys()) - 1  # UNKNOWN


# Choice of the version


def test_the_highest_version_answers_and_others_do_if_asked_for(
    run: Any, publish: Any, answers: Any
) -> None:
    publish(3, toy=1)
    publish(11, toy=2)
    running = run(policy=ALL)
    assert running.serves(3, 11)
    np.testing.assert_allclose(running.ask(), answers[2], atol=1e-5)
    np.testing.assert_allclose(running.ask(3), answers[1], atol=1e-5)
    with running.manager.lease("genreflow") as servable:
        assert (servable.name, servable.version) == ("genreflow", 11)
    assert running.manager.models() == ("genreflow",)


def test_what_is_not_there_is_told_in_tensorflow_servings_words(run: Any, publish: Any) -> None:
    publish(1)
    running = run()
    said = [
        refused(C.NOT_FOUND, lease(running, "nobody")),
        refused(C.NOT_FOUND, lease(running, "nobody", 1)),
        refused(C.NOT_FOUND, lease(running, "genreflow", 7)),
        refused(C.INVALID_ARGUMENT, lease(running, "genreflow", None, "stable")),
        refused(C.NOT_FOUND, lambda: running.manager.status("nobody")),
        refused(C.NOT_FOUND, lambda: running.manager.status("genreflow", 7)),
        refused(C.INVALID_ARGUMENT, lambda: running.manager.status("genreflow", None, "stable")),
    ]
    assert said == [
        "Servable not found for request: Latest(nobody)",
        "Servable not found for request: Specific(nobody, 1)",
        "Servable not found for request: Specific(genreflow, 7)",
        "Unrecognized servable version label: stable",
        "Could not find any versions of model nobody",
        "Could not find version 7 of model genreflow",
        "Unrecognized servable version label: stable",
    ]
    assert running.manager.status("genreflow", 1) == [VersionStatus(1, VersionState.AVAILABLE)]


def test_policies_choose_what_is_loaded(run: Any, publish: Any, root: pathlib.Path) -> None:
    for number in (1, 2, 3):
        publish(number)
    for policy, expected in [
        (VersionPolicy(), {3}),
        (TWO, {2, 3}),
        (ALL, {1, 2, 3}),
        (VersionPolicy("specific", versions=(1, 3, 9)), {1, 3}),
    ]:
        running = run(policy=policy)
        assert running.serves(*expected), policy
        running.manager.stop()


def test_a_base_path_that_is_one_version_is_served(run: Any, publish: Any) -> None:
    version = publish(5)
    assert run([ModelConfig("genreflow", version)]).serves(5)


def test_labels_name_versions(run: Any, publish: Any, answers: Any) -> None:
    publish(1, toy=1)
    publish(2, toy=2)
    running = run(policy=ALL, labels={"stable": 1, "canary": 2})
    np.testing.assert_allclose(running.ask(label="stable"), answers[1], atol=1e-5)
    np.testing.assert_allclose(running.ask(label="canary"), answers[2], atol=1e-5)
    assert [s.version for s in running.manager.status("genreflow", label="stable")] == [1]


def test_a_label_of_a_version_that_is_not_served_stops_the_start(run: Any, publish: Any) -> None:
    publish(1)
    running = run(wait=False, labels={"stable": 7})
    with pytest.raises(ModelFolderError, match=r"label stable names version 7.*versions served: 1"):
        running.manager.wait_until_available(SOON_S)


# The start


def test_a_start_without_a_model_says_what_is_missing(
    run: Any, root: pathlib.Path, publish: Any
) -> None:
    def start(path: pathlib.Path, **settings: Any) -> str:
        running = run([ModelConfig("genreflow", path, **settings)], wait=False)
        with pytest.raises(ModelFolderError) as caught:
            running.manager.wait_until_available(SOON_S)
        running.manager.stop()
        return str(caught.value)

    assert "nowhere: No such file" in start(root / "nowhere")
    assert "contains no model" in start(root)
    (root / "1").mkdir()
    assert "1: incomplete model: saved_model.pb is missing" in start(root)
    publish(3)
    specific = VersionPolicy("specific", versions=(7, 8))
    assert "none of the versions 7, 8 exists; versions in the folder: 1, 3" in start(
        root, policy=specific
    )
    (root / "3" / "saved_model.pb").write_bytes(b"\xff\xff")
    assert "3/saved_model.pb: not a SavedModel" in start(root)


def test_one_bad_model_stops_the_start_and_is_named(
    run: Any, publish: Any, root: pathlib.Path
) -> None:
    publish(1)
    publish(1, into=root.parent / "bad")
    (root.parent / "bad" / "1" / "assets" / "genres.json").unlink()
    configs = [ModelConfig(name, root.parent / name) for name in ("bad", "genreflow")]
    running = run(configs, wait=False)
    with pytest.raises(ModelFolderError, match=r"^model bad: .*genres\.json"):
        running.manager.wait_until_available(SOON_S)
    wait_for(lambda: running.serves(1))  # the good one is served nevertheless


def test_names_are_checked_before_anything_is_read(root: pathlib.Path) -> None:
    for name in ("", "a/b", "../x", "a b", "-x", "x" * 129, "mödel"):
        assert "is not a model name" in refused(
            C.INVALID_ARGUMENT, lambda name=name: Running([ModelConfig(name, root)], None)
        )
    twice = [ModelConfig("a", root), ModelConfig("a", root)]
    assert refused(C.INVALID_ARGUMENT, lambda: Running(twice, None)) == (
        "Illegal to list model a multiple times in config list"
    )


# New versions


def test_a_new_version_takes_over_and_the_old_one_is_let_go(
    run: Any, publish: Any, answers: Any
) -> None:
    publish(1, toy=1)
    running = run()
    np.testing.assert_allclose(running.ask(), answers[1], atol=1e-5)
    publish(2, toy=2)
    wait_for(lambda: running.states() == {1: VersionState.END, 2: VersionState.AVAILABLE})
    np.testing.assert_allclose(running.ask(), answers[2], atol=1e-5)
    assert refused(C.NOT_FOUND, lambda: running.ask(1)) == (
        "Servable not found for request: Specific(genreflow, 1)"
    )
    wait_for(lambda: "genreflow: version 1 unloaded" in running.said)
    assert [line.split(" (")[0] for line in running.said] == [
        "genreflow: loading version 1",
        "genreflow: serving version 1",
        "genreflow: loading version 2",
        "genreflow: serving version 2",
        "genreflow: version 1 unloaded",
    ]


def test_the_old_version_answers_until_the_new_one_is_ready(
    run: Any, publish: Any, monkeypatch: pytest.MonkeyPatch, answers: Any
) -> None:
    publish(1, toy=1)
    running = run()
    may_load, real = threading.Event(), Servable.__init__

    def slow(self: Servable, *arguments: Any, **settings: Any) -> None:
        assert may_load.wait(SOON_S)
        real(self, *arguments, **settings)

    monkeypatch.setattr(Servable, "__init__", slow)
    publish(2, toy=2)
    wait_for(lambda: running.states() == {1: VersionState.AVAILABLE, 2: VersionState.LOADING})
    np.testing.assert_allclose(running.ask(), answers[1], atol=1e-5)
    may_load.set()
    wait_for(lambda: running.serves(2))


def test_a_version_in_use_is_let_go_only_afterwards_and_then_freed(run: Any, publish: Any) -> None:
    publish(1)
    running = run()
    with running.manager.lease("genreflow") as servable:
        model = weakref.ref(servable._model)
        publish(2)
        wait_for(lambda: running.states() == {1: VersionState.UNLOADING, 2: VersionState.AVAILABLE})
        for _ in range(3):  # polls that could free it wrongly
            time.sleep(0.03)
        assert servable.predict("", {"waveform": SOUND})["probabilities"].shape == (1, 3)
        assert model() is not None
        del servable
    wait_for(lambda: running.states() == {1: VersionState.END, 2: VersionState.AVAILABLE})
    gc.collect()
    wait_for(lambda: model() is None)


@pytest.mark.parametrize("batching", [None, Batching()])
def test_no_request_fails_while_versions_come_and_go(
    run: Any, publish: Any, answers: Any, root: pathlib.Path, batching: Batching | None
) -> None:
    publish(1, toy=1)
    running = run(batching=batching)
    stop, wrong, seen = threading.Event(), [], set()

    def client() -> None:
        while not stop.is_set():
            try:
                with running.manager.lease("genreflow") as servable:
                    answer = servable.predict("", {"waveform": SOUND})["probabilities"]
                    expected = answers[2 - servable.version % 2]
                    seen.add(servable.version)
                if not np.allclose(answer, expected, atol=1e-5):
                    wrong.append(f"version {servable.version} answered {answer}")
            except Exception as error:
                wrong.append(repr(error))

    threads = [threading.Thread(target=client) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        for number in (2, 3, 4):
            publish(number, toy=2 - number % 2)
            wait_for(lambda number=number: running.serves(number))
            wait_for(lambda number=number: running.states()[number - 1] is VersionState.END)
            wait_for(lambda number=number: number in seen)
            shutil.rmtree(root / str(number - 1))
    finally:
        stop.set()
        for thread in threads:
            thread.join(SOON_S)
    assert wrong == []
    assert seen == {1, 2, 3, 4}


# Incomplete copies


def test_a_half_copied_version_is_loaded_once_it_is_complete(
    run: Any, publish: Any, root: pathlib.Path, toy_models: pathlib.Path, answers: Any
) -> None:
    publish(1, toy=1)
    running = run()
    source, target = toy_models / "2", root / "2"
    files = sorted(path for path in source.rglob("*") if path.is_file())
    files.sort(key=lambda path: "variables.data" in path.name)  # the weights come last
    for path in files:
        assert running.states().get(2) in (None, VersionState.START)
        copied = target / path.relative_to(source)
        copied.parent.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes()
        if path is files[-1]:
            wait_for(lambda: running.states().get(2) is VersionState.START)
            wait_for(lambda: any("incomplete model" in line for line in running.said))
        copied.write_bytes(content)
    wait_for(lambda: running.serves(2))
    np.testing.assert_allclose(running.ask(), answers[2], atol=1e-5)
    assert not any("failed" in line for line in running.said)
    (told,) = {line for line in running.said if "incomplete model" in line}
    assert "version 2 waits: incomplete model: variables/variables.data" in told


def test_weights_that_arrive_slowly_cost_an_attempt_and_nothing_else(
    run: Any, publish: Any, root: pathlib.Path, answers: Any
) -> None:
    """Copy so slowly that nothing changes for a while although the last file is incomplete."""
    publish(1, toy=1)
    running = run()
    version = publish(9, toy=2, into=root.parent / "elsewhere")
    (data,) = (version / "variables").glob("variables.data*")
    content = data.read_bytes()
    data.write_bytes(content[:100])
    version.rename(root / "2")
    wait_for(lambda: running.states().get(2) is VersionState.END)
    (status,) = running.manager.status("genreflow", 2)
    assert status.code is C.FAILED_PRECONDITION
    assert status.message.startswith("genreflow/2: cannot be loaded (")
    np.testing.assert_allclose(running.ask(), answers[1], atol=1e-5)
    data = root / "2" / "variables" / data.name
    with data.open("ab") as file:
        file.write(content[100:])
    wait_for(lambda: running.serves(2))
    np.testing.assert_allclose(running.ask(), answers[2], atol=1e-5)


def test_a_version_that_is_replaced_while_it_loads_is_loaded_again(
    run: Any, publish: Any, root: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(1)
    real, attempts = Servable.__init__, []

    def overtaken(self: Servable, *arguments: Any, **settings: Any) -> None:
        real(self, *arguments, **settings)
        attempts.append(self)
        if len(attempts) == 1:
            (root / "1" / "assets" / "late.json").write_text("{}")

    monkeypatch.setattr(Servable, "__init__", overtaken)
    running = run()
    assert running.serves(1)
    with running.manager.lease("genreflow") as servable:
        assert servable is attempts[1]
    assert len(attempts) == 2


# Failures


def test_a_version_that_fails_leaves_the_old_one_and_is_tried_again_when_it_changes(
    run: Any, publish: Any, root: pathlib.Path, answers: Any
) -> None:
    publish(1, toy=1)
    running = run()
    bad = publish(9, toy=2, into=root.parent / "elsewhere")
    genres = (bad / "assets" / "genres.json").read_bytes()
    (bad / "assets" / "genres.json").write_text("[")
    bad.rename(root / "2")
    wait_for(lambda: running.states() == {1: VersionState.AVAILABLE, 2: VersionState.END})
    for _ in range(5):
        time.sleep(0.03)  # it is polled meanwhile, and not loaded again
    np.testing.assert_allclose(running.ask(), answers[1], atol=1e-5)
    failures = [line for line in running.said if "failed" in line]
    assert len(failures) == 1
    assert failures[0].startswith("genreflow: version 2 failed: ")
    assert "genres.json" in failures[0]
    (root / "2" / "assets" / "genres.json").write_bytes(genres)
    wait_for(lambda: running.serves(2))
    assert running.manager.status("genreflow", 2) == [VersionStatus(2, VersionState.AVAILABLE)]


def test_a_failing_version_takes_no_other_down_where_two_are_served(
    run: Any, publish: Any, root: pathlib.Path
) -> None:
    publish(1)
    publish(2)
    running = run(policy=TWO)
    bad = publish(9, into=root.parent / "elsewhere")
    (bad / "saved_model.pb").write_bytes(b"\xff\xff")
    bad.rename(root / "3")
    wait_for(lambda: running.states().get(3) is VersionState.END)
    time.sleep(0.1)
    assert running.serves(1, 2)
    publish(4)
    # Of the two latest, 3 and 4, one is served; 2 is kept in place of the other.
    wait_for(lambda: running.serves(2, 4))


def test_other_peoples_exceptions_do_not_end_the_polling(
    run: Any, publish: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(1)
    running = run()
    real, failing = tf.saved_model.load, [True]

    def load(path: str) -> Any:
        if failing:
            raise ZeroDivisionError("from the depths")
        return real(path)

    monkeypatch.setattr(tf.saved_model, "load", load)
    publish(2)
    wait_for(lambda: running.states().get(2) is VersionState.END)
    assert "from the depths" in running.manager.status("genreflow", 2)[0].message
    failing.clear()
    looks = [0]

    def broken(*arguments: Any) -> Any:
        looks[0] += 1
        raise ZeroDivisionError("in the thread itself")

    with monkeypatch.context() as patch:
        patch.setattr(versions, "list_versions", broken)
        wait_for(lambda: looks[0] > 2)
    assert any("in the thread itself" in line for line in running.said)
    publish(3)
    wait_for(lambda: running.serves(3))


def test_links_out_of_the_model_are_refused_and_the_rest_is_served(
    run: Any, publish: Any, root: pathlib.Path
) -> None:
    publish(1)
    running = run()
    outside = publish(1, into=root.parent / "outside")
    (root / "2").symlink_to(outside)
    wait_for(lambda: running.states() == {1: VersionState.AVAILABLE, 2: VersionState.END})
    (status,) = running.manager.status("genreflow", 2)
    assert status.message == "genreflow/2: refused: 2 is a link that leads out of genreflow"
    assert running.serves(1)


# Versions that vanish


@pytest.mark.parametrize("what", ["version", "everything"])
def test_what_is_loaded_is_served_on_when_its_folder_vanishes(
    run: Any, publish: Any, root: pathlib.Path, what: str, answers: Any
) -> None:
    publish(1, toy=1)
    running = run()
    shutil.rmtree(root / "1" if what == "version" else root)
    time.sleep(0.2)  # several polls
    np.testing.assert_allclose(running.ask(), answers[1], atol=1e-5)
    root.mkdir(exist_ok=True)
    publish(2, toy=2)
    wait_for(lambda: running.serves(2))


def test_a_version_that_vanishes_beside_others_is_let_go(
    run: Any, publish: Any, root: pathlib.Path
) -> None:
    publish(1)
    publish(2)
    running = run()
    assert running.serves(2)
    shutil.rmtree(root / "2")
    wait_for(lambda: running.states() == {1: VersionState.AVAILABLE, 2: VersionState.END})


# Reload


def test_reload_replaces_the_list(run: Any, publish: Any, root: pathlib.Path) -> None:
    publish(1)
    publish(4, into=root.parent / "other")
    running = run()
    running.manager.reload([ModelConfig("other", root.parent / "other")])
    assert running.manager.models() == ("other",)
    assert running.serves(4, name="other")
    assert refused(C.NOT_FOUND, lease(running, "genreflow")) == (
        "Servable not found for request: Latest(genreflow)"
    )
    wait_for(lambda: running.states() == {1: VersionState.END})
    running.manager.reload([ModelConfig("genreflow", root)])
    assert running.serves(1)


def test_reload_of_the_same_list_changes_nothing(
    run: Any, publish: Any, root: pathlib.Path
) -> None:
    publish(1)
    running = run()
    said = list(running.said)
    shutil.rmtree(root)  # not even if the folder is gone meanwhile
    running.manager.reload([ModelConfig("genreflow", root)])
    assert running.serves(1)
    assert running.said == said


def test_reload_changes_policy_labels_and_path_without_a_gap(
    run: Any, publish: Any, root: pathlib.Path, answers: Any
) -> None:
    publish(1, toy=1)
    publish(2, toy=2)
    running = run()
    config = ModelConfig("genreflow", root, ALL)
    running.manager.reload([config])
    wait_for(lambda: running.serves(1, 2))
    running.manager.reload([dataclasses.replace(config, labels={"stable": 1})])
    np.testing.assert_allclose(running.ask(label="stable"), answers[1], atol=1e-5)
    # Version 2 of another folder is another model.
    moved = root.parent / "moved"
    publish(2, toy=1, into=moved)
    running.manager.reload([ModelConfig("genreflow", moved)])
    np.testing.assert_allclose(running.ask(), answers[1], atol=1e-5)
    wait_for(lambda: running.serves(2))


def test_reload_refuses_bad_lists_and_keeps_the_old_one(
    run: Any, publish: Any, root: pathlib.Path
) -> None:
    publish(1)
    running = run()
    config = ModelConfig("genreflow", root)
    reload = running.manager.reload
    assert "multiple times" in refused(C.INVALID_ARGUMENT, lambda: reload([config, config]))
    assert "is not a model name" in refused(
        C.INVALID_ARGUMENT, lambda: reload([ModelConfig("a/b", root)])
    )
    labelled = dataclasses.replace(config, labels={"stable": 2})
    assert refused(C.FAILED_PRECONDITION, lambda: reload([labelled])) == (
        "Request to assign label to version 2 of model genreflow, "
        "which is not currently available for inference"
    )
    assert running.manager.models() == ("genreflow",)
    assert running.serves(1)


def test_reload_fails_with_the_reason_and_without_paths(
    run: Any, publish: Any, root: pathlib.Path
) -> None:
    publish(1)
    running = run()
    bad = publish(3, into=root.parent / "bad")
    (bad / "assets" / "genres.json").unlink()
    good = ModelConfig("genreflow", root)
    message = refused(
        C.UNKNOWN,
        lambda: running.manager.reload([good, ModelConfig("bad", root.parent / "bad")]),
    )
    assert message.startswith("1 model(s) did not become available: {{bad: bad/3/assets/genres")
    assert str(root.parent) not in message
    assert running.serves(1)
    message = refused(
        C.UNKNOWN, lambda: running.manager.reload([good, ModelConfig("none", root / "none")])
    )
    assert (
        message == "1 model(s) did not become available: {{none: none: No such file or directory}}"
    )
    assert running.manager.models() == ("genreflow", "none")


def test_a_model_that_is_removed_while_it_loads_is_freed(
    run: Any, publish: Any, root: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(1)
    may_load, real, made = threading.Event(), Servable.__init__, []

    def slow(self: Servable, *arguments: Any, **settings: Any) -> None:
        assert may_load.wait(SOON_S)
        real(self, *arguments, **settings)
        made.append(weakref.ref(self._model))

    monkeypatch.setattr(Servable, "__init__", slow)
    running = run(wait=False)
    wait_for(lambda: running.states() == {1: VersionState.LOADING})
    running.manager.reload([])
    may_load.set()
    wait_for(lambda: running.states() == {1: VersionState.END})
    gc.collect()
    assert made[0]() is None
    assert refused(C.NOT_FOUND, lease(running, "genreflow"))


def test_a_listener_that_fails_keeps_no_version_from_being_served(
    run: Any, publish: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(1)

    def broken(words: str) -> None:
        raise BrokenPipeError(words)

    running = Running([ModelConfig("genreflow", publish(2).parent)], None)
    monkeypatch.setattr(running.manager, "_on_event", broken)
    running.manager.start()
    try:
        running.manager.wait_until_available(SOON_S)
        publish(3)
        wait_for(lambda: running.states() == {2: VersionState.END, 3: VersionState.AVAILABLE})
    finally:
        running.manager.stop()


def test_an_empty_list_unloads_everything(run: Any, publish: Any) -> None:
    publish(1)
    running = run()
    running.manager.reload([])
    assert running.manager.models() == ()
    wait_for(lambda: running.states() == {1: VersionState.END})


# Shutdown


def test_stop_frees_every_version_and_ends_the_thread(run: Any, publish: Any) -> None:
    others = set(threading.enumerate())  # threads of another test's server
    publish(1)
    running = run(batching=Batching())
    with running.manager.lease("genreflow") as servable:
        model = weakref.ref(servable._model)
    del servable
    running.manager.stop()
    gc.collect()
    assert model() is None
    left = set(threading.enumerate()) - others
    assert not any(thread.name == "serving-models" for thread in left)
    assert refused(C.NOT_FOUND, lease(running, "genreflow"))


def test_a_request_in_work_at_the_stop_is_answered(run: Any, publish: Any) -> None:
    publish(1)
    running = run()
    with contextlib.ExitStack() as stack:
        servable = stack.enter_context(running.manager.lease("genreflow"))
        running.manager.stop()
        assert servable.predict("", {"waveform": SOUND})["probabilities"].shape == (1, 3)
    with pytest.raises(ServingError, match="was unloaded"):
        servable.predict("", {"waveform": SOUND})


def test_records_of_versions_that_are_gone_do_not_pile_up(
    run: Any, publish: Any, root: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.server.models.model_state.MAX_ENDED_VERSIONS", 2)
    running = run(wait=False)
    for number in (1, 2, 3, 4, 5):
        publish(number)
        wait_for(lambda number=number: running.serves(number))
        shutil.rmtree(root / str(number - 1), ignore_errors=True)
    wait_for(lambda: set(running.states()) == {3, 4, 5})
