"""A run of `genreflow label`: checks, listing, Beam's job in a child process, and the totals."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import datetime
import json
import pathlib
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from components.artifacts import files
from components.audio.decoding import formats
from components.common.errors import GenreflowError, UsageError
from components.storage import objects
from components.storage.client import CONNECTIONS
from components.storage.copies import local_copies
from components.storage.errors import ObjectMissing
from components.storage.uri import is_remote
from genreflow.labelling import catalogue, listing, output
from genreflow.labelling.claim import claimed
from genreflow.labelling.model import ModelFacts, find_model
from genreflow.labelling.stage import Job, PartResult, read_result
from genreflow.labelling.table import (
    Header,
    TableFolder,
    parts_for,
    write_header,
)
from genreflow.labelling.tags import TagOptions, TagReport, check_usable
from genreflow.labelling.worker import request_text
from pipeline.local.child import child_process, failure_text, follow

WORKER = (sys.executable, "-m", "genreflow.labelling.worker")
# A table that was made for few files takes no more than so many in each part.
MAX_ROWS_PER_PART = 20_000

OnEvent = Callable[[Mapping[str, Any]], None]


class LabelFailed(GenreflowError):  # noqa: N818  the command line exits with status 1
    """Error for a run that ended before the table was complete."""


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of a run.

    Attributes:
      model_dir: one version of a model or a folder of versions.
      data: the catalogue: a folder, an s3:// URI or a manifest.
      output: the table's folder.
      csv: write CSV files, too.
      resume: finish a run that was killed, with its listing.
      replace: label all files anew although the table is of other genres or of another catalogue.
      jobs: files in progress at once in each worker process; 0 for one more than cores.
      tags: what to write into the files; None for nothing.
    """

    model_dir: str
    data: str
    output: str
    csv: bool = False
    resume: bool = False
    replace: bool = False
    jobs: int = 1
    tags: TagOptions | None = None


@dataclasses.dataclass(frozen=True)
class Summary:
    """Summary of a finished run; the counts as in PartResult."""

    output: str
    files: int
    labelled: int
    kept: int
    gone: int
    rejects: dict[str, int]
    genres: dict[str, int]
    tags: TagReport
    model: ModelFacts


def label(options: Options, beam_args: Sequence[str], on_event: OnEvent) -> Summary:
    """Bring a table of labels up to date with a catalogue and a model.

    Args:
      options: the options.
      beam_args: Beam's flags.
      on_event: called with the events of components.common.progress, and with notes
        (`{"event": "note", "text": ...}`).

    Raises:
      UsageError: an option cannot be used, or another run writes the table.
      LabelFailed: the job ended before the table was complete.
      StorageError: an object store cannot be reached.
      KeyboardInterrupt: after the child process has ended.
    """
    data = catalogue.place_of(options.data)
    folder = TableFolder(output.place_of(options.output))
    header = output.checked_header(folder)
    if options.tags:
        check_usable(data, dry_run=options.tags.dry_run)
    with local_copies() as copies:
        facts = find_model(options.model_dir, copies)
    on_event({"event": "model", "facts": facts})
    _check_same(header, facts, data, folder, options)
    output.create(folder)

    def waiting() -> None:
        text = f"{folder.root}: waiting whether a killed run is still alive (half a minute)"
        on_event({"event": "note", "text": text})

    with _saying_where(folder), claimed(folder, waiting) as token:
        header = output.checked_header(folder)  # another run may have made the table meanwhile
        _check_same(header, facts, data, folder, options)
        header = _listed(folder, header, facts, data, options, on_event)
        job = Job(
            folder.root,
            header.parts,
            header.csv,
            token,
            facts,
            options.jobs,
            options.tags,
        )
        files.remove_folder(folder.runs)
        total = json.loads(files.read_text(folder.listed))["files"]
        on_event({"event": "node_started", "node": "Labelling", "index": 1, "total": 2})
        on_event({"event": "progress", "stage": "label", "done": 0, "total": total})
        failure = _run_child(job, list(beam_args), on_event)
        results = _results(job)
        problems = [result.problem for result in results.values() if result.problem]
        if problems:
            raise LabelFailed(problems[0])
        if failure:
            raise LabelFailed(failure)
        missing = header.parts - len(results)
        if missing:
            raise LabelFailed(
                f"{missing} of {header.parts} parts have no result in {folder.results(token)}, "
                "although Beam's job ended: its workers write to another disk. Choose an --output "
                "that workers and this machine share, such as a mounted folder or s3://"
            )
        files.remove_folder(folder.work)
    return _summary(folder, results.values(), facts)


@contextlib.contextmanager
def _saying_where(folder: TableFolder) -> Iterator[None]:
    """Turn an error of a disk, such as a full one, into LabelFailed with the disk's place."""
    try:
        yield
    except OSError as error:
        where = error.filename or f"{folder.root} or {tempfile.gettempdir()}"
        raise LabelFailed(
            f"{where}: {error.strerror or error}; mend that and rerun the command to resume"
        ) from error


def _check_same(
    header: Header | None, facts: ModelFacts, data: str, folder: TableFolder, options: Options
) -> None:
    """Raise UsageError if a table has other genres or another catalogue, unless told to replace."""
    if header is None or options.replace:
        return
    genres = header.model["genres"]
    if set(genres) != set(facts.genres):
        raise UsageError(
            f"{folder.root}: its labels are of another model, with the genres {', '.join(genres)}; "
            f"this one has {', '.join(facts.genres)}. Choose another --output, or label everything "
            "anew with --replace"
        )
    if header.data != data:
        raise UsageError(
            f"{folder.root}: its labels are of another catalogue, {header.data}, whose rows would "
            f"go. Choose another --output for {data}, or label everything anew with --replace"
        )


def _listed(
    folder: TableFolder,
    header: Header | None,
    facts: ModelFacts,
    data: str,
    options: Options,
    on_event: OnEvent,
) -> Header:
    """Write the header and the listing of a run, and return the header."""
    if options.resume and not _can_resume(folder, header, data):
        raise UsageError(
            f"{folder.root}: there is no interrupted run of {data} to resume; leave out --resume"
        )
    if options.resume and header:
        made = _next_header(header, facts, data, options, header.parts)
        _tell_changes(header, made, on_event)
        write_header(folder, made)
        return made
    _remove(folder.listed)
    on_event({"event": "node_started", "node": "Listing files", "index": 0, "total": 2})

    def advance(number: int) -> None:
        on_event({"event": "progress", "stage": "label", "done": number})

    with listing.spooled(catalogue.list_files(data), advance) as spool:
        count = spool.count
        parts = header.parts if header else parts_for(count)
        if count > parts * MAX_ROWS_PER_PART:
            raise UsageError(
                f"{folder.root}: the table was made for about {parts * 1000} files, and {count} "
                "are too many for its parts; choose another --output"
            )
        made = _next_header(header, facts, data, options, parts)
        if header:
            _tell_changes(header, made, on_event)
        write_header(folder, made)
        listing.distribute(spool, folder, parts)
    files.write_text(folder.listed, json.dumps({"data": data, "files": count}))
    return made


def _can_resume(folder: TableFolder, header: Header | None, data: str) -> bool:
    try:
        found = json.loads(files.read_text(folder.listed))
    except (FileNotFoundError, ObjectMissing, ValueError):
        return False
    return header is not None and found.get("data") == data


def _next_header(
    header: Header | None, facts: ModelFacts, data: str, options: Options, parts: int
) -> Header:
    return Header(
        parts=parts,
        csv=options.csv or bool(header and header.csv),
        data=data,
        pyav=formats.has_pyav(),
        model=facts.identity(),
    )


def _tell_changes(before: Header, now: Header, on_event: OnEvent) -> None:
    old, new = (_shown(header) for header in (before, now))
    if before.model["digest"] != now.model["digest"]:
        text = f"the table has labels of {old}; all files are labelled again with {new}"
        on_event({"event": "note", "text": text})


def _shown(header: Header) -> str:
    version, digest = header.model["version"], header.model["digest"]
    return f"model version {version} ({digest[:12]})" if version else f"model {digest[:12]}"


def _run_child(job: Job, beam_args: list[str], on_event: OnEvent) -> str:
    """Run Beam's job in a child process; return why it failed, or "". A bug's log is kept."""
    name = datetime.datetime.now().strftime("%Y-%m-%dT%H-%M-%S")
    scratch = pathlib.Path(tempfile.mkdtemp(prefix=f"genreflow-label-{name}-"))
    request, events, log = (scratch / name for name in ("request.json", "events.jsonl", "log"))
    request.write_text(request_text(job, beam_args), encoding="utf-8")
    events.touch()
    failure: dict[str, Any] | None = None
    try:
        with (
            log.open("wb") as written,
            child_process([*WORKER, str(request)], written, events) as process,
        ):
            for event in follow(process, events):
                if event["event"] == "failed":
                    failure = event
                elif event["event"] in ("progress", "tick"):
                    on_event(event)
        bug = process.returncode != 0 and not (failure and failure.get("message"))
        text = failure_text(failure, process.returncode, log) if process.returncode else ""
    except BaseException:
        bug = False
        raise
    finally:
        for path in (request, events, *(() if bug else (log,))):
            path.unlink(missing_ok=True)
        if not bug:
            scratch.rmdir()
    return text


def _results(job: Job) -> dict[int, PartResult]:
    """Return the results of all parts that have one."""
    with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
        found = pool.map(lambda index: read_result(job, index), range(job.parts))
        return {index: result for index, result in enumerate(found) if result is not None}


def _summary(folder: TableFolder, results: Iterable[PartResult], facts: ModelFacts) -> Summary:
    numbers: collections.Counter[str] = collections.Counter()
    rejects: collections.Counter[str] = collections.Counter()
    genres: collections.Counter[str] = collections.Counter()
    tags = TagReport()
    for result in results:
        for name in ("rows", "labelled", "kept", "gone"):
            numbers[name] += getattr(result, name)
        rejects.update(result.rejects)
        genres.update(result.genres)
        tags = tags.plus(result.tags)
    return Summary(
        output=folder.root,
        files=numbers["rows"],
        labelled=numbers["labelled"],
        kept=numbers["kept"],
        gone=numbers["gone"],
        rejects=dict(rejects),
        genres={name: genres[name] for name in facts.genres},
        tags=tags,
        model=facts,
    )


def _remove(path: str) -> None:
    if is_remote(path):
        objects.delete(path)
    else:
        pathlib.Path(path).unlink(missing_ok=True)
