"""A line of code changed is a digest changed; nothing else is."""

from __future__ import annotations

import pathlib

import pytest

from components.artifacts import code_digest as module


@pytest.fixture
def sources(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    for name in ("audio/mel.py", "audio/decode.py", "gate/rules.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"# {name}\n")
    monkeypatch.setattr(module, "_ROOT", tmp_path)
    module.code_digest.cache_clear()
    yield tmp_path
    module.code_digest.cache_clear()


def _digest(*packages: str) -> str:
    module.code_digest.cache_clear()
    return module.code_digest(*packages)


def test_a_changed_line_a_new_file_and_a_renamed_file_change_it(sources: pathlib.Path) -> None:
    seen = {_digest("audio")}
    (sources / "audio" / "mel.py").write_text("# another line\n")
    seen.add(_digest("audio"))
    (sources / "audio" / "new.py").write_text("")
    seen.add(_digest("audio"))
    (sources / "audio" / "new.py").rename(sources / "audio" / "newer.py")
    seen.add(_digest("audio"))
    assert len(seen) == 4


def test_other_packages_and_the_order_of_names_do_not(sources: pathlib.Path) -> None:
    before = _digest("audio", "gate/rules.py")
    assert _digest("gate/rules.py", "audio") == before
    alone = _digest("audio")
    (sources / "gate" / "rules.py").write_text("# changed\n")
    assert _digest("audio") == alone
    assert _digest("audio", "gate/rules.py") != before


def test_a_mistyped_package_is_an_error_and_not_a_digest_that_never_changes(
    sources: pathlib.Path,
) -> None:
    with pytest.raises(FileNotFoundError, match="audioo"):
        _digest("audioo")
