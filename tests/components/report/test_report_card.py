"""Texts of the model card."""

from __future__ import annotations

from typing import Any

import pytest

from components.report import card


def _card(values: dict[str, Any], kind: str = "fma", **changes: Any) -> card.ModelCard:
    arguments: dict[str, Any] = {
        "candidate": "crnn", "members": [], "parameters": 1234567, "clip_seconds": 2.0,
        "leaky": False,
    }  # fmt: skip
    data = {"dataset": {"kind": kind, "fma_subset": "small"}, "split": {"policy": "by_artist"}}
    return card.make(values, data, **{**arguments, **changes})


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("fma", "Creative Commons"), ("fma", "its own licence"),
        ("gtzan", "no clear licence"), ("synthetic", "no use for real music"),
        ("folder", "does not know its licence"),
        ("manifest", "does not know its licence"),
    ],
)  # fmt: skip
def test_each_kind_of_data_has_what_is_known_of_its_licence(kind: str, words: str) -> None:
    assert words in _card({}, kind).licence


def test_the_card_says_what_it_is_of_which_data_and_which_code() -> None:
    values = {"audio_hash": "a" * 16, "code_digest": "c" * 16, "versions": {"keras": "3.12.4"}}
    rows = dict(_card(values).rows)
    assert rows["Model"] == "crnn"
    assert rows["Weights"] == "1,234,567"
    assert rows["Data"] == "Free Music Archive (FMA), subset small"
    assert rows["Split"] == "by_artist"
    assert rows["Audio parameters"] == "a" * 16
    assert rows["Code"] == "c" * 16
    assert rows["Version of keras"] == "3.12.4"
    assert "Average of" not in rows
    assert "Weights" not in dict(_card(values, parameters=None).rows)


def test_weights_that_a_network_starts_from_are_named_with_data_licence_and_paper() -> None:
    known = {
        "weights": "msd", "trained_on": "a million songs", "licence": "ISC",
        "paper": "https://example.org/paper",
    }  # fmt: skip
    rows = dict(_card({"pretrained": known}).rows)
    assert rows["Starts from"] == "msd, a million songs (licence ISC, https://example.org/paper)"
    assert "Starts from" not in dict(_card({"pretrained": None}).rows)
    members = {"crnn": {"pretrained": None}, "vgg16": {"pretrained": {"weights": "b.h5"}}}
    rows = dict(_card({"members": members}, members=["crnn", "vgg16"]).rows)
    assert rows["vgg16 starts from"] == "b.h5, of unknown origin"
    assert "crnn starts from" not in rows


def test_settings_are_flat_and_those_of_an_average_are_its_members() -> None:
    one = {"settings": {"epochs": 3, "search": {"rate": 0.1}, "l2": None}}
    assert _card(one).settings == [("epochs", "3"), ("l2", ""), ("search.rate", "0.1")]
    members = {"vgg16": {"settings": {"epochs": 5}}, "crnn": {"settings": {"epochs": 3}}}
    made = _card({"members": members}, candidate="ensemble_networks", members=["crnn", "vgg16"])
    assert made.settings == [("crnn: epochs", "3"), ("vgg16: epochs", "5")]
    assert dict(made.rows)["Average of"] == "crnn, vgg16"


def test_limits_name_what_this_run_lacks() -> None:
    even = " ".join(_card({"train_clips_per_genre": {"Folk": 100, "Rock": 60}}).limits)
    assert "2 seconds" in even
    assert "equally frequent" not in even
    assert "too good" not in even
    uneven = _card({"train_clips_per_genre": {"Folk": 100, "Rock": 49}}, leaky=True).limits
    assert any("Rock had 49 clips, the most frequent genre 100" in limit for limit in uneven)
    assert any("all numbers here are too good" in limit for limit in uneven)
