"""Tests of `genreflow label`: real models and audio, kills, and what it refuses."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import sys
import time
from typing import Any

import numpy as np
import pandas
import pytest
import soundfile
from typer.testing import CliRunner

from components.audio.decoding.decode import DecodeError
from genreflow.cli.app import app
from genreflow.labelling import run
from genreflow.labelling.model import ModelFacts
from genreflow.labelling.run import Summary
from genreflow.labelling.tags import TagOptions, TagReport
from tests.genreflow.labelling.here import work_here
from tests.support import commands
from tests.support.serving_toys import CLIP, GENRES, write_toy_model


def typed(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["label", *map(str, arguments)])
    assert "Traceback" not in result.output
    return result.exit_code, result.output


def label(*arguments: object) -> dict[str, Any]:
    """Run the command in a process of its own, and return its summary."""
    return summary_of(commands.finish(commands.start("label", *arguments, "--json")))


def label_here(*arguments: object) -> dict[str, Any]:
    """Run the command in this process, and return its summary."""
    status, output = typed(*arguments, "--json")
    assert status == 0, output
    return summary_of(output)


def summary_of(output: str) -> dict[str, Any]:
    return json.loads(output[output.index("{") :])


def song(path: pathlib.Path, seed: int, clips: int = 4) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(seed).normal(0, 0.1, clips * CLIP)
    samples[: seed % 3 * CLIP] = 0
    soundfile.write(path, samples, 8000)


@pytest.fixture
def music(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "music"
    for seed in range(6):
        song(folder / f"artist {seed % 2}" / f"söng {seed}.wav", seed)
    (folder / "words.mp3").write_text("words")
    (folder / "empty.flac").touch()
    (folder / "short.wav").write_bytes((folder / "artist 0" / "söng 0.wav").read_bytes()[:400])
    (folder / "cover.jpg").write_bytes(b"picture")
    (folder / ".hidden.wav").write_text("x")
    return folder


def table_of(output: pathlib.Path) -> pandas.DataFrame:
    return pandas.read_parquet(output).set_index("uri")


def test_labels_are_exactly_those_of_predict_and_a_second_run_labels_what_changed(
    toy_models: pathlib.Path,
    music: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    from components.audio.decoding.isolation import IsolatedDecoder
    from components.audio.decoding.limits import DecodeLimits
    from serving.model.local import LocalModel

    output = tmp_path / "labels.parquet"
    models = tmp_path / "models"
    shutil.copytree(toy_models / "2", models / "2")
    summary = label("-m", models, "-d", music, "-o", output, "--csv")
    table = table_of(output)
    assert len(table) == summary["files"] == 9
    assert (summary["labelled"], summary["kept"]) == (8, 0)
    model = LocalModel(models)
    with IsolatedDecoder(DecodeLimits()) as decoder:
        for uri, row in table.iterrows():
            if row.reason:
                assert pandas.isna(row.genre)
                with pytest.raises(DecodeError) as caught:
                    model.predict_file(str(uri), decoder=decoder)
                if row.reason != "empty_file":  # which is not opened
                    assert (row.reason, row.detail) == (caught.value.reason, caught.value.detail)
                continue
            expected = model.predict_file(str(uri), decoder=decoder)
            assert {name: row[f"p_{name}"] for name in GENRES} == expected.probabilities
            assert (row.genre, row.probability) == next(iter(expected.probabilities.items()))
            assert (row.seconds, row.windows) == (expected.seconds, expected.windows)
            assert row.silent_share == expected.left_out.count("near_silent") / expected.windows
            assert row.track_id == os.path.relpath(str(uri), music).removesuffix(".wav")
    assert set(table["model_version"]) == {"2"}
    assert set(table["model_digest"]) == {f"{2:064x}"}
    assert not list(output.glob("_work*"))

    # One file each is new, changed and gone; the result is that of a table made at once.
    song(music / "new.wav", 77)
    song(music / "artist 0" / "söng 0.wav", 78)
    (music / "artist 1" / "söng 1.wav").unlink()
    work_here(monkeypatch)
    summary = label_here("-m", models, "-d", music, "-o", output, "--csv")
    assert (summary["labelled"], summary["kept"], summary["gone"]) == (2, 6, 1)
    label_here("-m", models, "-d", music, "-o", tmp_path / "anew", "--csv")
    for path in (tmp_path / "anew").rglob("part-*"):
        assert path.read_bytes() == (output / path.relative_to(tmp_path / "anew")).read_bytes()

    # A new version of the model labels everything again, and says so.
    write_toy_model(models / "3", seed=3)
    status, said = typed("-m", models, "-d", music, "-o", output)
    assert status == 0, said
    text = " ".join([*said.split(), *capfd.readouterr().err.split()])
    assert "the table has labels of model version 2" in text
    assert "9 files: 6 with a label, 3 without; 8 were read now, 0 rows kept" in text
    assert set(table_of(output)["model_version"]) == {"3"}


def test_a_killed_run_is_resumed_and_loses_nothing(
    toy_models: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    music, output = tmp_path / "music", tmp_path / "labels.parquet"
    song(music / "0.wav", 3, clips=60)
    for index in range(1, 900):
        os.link(music / "0.wav", music / f"{index}.wav")
    process = commands.start("label", "-m", toy_models, "-d", music, "-o", output)
    deadline = time.monotonic() + 120
    while not list(output.glob("_work/pieces/*/*.parquet")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    status, said = typed("-m", toy_models, "-d", music, "-o", output)
    assert status == 2
    assert "another run is writing this table" in said
    process.kill()
    process.communicate()
    pieces = output.glob("_work/pieces/*/*.parquet")
    finished = sum(len(pandas.read_parquet(piece)) for piece in pieces)
    song(music / "later.wav", 4)  # not in the listing of the interrupted run
    work_here(monkeypatch)
    summary = label_here("-m", toy_models, "-d", music, "-o", output, "--resume")
    assert summary["files"] == 900
    assert summary["kept"] >= finished > 0
    assert summary["labelled"] + summary["kept"] == 900
    status, said = typed("-m", toy_models, "-d", music, "-o", output, "--resume")
    assert status == 2
    assert "no interrupted run" in said


# What it refuses, before TensorFlow or Beam is imported


@pytest.fixture
def labelled(toy_models: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """Return a folder with the header of a table of other genres."""
    folder = tmp_path / "labels.parquet"
    folder.mkdir()
    header = {
        "format": 1,
        "parts": 1,
        "csv": False,
        "data": "/music",
        "pyav": True,
        "model": {"genres": ["Polka", "Ska"], "version": "1", "digest": "0" * 64},
    }
    (folder / "_labels.json").write_text(json.dumps(header))
    return folder


def test_a_table_of_other_genres_or_files_is_left_alone(
    toy_models: pathlib.Path, labelled: pathlib.Path, music: pathlib.Path
) -> None:
    status, said = typed("-m", toy_models, "-d", music, "-o", labelled)
    assert status == 2
    assert "with the genres Polka, Ska; this one has Folk, Rock, Jazz" in said
    assert "--replace" in said
    header = json.loads((labelled / "_labels.json").read_text())
    header["model"]["genres"] = list(GENRES)
    (labelled / "_labels.json").write_text(json.dumps(header))
    status, said = typed("-m", toy_models, "-d", music, "-o", labelled)
    assert status == 2
    assert "of another catalogue, /music, whose rows would go" in said


def test_outputs_that_are_no_tables_are_left_alone(
    toy_models: pathlib.Path, music: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    for output, why in {
        music / "words.mp3": "is a file",
        music: "holds other files (.hidden.wav) and no table of labels",
        "": "--output is empty",
        "gs://bucket/x": "only local folders and s3:// URIs",
    }.items():
        status, said = typed("-m", toy_models, "-d", music, "-o", output)
        assert status == 2
        assert why in said
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "_labels.json").write_text("{")
    status, said = typed("-m", toy_models, "-d", music, "-o", tmp_path / "broken")
    assert status == 1
    assert "not a table of labels that this version reads" in said


def test_catalogues_without_audio_are_refused(
    toy_models: pathlib.Path, music: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("x")
    (tmp_path / "list.csv").write_text("path\nx.mp3\n")
    for data, why in {
        tmp_path / "none": "none: the data folder does not exist; check --data-dir\n",
        tmp_path / "texts": "there is no audio in it",
        music / "words.mp3": "is one audio file",
        tmp_path / "list.csv": "no column 'uri'; found 'path'",
    }.items():
        status, said = typed("-m", toy_models, "-d", data, "-o", tmp_path / "labels")
        assert status == 2, said
        assert why in said


def test_folders_that_are_no_models_are_refused(
    music: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    for model, why in {
        music: "contains no model",
        tmp_path / "none": "no such folder",
    }.items():
        status, said = typed("-m", model, "-d", music, "-o", tmp_path / "labels")
        assert status == 2
        assert why in said


def test_runners_are_checked_by_name(music: pathlib.Path, tmp_path: pathlib.Path) -> None:
    status, said = typed("-m", music, "-d", music, "--runner", "spork")
    assert status == 2
    assert '"dataflow"' in said
    config = tmp_path / "beam.toml"
    config.write_text('[beam]\nrunner = "spork"\n')
    status, said = typed("-m", music, "-d", music, "--config", config)
    assert status == 2
    assert said.startswith(f'genreflow: {config}: beam.runner = "spork": must be ')


# What it shows at the end


SUMMARY = Summary(
    output="/tables/labels.parquet",
    files=10,
    labelled=6,
    kept=4,
    gone=2,
    rejects={"undecodable": 1, "duplicate": 1},
    genres={"Folk": 2, "[Rock]": 6},
    tags=TagReport(
        {"would_write": 3, "has_genre": 1, "failed": 1},
        [["/music/a.mp3", "[Rock]"]],
        [["/music/b\x1b.mp3", "is read-only"]],
    ),
    model=ModelFacts("/m/2", "2", "d" * 64, ("Folk", "[Rock]"), "a" * 16),
)


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> list[run.Options]:
    """Return a list of the options of runs, all of which end with SUMMARY."""
    given: list[run.Options] = []

    def label(options: run.Options, *_: object) -> Summary:
        given.append(options)
        return SUMMARY

    monkeypatch.setattr(run, "label", label)
    return given


def test_the_end_shows_counts_genres_reasons_and_where(options: list[run.Options]) -> None:
    status, said = typed("-m", "m", "-d", "d")
    assert status == 0
    lines = [" ".join(line.split()) for line in said.splitlines()]
    assert lines == [
        "10 files: 8 with a label, 2 without; 6 were read now, 4 rows kept from before; 2 rows of "
        "files that are gone were removed",
        "[Rock] 6 75.0%",
        "Folk 2 25.0%",
        "1 without a label, undecodable: its audio file cannot be decoded",
        "1 without a label, duplicate: the catalogue lists it more than once",
        "the table: /tables/labels.parquet",
        "read it with pandas.read_parquet('/tables/labels.parquet'), Spark or DuckDB",
    ]
    (given,) = options
    assert given == run.Options("m", "d", "labels.parquet", jobs=0)


def test_tags_are_a_dry_run_until_told_otherwise(options: list[run.Options]) -> None:
    status, said = typed("-m", "m", "-d", "d", "--write-tags")
    assert status == 0
    for line in (
        "tags of 3 files: genre would be written",
        "    /music/a.mp3: [Rock]",
        "tags of 1 files: another genre, which --overwrite would replace",
        "genreflow: /music/b\\x1b.mp3: is read-only",
        "nothing was written into the files: this was a dry run (--no-dry-run)",
    ):
        assert line in said
    flags = ("--write-tags", "--no-dry-run", "--overwrite", "--min-probability", 0.8)
    _, said = typed("-m", "m", "-d", "d", *flags)
    assert "dry run" not in said
    assert [given.tags for given in options] == [
        TagOptions(0.5, overwrite=False, dry_run=True),
        TagOptions(0.8, overwrite=True, dry_run=False),
    ]


def test_json_has_all_of_it(options: list[run.Options]) -> None:
    status, said = typed("-m", "m", "-d", "d", "--json")
    assert status == 0
    values = json.loads(said)
    assert values["rejects"] == SUMMARY.rejects
    assert values["model"]["digest"] == "d" * 64
    assert values["tags"]["outcomes"]["would_write"] == 3


def test_cores_are_shared_by_the_processes_of_this_machine(
    options: list[run.Options], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genreflow.labelling.catalogue_labels.usable_cores", lambda: 8)
    typed("-m", "m", "-d", "d", "--runner", "direct", "--set", "beam.workers=4")
    typed("-m", "m", "-d", "d", "--jobs", 3)
    assert [given.jobs for given in options] == [2, 3]


def test_options_that_need_mutagen_say_so(
    toy_models: pathlib.Path, music: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mutagen", None)
    status, said = typed("-m", toy_models, "-d", music, "-o", music.parent / "t", "--write-tags")
    assert status == 2
    assert 'needs mutagen: pip install "mutagen>=1.47,<2"' in said
