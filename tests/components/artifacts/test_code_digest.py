"""A changed line changes the digests of the nodes that may execute it, and no others."""

from __future__ import annotations

import pathlib
import shutil

import pytest

from components.artifacts import code_digest as module
from components.datasets import registry
from components.models import architectures
from tests.support import ROOT

SMALL = {
    "components/__init__.py": "",
    "components/gate/__init__.py": "",
    "components/gate/executor.py": """
        from typing import TYPE_CHECKING

        from components.gate import rules
        if TYPE_CHECKING:
            from components.seen_by_type_checkers import Name

        def work():
            from components.late.names import NAME
    """,
    "components/gate/rules.py": "import components.table\n",
    "components/gate/not_imported.py": "",
    "components/late/__init__.py": "",
    "components/late/names.py": "NAME = 'components.absent'\n",
    "components/seen_by_type_checkers.py": "",
    "components/table.py": "ALL = ('components.first', 'components.second', 'components')\n",
    "components/first.py": "from components.gate import rules\n",
    "components/second.py": "",
}
GATE = "components.gate.executor"
SPECTROGRAMS = "components.spectrogram_gen.executor"
CLIPS = "components.spectrogram_gen.extract"
CHECK = "components.data_check.executor"
BASELINES = "components.baselines.executor"
TUNER = "components.tuner.executor"
TRAINER = "components.trainer.run_fn"
ENSEMBLER = "components.ensemble.executor"
REPORT = "components.report.executor"
ROOTS = (SPECTROGRAMS, CLIPS, CHECK, BASELINES, TUNER, TRAINER, ENSEMBLER, GATE, REPORT)
VGG16 = architectures.code_of("vgg16")


@pytest.fixture
def sources(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.setattr(module, "ROOT", tmp_path)
    yield tmp_path
    module.code_digest.cache_clear()


@pytest.fixture
def small(sources: pathlib.Path) -> pathlib.Path:
    import textwrap

    for name, text in SMALL.items():
        path = sources / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return sources


@pytest.fixture
def real(sources: pathlib.Path) -> pathlib.Path:
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "components", sources / "components", ignore=ignored)
    return sources


def _digest(name: str, *instead: tuple[str, tuple[str, ...]]) -> str:
    module.code_digest.cache_clear()
    return module.code_digest(name, *instead)


def test_imports_of_every_shape_are_followed(small: pathlib.Path) -> None:
    assert module.modules_of(GATE) == {
        "components", "components.gate", "components.gate.executor", "components.gate.rules",
        "components.late", "components.late.names",
        "components.table", "components.first", "components.second",
    }  # fmt: skip


def test_a_table_can_be_narrowed_to_what_a_node_uses(small: pathlib.Path) -> None:
    one = module.modules_of(GATE, {"components.table": ["components.second"]})
    assert module.modules_of(GATE) - one == {"components.first"}


def test_a_changed_file_changes_the_digest_and_an_unused_one_does_not(small: pathlib.Path) -> None:
    before = _digest(GATE)
    (small / "components/gate/not_imported.py").write_text("# a line\n")
    (small / "components/seen_by_type_checkers.py").write_text("# a line\n")
    assert _digest(GATE) == before
    seen = {before}
    for name in ("gate/executor.py", "gate/__init__.py", "late/names.py", "second.py"):
        path = small / "components" / name
        path.write_text(path.read_text() + "# a line\n")
        seen.add(_digest(GATE))
    assert len(seen) == 5


def test_an_unknown_module_is_an_error(small: pathlib.Path) -> None:
    """Refuse such a name, as its digest would never change."""
    with pytest.raises(ModuleNotFoundError, match=r"components\.gates\.executor: no such module"):
        _digest("components.gates.executor")


@pytest.mark.parametrize(
    ("changed", "rerun"),
    [
        ("audio/decoding/mpeg.py", {SPECTROGRAMS, CLIPS, GATE}),
        ("audio/spectrogram/mel.py", {SPECTROGRAMS, CLIPS, TRAINER, ENSEMBLER}),
        ("audio/spectrogram/mel_graph.py", {TRAINER, ENSEMBLER}),
        ("audio/spectrogram/colours.py", {TUNER, TRAINER, REPORT}),
        ("audio/params.py", set(ROOTS)),
        ("datasets/split/grouping.py", {SPECTROGRAMS}),
        ("datasets/track.py", {SPECTROGRAMS, CLIPS, CHECK, GATE, REPORT}),
        ("datasets/readers/fma.py", {SPECTROGRAMS}),
        ("synthesis/rhythm.py", set()),
        ("models/vgg16.py", {TUNER, TRAINER}),
        ("trainer/training.py", {TUNER, TRAINER}),
        ("trainer/phases.py", {TUNER, TRAINER}),
        ("trainer/run_fn.py", {TRAINER}),
        ("trainer/task.py", {TUNER, TRAINER}),
        ("common/resources.py", {BASELINES, TUNER, TRAINER, GATE}),
        ("tuner/space.py", {TUNER}),
        ("baselines/models.py", {BASELINES}),
        ("predictions/table.py", {BASELINES, ENSEMBLER, GATE, REPORT}),
        ("predictions/selection.py", {ENSEMBLER, GATE, REPORT}),
        ("export/assets.py", {CHECK, TRAINER, ENSEMBLER, GATE, REPORT}),
        ("export/serving_module.py", {TRAINER, ENSEMBLER}),
        ("ensemble/members.py", {ENSEMBLER, GATE}),
        ("ensemble/rows.py", {ENSEMBLER}),
        ("gate/rules.py", {GATE}),
        ("report/plots.py", {REPORT}),
        ("serving_check/sounds.py", set()),
    ],
)
def test_a_line_deep_in_the_graph_reruns_the_right_components(
    changed: str, rerun: set[str], real: pathlib.Path
) -> None:
    before = {name: _digest(name) for name in ROOTS}
    path = real / "components" / changed
    path.write_text(path.read_text() + "\nA_LINE = 1\n")
    assert {name for name in ROOTS if _digest(name) != before[name]} == rerun


def test_a_network_reruns_its_own_trainer_only(real: pathlib.Path) -> None:
    before = _digest(TRAINER, VGG16)
    (real / "components/models/crnn.py").write_text("")
    assert _digest(TRAINER, VGG16) == before
    (real / "components/models/vgg16.py").write_text("")
    assert _digest(TRAINER, VGG16) != before


def test_a_reader_reruns_the_decoding_of_its_own_kind_only(real: pathlib.Path) -> None:
    fma = (registry.__name__, (registry.READERS["fma"].module,))
    before = _digest(SPECTROGRAMS, fma)
    (real / "components/datasets/readers/manifest.py").write_text("")
    assert _digest(SPECTROGRAMS, fma) == before
    (real / "components/datasets/readers/fma.py").write_text("")
    assert _digest(SPECTROGRAMS, fma) != before
