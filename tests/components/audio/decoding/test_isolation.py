"""The isolated decoder: its results, and its recovery from failures of the process."""

from __future__ import annotations

import concurrent.futures
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import hypothesis.strategies as st
import numpy as np
import pytest
import soundfile
from hypothesis import given

from benchmarks import fuzz_decoder
from components.audio.decoding import isolation
from components.audio.decoding.decode import DECODE_REASONS, DecodeError
from components.audio.decoding.decoder import Decoder, InProcessDecoder
from components.audio.decoding.isolation import IsolatedDecoder, make_decoder
from components.audio.decoding.limits import DecodeLimits
from components.audio.params import AudioParams
from components.common.errors import DecoderUnavailableError
from components.datasets.track import REJECT_REASONS
from tests.support import ROOT

FILES = fuzz_decoder.seeds()
PARAMS = AudioParams(
    sample_rate_hz=8000,
    fft_samples=256,
    hop_samples=128,
    n_mels=16,
    clip_seconds=0.25,
    clips_per_track=2,
)
LIMITS = DecodeLimits(timeout_seconds=2.0, memory_mib=256)
# Long enough for any machine; tests that pass do not wait for it.
PATIENCE_SECONDS = 60.0


@pytest.fixture
def decoder() -> Iterator[IsolatedDecoder]:
    with IsolatedDecoder(LIMITS) as isolated:
        yield isolated


@pytest.fixture(scope="module")
def shared() -> Iterator[IsolatedDecoder]:
    with IsolatedDecoder(DecodeLimits()) as isolated:
        yield isolated


@pytest.fixture
def song(tmp_path: pathlib.Path) -> Callable[[str], pathlib.Path]:
    """Write an intact file under a name."""

    def write(name: str, seconds: float = 1.0) -> pathlib.Path:
        samples = np.random.default_rng(0).normal(0, 0.1, round(8000 * seconds))
        path = tmp_path / f"{name}.wav"
        soundfile.write(path, samples, 8000)
        return path

    return write


def _clips(decoder: Decoder, path: pathlib.Path, *, strict: bool = False) -> tuple[object, ...]:
    """Return the result of reading a track's clips, or its reject, as comparable values."""
    try:
        found = decoder.read_clips(path, PARAMS, track_id="t", seed=3, strict=strict)
    except DecodeError as error:
        return error.reason, error.detail
    assert found.waveforms.dtype == np.float32
    assert found.waveforms.shape == (2, PARAMS.clip_samples)
    return found.starts, found.track_samples, found.fingerprint, found.waveforms.tobytes()


def _windows(decoder: Decoder, path: pathlib.Path) -> tuple[object, ...]:
    try:
        windows = decoder.read_windows(path, [(0.1, 0.6)], rate_hz=6000, window_samples=1200)
    except DecodeError as error:
        return error.reason, error.detail
    assert windows.dtype == np.float32
    return windows.shape, windows.tobytes()


def _whole(decoder: Decoder, path: pathlib.Path) -> tuple[object, ...]:
    try:
        recording = decoder.decode(path, 8000)
        return recording.seconds, recording.samples.tobytes(), decoder.digest(path)
    except DecodeError as error:
        return error.reason, error.detail


def _header(decoder: Decoder, path: pathlib.Path) -> tuple[object, ...]:
    try:
        return decoder.header(path)
    except DecodeError as error:
        return error.reason, error.detail


def _pid(decoder: IsolatedDecoder) -> int | None:
    return decoder._server._process.pid if decoder._server else None


def _wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return
        if state == "Z":  # dead, and its parent is gone
            return
        time.sleep(0.05)
    raise AssertionError(f"process {pid} is still there")


@given(
    index=st.integers(0, len(FILES) - 1),
    damages=st.integers(0, 3),
    seed=st.integers(0, 2**32),
    strict=st.booleans(),
)
def test_both_decoders_give_the_same_bytes_and_the_same_rejects(
    tmp_path_factory: pytest.TempPathFactory,
    shared: IsolatedDecoder,
    index: int,
    damages: int,
    seed: int,
    strict: bool,
) -> None:
    extension, content = FILES[index]
    rng = np.random.default_rng(seed)
    for _ in range(damages):
        content = fuzz_decoder.damage(content, FILES[seed % len(FILES)][1], rng)
    path = tmp_path_factory.mktemp("f") / f"a song's, \udcff\u00e9\n{seed}.{extension}"
    path.write_bytes(content)
    here = InProcessDecoder()
    assert _clips(shared, path, strict=strict) == _clips(here, path, strict=strict)
    assert _windows(shared, path) == _windows(here, path)
    assert _whole(shared, path) == _whole(here, path)
    assert _header(shared, path) == _header(here, path)
    copies = []
    for name, decoder in (("here", here), ("there", shared)):
        copy = path.with_name(f"{name}.wav")
        try:
            decoder.write_wav(path, copy)
            samples, rate_hz = soundfile.read(copy, dtype="float32", always_2d=True)
            copies.append((samples.shape, rate_hz, samples.tobytes()))
        except DecodeError as error:
            copies.append((error.reason, error.detail))
    assert copies[0] == copies[1]


def test_real_music_gives_the_same_bytes(real_data: pathlib.Path, shared: IsolatedDecoder) -> None:
    here, params = InProcessDecoder(), AudioParams()
    for path in sorted((real_data / "fma" / "fma_small" / "000").glob("*.mp3")):
        for seed in range(3):
            found, expected = (
                decoder.read_clips(path, params, track_id=path.stem, seed=seed)
                for decoder in (shared, here)
            )
            assert found.waveforms.tobytes() == expected.waveforms.tobytes()
            assert found.starts == expected.starts


def test_relative_names_and_links_mean_what_they_mean_here(
    shared: IsolatedDecoder,
    song: Callable[[str], pathlib.Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: pathlib.Path,
) -> None:
    path = song("a")
    (tmp_path / "far" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "far" / "inner")
    path.rename(tmp_path / "far" / "a.wav")
    monkeypatch.chdir(tmp_path)
    relative = pathlib.Path("link", "..", "a.wav")
    assert _clips(shared, relative) == _clips(InProcessDecoder(), relative)
    assert _header(shared, relative) == (8000, 8000)


FAULTS = [
    ("segfault", "decoder_crashed", "SIGSEGV"),
    ("abort", "decoder_crashed", "SIGABRT"),
    ("killed", "decoder_crashed", "SIGKILL"),
    ("leaves", "decoder_crashed", "status 3"),
    ("surprise", "decoder_crashed", "ZeroDivisionError: nobody thought of this"),
    ("hang-busy", "timed_out", "2 s"),
    ("hang-asleep", "timed_out", "2 s"),
    ("hang-stopped", "timed_out", "2 s"),
    ("hang-native", "timed_out", "2 s"),
    ("bomb", "too_large", "memory"),
]


@pytest.mark.usefixtures("faulty_decoder")
@pytest.mark.parametrize(("fault", "reason", "detail"), FAULTS)
def test_a_fault_costs_its_own_track_alone_and_the_same_every_time(
    decoder: IsolatedDecoder,
    song: Callable[[str], pathlib.Path],
    fault: str,
    reason: str,
    detail: str,
) -> None:
    good, bad = song("good"), song(fault)
    expected = _clips(InProcessDecoder(), good)
    before = _held()
    assert _clips(decoder, good) == expected
    worn = _pid(decoder)
    found = _clips(decoder, bad)
    assert found[0] == reason
    assert detail in str(found[1])
    assert _clips(decoder, good) == expected
    assert _pid(decoder) != worn
    # The next file is decoded by a fresh process.
    decoder.close()
    assert _clips(decoder, bad) == found
    assert _clips(decoder, good) == expected
    decoder.close()
    assert _held() == before


@pytest.mark.usefixtures("faulty_decoder")
@pytest.mark.parametrize(
    "fault",
    [
        *(f"garbage-{kind}" for kind in ("bytes", "words", "deep", "long", "list", "reason")),
        *(
            f"lie-{kind}"
            for kind in ("outside", "late", "few", "fraction", "fingerprint", "silent", "reason")
        ),
        "lie-absent",
    ],
)
def test_an_answer_that_cannot_be_is_a_crash(
    decoder: IsolatedDecoder, song: Callable[[str], pathlib.Path], fault: str
) -> None:
    assert _clips(decoder, song(fault)) == (
        "decoder_crashed",
        "the decoder sent an invalid response",
    )
    assert _pid(decoder) is None


@pytest.mark.usefixtures("faulty_decoder")
def test_half_an_answer_is_none(
    decoder: IsolatedDecoder, song: Callable[[str], pathlib.Path]
) -> None:
    assert _clips(decoder, song("half-an-answer"))[0] == "decoder_crashed"


@pytest.mark.usefixtures("faulty_decoder")
def test_what_libraries_print_does_not_reach_the_answers(
    decoder: IsolatedDecoder, song: Callable[[str], pathlib.Path]
) -> None:
    expected = _clips(InProcessDecoder(), song("good"))
    assert _clips(decoder, song("noise")) == expected


@pytest.mark.usefixtures("faulty_decoder")
def test_an_innocent_track_is_not_blamed_for_what_the_one_before_it_did(
    decoder: IsolatedDecoder, song: Callable[[str], pathlib.Path]
) -> None:
    good, poison = song("good"), song("poison")
    expected = _clips(InProcessDecoder(), good)
    assert _clips(decoder, poison) == expected
    worn = _pid(decoder)
    assert _clips(decoder, good) == expected
    assert _pid(decoder) != worn


def test_a_process_that_was_killed_between_two_tracks_costs_none(
    decoder: IsolatedDecoder, song: Callable[[str], pathlib.Path]
) -> None:
    good = song("good")
    expected = _clips(decoder, good)
    for _ in range(3):
        pid = _pid(decoder)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert _clips(decoder, good) == expected
        assert _pid(decoder) != pid


def test_a_reject_does_not_cost_a_process(
    decoder: IsolatedDecoder, song: Callable[[str], pathlib.Path], tmp_path: pathlib.Path
) -> None:
    _clips(decoder, song("good"))
    pid = _pid(decoder)
    (tmp_path / "words.mp3").write_text("words")
    assert _clips(decoder, tmp_path / "words.mp3")[0] == "undecodable"
    assert _clips(decoder, tmp_path / "none.mp3")[0] == "missing_file"
    with pytest.raises(OSError, match="nowhere"):
        decoder.write_wav(song("good"), tmp_path / "nowhere" / "a.wav")
    assert _pid(decoder) == pid


def test_a_keyboard_interrupt_is_for_the_parent(
    decoder: IsolatedDecoder, song: Callable[[str], pathlib.Path]
) -> None:
    good = song("good")
    expected = _clips(decoder, good)
    pid = _pid(decoder)
    assert pid is not None
    os.kill(pid, signal.SIGINT)
    assert _clips(decoder, good) == expected
    assert _pid(decoder) == pid


@pytest.mark.usefixtures("faulty_decoder")
def test_an_interrupted_question_is_never_answered_by_the_next_answer(
    song: Callable[[str], pathlib.Path],
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    good, hang = song("good"), song("hang-asleep")
    with IsolatedDecoder(DecodeLimits(timeout_seconds=PATIENCE_SECONDS)) as decoder:
        expected = _clips(decoder, good)
        before = signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        try:
            with pytest.raises(KeyboardInterrupt):
                _clips(decoder, hang)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert _clips(decoder, good) == expected


@pytest.mark.parametrize(("memory_mib", "end"), [(64, "too_large"), (1024, "near_silent")])
def test_a_file_that_really_takes_more_memory_than_allowed_is_too_large(
    tmp_path: pathlib.Path, memory_mib: int, end: str
) -> None:
    # Two minutes of eight channels, mostly a hole in the file: 169 MB of samples.
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", 44100, 8, subtype="PCM_16") as file:
        file.write(np.zeros((10, 8)))
        file.seek(120 * 44100)
        file.write(np.zeros((10, 8)))
    with IsolatedDecoder(DecodeLimits(timeout_seconds=60, memory_mib=memory_mib)) as decoder:
        assert _clips(decoder, path, strict=True)[0] == end
        assert _header(decoder, path) == (120 * 44100 + 10, 44100)


PARENT = """
import sys, threading
from components.audio.decoding.isolation import IsolatedDecoder
from components.audio.decoding.limits import DecodeLimits
decoder = IsolatedDecoder(DecodeLimits(timeout_seconds=float(sys.argv[1])))
decoder.header(sys.argv[2])
print(decoder._server._process.pid, flush=True)
if len(sys.argv) > 3:
    decoder.header(sys.argv[3])
sys.stdin.read()
"""


@pytest.mark.usefixtures("faulty_decoder")
@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        (None, PATIENCE_SECONDS),
        ("hang-busy", 10 * PATIENCE_SECONDS),
        ("hang-asleep", 10 * PATIENCE_SECONDS),
        # Only its own timer can end this one.
        ("hang-native", 1.0),
    ],
)
def test_the_process_goes_when_its_parent_is_killed(
    song: Callable[[str], pathlib.Path], fault: str | None, seconds: float
) -> None:
    files = [str(song("good")), *([str(song(fault))] if fault else [])]
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(seconds), *files],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert pathlib.Path(f"/proc/{pid}").exists()
        if fault:
            time.sleep(0.3)  # so that it hangs
        parent.kill()
    _wait_until_gone(pid)


def _spawn_count() -> set[str]:
    """Return the live and the unreaped child processes of this process."""
    return {pid for task in pathlib.Path("/proc/self/task").iterdir() for pid in _children(task)}


def _children(task: pathlib.Path) -> list[str]:
    try:
        return (task / "children").read_text().split()
    except FileNotFoundError:  # a thread that has just ended
        return []


SHORT_LIVED = """
import socket, struct
channel = socket.socket(fileno=0)
text = b'{"kind": "ready"}'
channel.sendall(struct.pack("<IQ", len(text), 0) + text)
channel.recv(1 << 16)
"""


def test_two_hundred_ends_leave_no_process_descriptor_or_shared_memory(
    monkeypatch: pytest.MonkeyPatch, song: Callable[[str], pathlib.Path]
) -> None:
    monkeypatch.setattr(isolation, "SERVER_COMMAND", (sys.executable, "-SEc", SHORT_LIVED))
    good = song("good")
    decoder = IsolatedDecoder(LIMITS)
    before: tuple[object, ...] = ()
    for index in range(201):
        assert _header(decoder, good) == (
            "decoder_crashed",
            "the decoder ended with status 0",
        )
        if index == 0:
            before = _held()
    assert _held() == before


def _held() -> tuple[object, ...]:
    return len(os.listdir("/proc/self/fd")), _spawn_count(), sorted(os.listdir("/dev/shm"))


def test_one_that_nobody_closes_goes_with_its_decoder(song: Callable[[str], pathlib.Path]) -> None:
    before = _held()
    decoder = IsolatedDecoder(LIMITS)
    decoder.header(song("good"))
    assert _held() != before
    del decoder
    assert _held() == before


@pytest.mark.usefixtures("faulty_decoder")
def test_threads_each_with_a_decoder_get_their_own_answers(
    song: Callable[[str], pathlib.Path],
) -> None:
    lengths = {song(f"good-{n}", 0.5 + n / 8): round(8000 * (0.5 + n / 8)) for n in range(2)}
    crash = song("segfault")

    def work(_: int) -> list[object]:
        with make_decoder(LIMITS) as decoder:
            found: list[object] = []
            for path in lengths:
                found.append(decoder.header(path)[0])
                found.append(_clips(decoder, crash)[0])
                found.append(_clips(decoder, path)[1])
            return found

    expected = [
        value for length in lengths.values() for value in (length, "decoder_crashed", length)
    ]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        assert list(pool.map(work, range(3))) == [expected] * 3


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (("/no/such/python",), "No such file"),
        ((sys.executable, "-c", "raise SystemExit(7)"), "ended with status 7"),
        ((sys.executable, "-c", "import os; os.abort()"), "ended by SIGABRT"),
        (
            (sys.executable, "-c", "print('hello'); import os; os.write(0, b'x' * 99)"),
            "invalid response",
        ),
        (
            (
                sys.executable,
                "-c",
                "import sys; sys.modules['soundfile'] = None\n"
                "from components.audio.decoding.decode_server import main; main()",
            ),
            "import of soundfile halted",
        ),
    ],
)
def test_a_process_that_cannot_start_is_an_error_of_the_run_and_no_reject(
    monkeypatch: pytest.MonkeyPatch,
    song: Callable[[str], pathlib.Path],
    command: tuple[str, ...],
    why: str,
) -> None:
    monkeypatch.setattr(isolation, "SERVER_COMMAND", command)
    before = _held()
    decoder = IsolatedDecoder(LIMITS)
    for _ in range(2):
        with pytest.raises(DecoderUnavailableError, match=why) as caught:
            decoder.header(song("good"))
        assert "dataset.isolate_decoding" in str(caught.value)
        assert "\n" not in str(caught.value)
    assert _held() == before


def test_the_process_sees_no_secrets_and_loads_nothing_heavy(
    monkeypatch: pytest.MonkeyPatch, decoder: IsolatedDecoder, song: Callable[[str], pathlib.Path]
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")
    monkeypatch.setenv("SOME_TOKEN", "a-secret")
    decoder.header(song("good"))
    pid = _pid(decoder)
    environment = pathlib.Path(f"/proc/{pid}/environ").read_text()
    assert "PATH=" in environment
    assert "a-secret" not in environment
    loaded = pathlib.Path(f"/proc/{pid}/maps").read_text()
    assert "sndfile" in loaded
    for heavy in ("tensorflow", "scipy", "numba", "llvmlite", "grpc", "pyarrow", "boto"):
        assert f"/{heavy}" not in loaded  # NumPy 2 has a libscipy_openblas of its own
    program = (
        "import sys; from components.audio.decoding import decode_server, decode_tasks\n"
        "print(sorted({'librosa', 'tensorflow', 'apache_beam', 'tfx', 'scipy', 'pydantic', "
        "'boto3'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_reasons_are_those_of_the_closed_list() -> None:
    assert set(REJECT_REASONS) >= DECODE_REASONS


def test_without_limits_everything_is_decoded_in_this_process() -> None:
    assert isinstance(make_decoder(None), InProcessDecoder)
    assert isinstance(make_decoder(LIMITS), IsolatedDecoder)
