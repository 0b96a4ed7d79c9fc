"""Damaged input ends in a sentence; the fuzzer reads good input, and would find what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import fuzz

pytest.importorskip("yaml", reason="PyYAML reads data.yaml")
pytest.importorskip("pyarrow", reason="pyarrow reads Parquet")


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_good_input_is_read_and_damaged_input_ends_in_a_sentence(name: str, tmp_path: Path) -> None:
    target, good = fuzz.TARGETS[name]
    assert fuzz.attempt(target, tmp_path, good()) == "read"
    ends = fuzz.fuzz(name, 0.3, 7, tmp_path / "kept")
    assert set(ends) <= {"read", "sentence"}
    assert not (tmp_path / "kept").exists()


def test_what_nobody_foresaw_is_counted_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(_: Path, data: bytes) -> None:
        if b"9" in data:
            raise KeyError("lost")

    monkeypatch.setitem(fuzz.TARGETS, "coco", (lost, lambda: b"1999"))
    ends = fuzz.fuzz("coco", 0.2, 7, tmp_path)
    (found,) = (end for end in ends if end.startswith("KeyError in test_fuzz.py:"))
    assert ends[found] > 0
    assert all(b"9" in path.read_bytes() for path in tmp_path.iterdir())


@pytest.mark.parametrize("error", [SystemExit, RecursionError, AssertionError])
def test_exits_are_errors_too(error: type[BaseException], tmp_path: Path) -> None:
    def leave(_: Path, data: bytes) -> None:
        raise error

    assert fuzz.attempt(leave, tmp_path, b"").startswith(error.__name__)


def test_what_computes_too_long_is_an_end_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def loop(_: Path, data: bytes) -> None:
        while True:
            pass

    monkeypatch.setattr(fuzz, "SLOW", 0.2)
    assert fuzz.attempt(loop, tmp_path, b"") == "too slow"
