"""What is kept of a shard in files: equal bytes for equal content, the newest column, nothing damaged, nothing left."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hnm_core.engines.arrow_folder import ArrowFolder
from hnm_core.engines.kept_parts import StoredColumns, answer_of, clear_parts, part_name, write_part

pytest.importorskip("pyarrow", reason="Arrow opens the folders")

FIRST, SECOND = part_name(7, 0, "a" * 64), part_name(7, 1, "b" * 64)


@pytest.fixture(params=["path", "address"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> ArrowFolder:
    place = tmp_path / "ü and 空" / "kept"
    return ArrowFolder.of(place if request.param == "path" else place.as_uri())


def files_of(folder: ArrowFolder) -> Path:
    """Where the files of a folder are that is on this machine."""
    path = Path(folder._opened()[1])
    assert path.name == "kept"
    return path


def write_both(folder: ArrowFolder) -> None:
    columns = {"alive": np.array([True, False]), "xyxy": np.zeros((0, 4)), "fractions": np.array(True)}
    write_part(folder, FIRST, {**columns, "keys": np.array([b"a.jpg", b"b"])}, b"first")
    write_part(folder, SECOND, {"alive": np.array([False, False])}, b"second")


def test_of_columns_with_the_same_name_the_newest_is_read(folder: ArrowFolder) -> None:
    assert folder.names() == []
    write_both(folder)
    assert folder.names() == [FIRST, SECOND]
    with StoredColumns(folder, (FIRST, SECOND)) as columns:
        assert columns["alive"].tolist() == [False, False]
        assert columns["keys"].tolist() == [b"a.jpg", b"b"]
        assert columns["xyxy"].shape == (0, 4)
        assert bool(columns["fractions"])
        with pytest.raises(KeyError):
            columns["none"]
    assert [answer_of(folder, name) for name in (FIRST, SECOND)] == [b"first", b"second"]


def test_equal_content_has_equal_bytes_whenever_it_is_written(
    folder: ArrowFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_both(folder)
    before = {path.name: path.read_bytes() for path in files_of(folder).iterdir()}
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
    write_both(folder)
    assert {path.name: path.read_bytes() for path in files_of(folder).iterdir()} == before


def test_a_damaged_part_is_not_taken(folder: ArrowFolder) -> None:
    write_both(folder)
    path = files_of(folder) / FIRST
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[at] ^= 1
        path.write_bytes(changed)
        assert answer_of(folder, FIRST) in (None, b"first")  # some bytes of a zip file say nothing
    for damaged in (b"", whole[: len(whole) // 2], whole[:-1], b"\0" * len(whole)):
        path.write_bytes(damaged)
        assert answer_of(folder, FIRST) is None
    path.write_bytes(whole.replace(b"first", b"fIrst"))
    assert answer_of(folder, FIRST) is None
    assert answer_of(folder, part_name(8, 0, "c" * 64)) is None


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(folder: ArrowFolder) -> None:
    folder.write("a", b"old")
    with pytest.raises(TypeError):
        folder.write("a", object())
    assert folder.names() == ["a"]
    assert bytes(folder.read("a")) == b"old"
    folder.write("a", b"new")
    assert bytes(folder.read("a")) == b"new"


def test_parts_are_cleared_and_nothing_else(folder: ArrowFolder) -> None:
    write_both(folder)
    folder.write("mine.npz", b"kept")
    (files_of(folder) / f".{FIRST}-0123.unfinished").touch()
    clear_parts(folder)
    assert folder.names() == ["mine.npz"]
    folder.remove(["mine.npz", "none"])
    clear_parts(folder)
    assert not files_of(folder).exists()
    clear_parts(folder)


def test_a_part_that_is_not_there_says_what_a_cluster_needs(folder: ArrowFolder) -> None:
    with StoredColumns(folder, (FIRST,)) as columns, pytest.raises(FileNotFoundError) as said:
        columns["alive"]
    assert str(said.value).startswith(f"{folder.uri} has no {FIRST} as ")
    assert "the folder must be one that all machines of the cluster share" in str(said.value)


def test_places_that_are_no_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=r"file is a file, expected a folder$"):
        ArrowFolder.of(tmp_path / "file").names()
    with pytest.raises(
        ValueError, match=r"^ftp2://host/x cannot be opened: .*expected a path, or an address such as s3:"
    ):
        ArrowFolder.of("ftp2://host/x").names()
