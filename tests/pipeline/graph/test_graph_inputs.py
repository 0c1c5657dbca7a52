"""Tests of the facts and digests that the graph is made of."""

from __future__ import annotations

import pathlib

from pipeline.graph import inputs


def test_the_digest_of_weights_follows_their_content(tmp_path: pathlib.Path) -> None:
    assert inputs.weights_digest("vgg16", "imagenet") == ""
    assert inputs.weights_digest("musicnn", "msd") == ""
    assert inputs.weights_digest("musicnn", "none") == ""
    folder = str(tmp_path)
    assert inputs.weights_digest("musicnn", folder) == ""
    found = set()
    for data, index in (("a", "b"), ("c", "b"), ("a", "c"), ("a", "b")):
        (tmp_path / ".data-00000-of-00001").write_text(data)
        (tmp_path / ".index").write_text(index)
        found.add(inputs.weights_digest("musicnn", folder))
    assert len(found) == 3
    assert "" not in found
    (tmp_path / "base.h5").write_text("a")
    of_file = inputs.weights_digest("vgg16", f"{folder}/base.h5")
    assert len(of_file) == 16
