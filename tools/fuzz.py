"""``python -m tools.fuzz``: damaged files, reviews, stored minings and parameters must end in one sentence, or be read.

With ``atheris`` (``pip install atheris``) the damage is guided by coverage, one target a process; inputs that reached
new code stay in ``--kept``, so that a later call goes on from there. Without it, or with ``--random``, good input is
damaged at random, with a seed. What ends in another error, or computes for longer than ten seconds, is saved, so that
it can become a test.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .fuzz_targets import TARGETS, Target

FORESEEN = (ValueError, OSError, ImportError)
"""Errors whose text is for the user."""

SLOW = 10
"""Seconds of computing that one input may take."""

ODD: list[Any] = [None, True, -1, 1.5, 1e308, float("nan"), "", "x", "1", [], [[1]], {}, {"a": 1}, "../x", 2**70, "\0"]
BYTES = [
    b"nan",
    b"-",
    b"1e999",
    b"[",
    b"{",
    b"\0",
    b"\xff",
    b": ",
    b"\n",
    b"- ",
    b"&a ",
    b"*a",
    b"'",
    b'"',
    b"0x1",
    b"5 ",
]


def attempt(target: Target, folder: Path, data: bytes) -> str:
    """Return how an input ends: ``read``, ``sentence``, or the name of an error that nobody foresaw."""

    def too_slow(*_: Any) -> None:
        raise TimeoutError("too slow")

    signal.signal(signal.SIGPROF, too_slow)
    signal.setitimer(signal.ITIMER_PROF, SLOW)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            target(folder, data)
    except TimeoutError:
        return "too slow"
    except FORESEEN:
        return "sentence"
    except BaseException as error:  # exits, too
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} in {Path(where.filename).name}:{where.lineno}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return "read"


def damaged(good: bytes, rng: random.Random) -> bytes:
    """Return the input with damage: values of other types if it is JSON, else other bytes."""
    if rng.random() < 0.6:
        try:
            return json.dumps(_other(json.loads(good), rng)).encode()
        except (ValueError, RecursionError):  # it is no JSON, or nested without end
            pass
    data = bytearray(good)
    for _ in range(rng.randint(1, 4)):
        at, until = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
        what = rng.choice([b"", bytes(data[at : at + 8]), rng.choice(BYTES), bytes([rng.randrange(256)])])
        data[at : min(until, at + 8)] = what
    return bytes(data)


def _other(value: Any, rng: random.Random, share: float = 0.1) -> Any:
    if rng.random() < share * 0.4:
        return rng.choice(ODD)
    if isinstance(value, dict):
        return {key: _other(each, rng) for key, each in value.items() if rng.random() > share * 0.1}
    return [_other(each, rng) for each in value] if isinstance(value, list) else value


def fuzz(name: str, seconds: float, seed: int, kept: Path) -> dict[str, int]:
    """Damage good input at random for some time; return how often it ended how, and save what nobody foresaw."""
    target, good = TARGETS[name]
    rng, until, ends, sound = random.Random(seed), time.monotonic() + seconds, dict[str, int](), good()
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < until:
            data = damaged(sound, rng)
            end = attempt(target, Path(folder), data)
            ends[end] = ends.get(end, 0) + 1
            if end not in ("read", "sentence"):
                kept.mkdir(parents=True, exist_ok=True)
                (kept / f"{name}-{sha256(data).hexdigest()[:12]}").write_bytes(data)
    return ends


def guided(name: str, seconds: float, seed: int, kept: Path) -> None:
    """Do the same guided by coverage. It ends the process, with an error at the first input that nobody foresaw."""
    import atheris  # type: ignore[import-untyped]

    target, good = TARGETS[name]
    folder, corpus = tempfile.mkdtemp(), kept / f"{name}-corpus"
    with atheris.instrument_imports(include=["hnm_core", "fiftyone_plugin"]):
        target(Path(folder), good())  # each imports what it needs when it is called
    corpus.mkdir(parents=True, exist_ok=True)
    (corpus / "good").write_bytes(good())

    def one(data: bytes) -> None:
        end = attempt(target, Path(folder), data)
        if end not in ("read", "sentence"):
            raise RuntimeError(end)

    def mutate(data: bytes, most: int, number: int) -> bytes:
        rng = random.Random(number)  # values of other types in half of all cases: bytes alone rarely leave JSON whole
        return damaged(data, rng)[:most] if data and rng.random() < 0.5 else bytes(atheris.Mutate(data, most))

    limits = [f"-max_total_time={int(seconds)}", f"-seed={seed}", f"-artifact_prefix={kept}/{name}-"]
    atheris.Setup([sys.argv[0], *limits, str(corpus)], one, custom_mutator=mutate)
    atheris.Fuzz()


def main() -> int:
    """Fuzz; return 1 if an input ended in an error that nobody foresaw."""
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz", description=__doc__)
    parser.add_argument(
        "--what", nargs="+", choices=TARGETS, default=list(TARGETS), help="what to damage (default: all)"
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="time for each (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="seed (default: 0)")
    parser.add_argument("--kept", type=Path, default=Path("build/fuzz"), help="folder for inputs that end otherwise")
    parser.add_argument("--random", action="store_true", help="do not use atheris")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    if find_spec("atheris") and not args.random:
        if len(args.what) > 1:
            parser.error("atheris ends its process: name one target with --what")
        guided(args.what[0], args.seconds, args.seed, args.kept)
    wrong = 0
    for name in args.what:
        ends = fuzz(name, args.seconds, args.seed, args.kept)
        wrong += sum(count for end, count in ends.items() if end not in ("read", "sentence"))
        print(f"{name:<12}", ", ".join(f"{end}: {count:,}" for end, count in sorted(ends.items())), flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
