"""requirements/pyfarmhash gives the numbers of the compiled pyfarmhash."""

from __future__ import annotations

import importlib.machinery
import importlib.metadata
import importlib.util
import re
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from tests.conftest import raise_missing
from tests.support import ROOT

FOLDER = ROOT / "requirements/pyfarmhash"

# By the compiled pyfarmhash 0.3.2: a length in bytes, and both fingerprints of `example`.
KNOWN = [
    (0, 3696677242, 11160318154034397263),
    (1, 3649045717, 5598742704964665833),
    (3, 3421984558, 472031463130094354),
    (4, 3366586810, 10762788219547571639),
    (5, 1301467066, 13512115534042160021),
    (7, 3913300144, 11896592186969732513),
    (8, 3880954952, 9204492617566207020),
    (12, 4278715553, 9646817507125549725),
    (13, 4174854978, 9411671781875345133),
    (16, 1470949229, 8099147237000020326),
    (17, 2030749143, 18295605588406030051),
    (24, 2184784817, 6196192235453721616),
    (25, 3686898545, 14256673194557528842),
    (32, 3839672562, 17199568034171227552),
    (33, 1441408014, 290331384137548897),
    (41, 4216433934, 18290519912423072809),
    (64, 3074247016, 3246133104436874347),
    (65, 1136875109, 13905585923972186295),
    (128, 99006782, 5747294336869354203),
    (129, 2613899945, 3459858465809817193),
    (1000, 1694990113, 5392850045322246165),
]


def loaded(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("farmhash", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def ours() -> ModuleType:
    return loaded(str(FOLDER / "farmhash.py"))


@pytest.fixture(scope="module")
def compiled() -> ModuleType:
    spec = importlib.util.find_spec("farmhash")
    assert spec is not None
    assert spec.origin is not None
    if not isinstance(spec.loader, importlib.machinery.ExtensionFileLoader):
        raise_missing("a .venv that was made with a C++ compiler, so that pyfarmhash is compiled")
    return loaded(spec.origin)


def example(length: int) -> str:
    return "".join(chr(1 + (i * i * 7 + length) % 127) for i in range(length))


@pytest.mark.parametrize(("length", "of_32_bits", "of_64_bits"), KNOWN)
def test_fingerprints_are_the_published_ones(
    length: int, of_32_bits: int, of_64_bits: int, ours: ModuleType
) -> None:
    assert ours.fingerprint32(example(length)) == of_32_bits
    assert ours.fingerprint64(example(length)) == of_64_bits


@given(
    # pyfarmhash takes no NUL. A long text is many times a short one, and so is not slow to make.
    text=st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    times=st.integers(1, 9),
)
def test_any_text_has_the_same_fingerprints(
    text: str, times: int, ours: ModuleType, compiled: ModuleType
) -> None:
    assert ours.fingerprint32(text * times) == compiled.fingerprint32(text * times)
    assert ours.fingerprint64(text * times) == compiled.fingerprint64(text * times)


def test_every_length_has_the_same_fingerprints(ours: ModuleType, compiled: ModuleType) -> None:
    for length in range(300):
        # Two bytes a character, the first above 127.
        text = example(length) + "é" * (length % 3)
        assert ours.fingerprint32(text) == compiled.fingerprint32(text), length
        assert ours.fingerprint64(text) == compiled.fingerprint64(text), length


def test_both_take_text_alone(ours: ModuleType, compiled: ModuleType) -> None:
    for module in (ours, compiled):
        with pytest.raises(TypeError):
            module.fingerprint64(b"bytes")


def test_the_stand_in_is_a_version_that_the_locks_and_data_validation_take() -> None:
    text = (FOLDER / "pyproject.toml").read_text("utf-8")
    (version,) = re.findall(r'^version = "(.+)"$', text, re.MULTILINE)
    for generation in ("1.16", "1.21"):
        lock = (ROOT / "requirements" / generation / "dev.lock").read_text("utf-8")
        assert f"\npyfarmhash=={version.split('+')[0]} " in lock
    wanted = map(Requirement, importlib.metadata.requires("tensorflow-data-validation") or [])
    (specifier,) = [found.specifier for found in wanted if found.name == "pyfarmhash"]
    assert specifier.contains(version)
