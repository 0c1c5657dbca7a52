"""A decoding process that fails in the way that a file's name says.

Python imports this module if its folder is on PYTHONPATH (the fixture `faulty_decoder`). It
does nothing outside the decoding process. There `segfault.wav` ends in a real SIGSEGV,
`hang-native.wav` in a real hang, and so on. All other files are decoded as usual.
"""

import ctypes
import json
import os
import pathlib
import signal
import socket
import struct
import sys
import time


def poison() -> None:
    global poisoned
    poisoned = True


def busy() -> None:
    while True:
        pass


def bomb() -> None:
    import numpy as np

    hoard = []
    while True:  # never touched, so that it is fast on a slow machine too
        hoard.append(np.empty(1 << 22, np.uint8))


def surprise() -> None:
    raise ZeroDivisionError("nobody thought of this")


def noise() -> None:
    for descriptor in (1, 2):
        os.write(descriptor, b"a remark of a library\n" * 1000)


def channel() -> socket.socket:
    """Return the socket to the parent."""
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                return socket.socket(fileno=os.dup(int(name)))
        except FileNotFoundError:  # the listing's own
            continue
    raise AssertionError("no socket")


def send(content: bytes) -> None:
    channel().sendall(content)


def frame(text: bytes, samples: int = 0) -> bytes:
    return struct.pack("<IQ", len(text), samples) + text


FAULTS = {
    "segfault": lambda: ctypes.string_at(0),
    "abort": os.abort,
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "leaves": lambda: os._exit(3),
    "hang-busy": busy,
    "hang-asleep": lambda: time.sleep(10000),
    "hang-stopped": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    # Without letting other threads of the interpreter run.
    "hang-native": lambda: ctypes.PyDLL(None).pause(),
    "bomb": bomb,
    "surprise": surprise,
    "poison": poison,
    "noise": noise,
    "garbage-bytes": lambda: send(os.urandom(4096)),
    "garbage-words": lambda: send(frame(b"not JSON")),
    "garbage-deep": lambda: send(frame(b"[" * 100_000)),
    "garbage-long": lambda: send(frame(b"{}", 1 << 60)),
    "garbage-list": lambda: send(frame(b"[]")),
    "garbage-reason": lambda: send(
        frame(json.dumps({"kind": "reject", "reason": "x", "detail": ""}).encode())
    ),
    "half-an-answer": lambda: (send(frame(b"{" + b" " * 99)[:50]), os._exit(0)),
}
# Well-formed responses with impossible values.
HONEST = {
    "starts": [0, 1],
    "left_out": ["", ""],
    "track_samples": 50000,
    "fingerprint": "0" * 16,
}
LIES = {
    "lie-outside": {**HONEST, "starts": [0, 10**9], "track_samples": 5000},
    "lie-late": {**HONEST, "starts": [0, 48001]},
    "lie-few": {**HONEST, "starts": [0]},
    "lie-fraction": {**HONEST, "starts": [0, 0.5]},
    "lie-fingerprint": {**HONEST, "fingerprint": "../../x"},
    "lie-silent": {**HONEST, "starts": [], "left_out": ["near_silent"] * 2},
    "lie-reason": {**HONEST, "starts": [0], "left_out": ["", "mood"]},
    "lie-absent": {"starts": [0, 1]},
}
poisoned = False


def serve() -> None:
    import numpy as np

    from components.audio.decoding import decode_server
    from components.audio.decoding.decode_tasks import TASKS, DecodeResult
    from components.audio.params import AudioParams

    def faulty(task):
        def run(path, **arguments):
            name = pathlib.Path(path).stem
            if poisoned:
                FAULTS["segfault"]()
            if name in LIES:
                params = AudioParams.from_json(arguments["params"])
                samples = params.clips_per_track * params.clip_samples
                return DecodeResult(LIES[name], np.zeros(samples, np.float32))
            if name in FAULTS:
                FAULTS[name]()
            if name == "export-segfault" and task is TASKS["write_wav"]:
                pathlib.Path(arguments["destination"]).write_bytes(b"half")
                FAULTS["segfault"]()
            return task(path=path, **arguments)

        return run

    sys.argv = ["faulty", *sys.orig_argv[-2:]]
    decode_server.main({name: faulty(task) for name, task in TASKS.items()})


if "components.audio.decoding.decode_server" in sys.orig_argv:
    sys.path.insert(0, os.getcwd())
    serve()
    os._exit(0)
