"""Tables written and read back: Parquet to the last bit, YOLO text to its last digits."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hnm_core import Detections, io, mine
from hnm_core.io import read_coco, read_parquet, read_yolo, write_parquet, write_yolo
from tests.scenes import Tables, everything_at_once, patient, scene, scenes

COLUMNS = ("image", "xyxy", "label", "score", "ids", "crowd")

arrow = pytest.importorskip("pyarrow")
pytest.importorskip("yaml")


def same(table: Detections, other: Detections) -> bool:
    def column(of: Detections, name: str) -> Any:
        values = getattr(of, name)
        return None if values is None else (values.dtype.kind, values.tolist())

    return (
        table.images == other.images
        and table.classes == other.classes
        and all(column(table, name) == column(other, name) for name in COLUMNS)
    )


# Parquet


@patient
@given(scenes(), st.sampled_from([None, str, int]))
def test_parquet_gives_back_the_table(tables: Tables, ids: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for table in tables:
            if ids is not None:
                table = replace(table, ids=np.array([ids(7 * i) for i in range(len(table))], dtype=ids))
            write_parquet(table, Path(folder) / "a.parquet")
            assert same(read_parquet(Path(folder) / "a.parquet"), table)


def test_awkward_values_survive(tmp_path: Path) -> None:
    table = Detections(
        **{"image": [1], "xyxy": [[0.1, 1 / 3, 0.1 + 0.2, 1e99]], "label": [0], "score": [5e-324]},
        **{"images": ["ü, 图.jpg", '"b"\n.jpg'], "classes": ["行人"]},
    )
    write_parquet(table, tmp_path / "a.parquet")
    assert same(read_parquet(str(tmp_path / "a.parquet")), table)


def test_others_read_the_columns(tmp_path: Path) -> None:
    import pyarrow.parquet

    predictions, _ = everything_at_once()
    write_parquet(predictions, tmp_path / "a.parquet")
    read = pyarrow.parquet.read_table(tmp_path / "a.parquet")
    assert read.column_names == ["image", "label", "x0", "y0", "x1", "y1", "score"]
    assert read["score"].to_pylist() == predictions.score.tolist()  # type: ignore[union-attr]
    assert json.loads(read.schema.metadata[b"hnm_core"])["images"] == list(predictions.images)


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    import pyarrow.parquet

    path = tmp_path / "a.parquet"
    with pytest.raises(FileNotFoundError, match=r"^there is no .*a\.parquet$"):
        read_parquet(path)
    path.write_bytes(b"no")
    with pytest.raises(ValueError, match=r"a\.parquet is not a Parquet file: "):
        read_parquet(path)
    columns = {"image": [0], "label": [0], "x0": [0.0], "y0": [0.0]}
    pyarrow.parquet.write_table(arrow.table(columns), path)
    with pytest.raises(ValueError, match=r"lacks the columns x1, y1; write it with hnm_core\.io\.write_parquet"):
        read_parquet(path)
    pyarrow.parquet.write_table(arrow.table({**columns, "x1": [1.0], "y1": [1.0]}), path)
    with pytest.raises(
        ValueError, match=r"a\.parquet does not name its images and classes; write it with hnm_core\.io\.write"
    ):
        read_parquet(path)


def test_ids_of_two_kinds_are_refused(tmp_path: Path) -> None:
    ids = np.array(["a", 1], dtype=object)
    table = Detections([0, 0], [[0, 0, 1, 1]] * 2, [0, 0], None, ["a"], ["cat"], ids)
    with pytest.raises(ValueError, match=r"^ids cannot be written, because they are neither all text nor all numb"):
        write_parquet(table, tmp_path / "a.parquet")


def test_readers_and_writers_are_loaded_when_they_are_asked_for() -> None:
    code = (
        "import sys, hnm_core\n"
        "readers = {f'hnm_core.io.{room}' for room in ('coco', 'labels', 'parquet', 'yolo')}\n"
        "assert not readers & set(sys.modules)\n"
        "from hnm_core.io import *\n"
        "assert all(name in globals() for name in hnm_core.io.__all__)\n"
        "assert write_yolo is hnm_core.io.yolo_writer.write_yolo and read_coco is hnm_core.io.coco.read_coco\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_can_be_read_and_written_is_listed_and_nothing_else_is_there() -> None:
    assert {*io.__all__, "coco", "yolo"} <= set(dir(io))
    with pytest.raises(AttributeError, match=r"^module 'hnm_core.io' has no attribute 'read_voc'$"):
        io.read_voc  # noqa: B018


def test_pyarrow_sleeps_until_it_is_needed() -> None:
    code = "import sys, hnm_core; sys.exit(any(name in sys.modules for name in ('pyarrow', 'PIL', 'yaml')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_pyarrow_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"^Parquet files need pyarrow: pip install pyarrow$"):
        read_parquet(tmp_path / "a.parquet")


# YOLO text


def yolo_set(folder: Path, images: tuple[str, ...], classes: tuple[str, ...]) -> Path:
    """A data set of empty image files, and its data.yaml."""
    (folder / "images" / "train").mkdir(parents=True)
    for name in images:
        (folder / "images" / "train" / name).touch()
    data = folder / "data.yaml"
    data.write_text(json.dumps({"train": "images/train", "names": list(classes)}))
    return data


@pytest.mark.filterwarnings("ignore::UserWarning")  # made-up scores may be whole numbers, boxes copies: that is said
@patient
@given(scenes(crowds=False), st.booleans())
def test_yolo_files_give_back_the_tables(tables: Tables, per_image: bool) -> None:
    images = len(tables[0].images)
    size = np.array([[20.0 + i, 10 + i] for i in range(images)]) if per_image else np.array([16.0, 32.0])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = yolo_set(folder, tables[1].images, tables[1].classes)
        write_yolo(tables[1], folder / "labels" / "train", size)
        write_yolo(tables[0], folder / "found", size)
        read = read_yolo(data, predictions=folder / "found")
    for table, back in zip(tables, read, strict=True):
        order = np.argsort(table.image, kind="stable")
        assert [Path(name).name for name in back.images] == list(table.images)
        assert back.classes == table.classes
        assert back.image.tolist() == table.image[order].tolist()
        assert back.label.tolist() == table.label[order].tolist()
        expected = (table.xyxy / np.tile(np.broadcast_to(size, (images, 2))[table.image], 2))[order]
        assert back.xyxy == pytest.approx(expected, abs=1e-15)
        assert (back.score is None) == (table.score is None)
        if back.score is not None and table.score is not None:
            assert back.score.tolist() == table.score[order].tolist()


def test_real_boxes_are_mined_the_same(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "bccd"
    tables = read_coco(source / "coco/instances_val.json", source / "preds/predictions_val.json")
    names = tuple(Path(name).name for name in tables[1].images)
    predictions, truth = (replace(table, images=names) for table in tables)
    data = yolo_set(tmp_path, names, truth.classes)
    for table, folder in ((truth, "labels/train"), (predictions, "found")):
        write_yolo(table, tmp_path / folder, (640, 480))
    back = mine(*read_yolo(data, predictions=tmp_path / "found"))
    assert back.report.as_dict()["statistics"] == mine(predictions, truth).report.as_dict()["statistics"]


def test_images_without_boxes_have_empty_files(tmp_path: Path) -> None:
    table = Detections.empty(["a.jpg", "b.png"], ["cat"])
    folder = write_yolo(table, tmp_path / "new" / "labels")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "a.txt": "",
        "b.txt": "",
    }


def test_crowds_are_left_out_aloud(tmp_path: Path) -> None:
    _, truth = scene([], [("a.jpg", "cat", (0, 0, 1, 1), "crowd"), ("a.jpg", "cat", (0, 0, 1, 0.5))])
    with pytest.warns(UserWarning, match=r"^1 crowd regions are not written, because the YOLO format has none$"):
        write_yolo(truth, tmp_path)
    assert (tmp_path / "a.txt").read_text() == "0 0.5 0.25 1.0 0.5\n"


def test_pixels_without_size_are_refused(tmp_path: Path) -> None:
    _, truth = scene([], [("a.jpg", "cat", (0, 0, 1, 1)), ("a.jpg", "cat", (10, 10, 30, 20))])
    with pytest.raises(
        ValueError,
        match=r"^1 of 2 boxes are not fractions of the image, first at row 1: \[10\.0, 10\.0, 30\.0, 20\.0\]; are they "
        r"pixels\? Then give size=\(width, height\)$",
    ):
        write_yolo(truth, tmp_path / "labels")
    assert not (tmp_path / "labels").exists()


def test_files_that_are_there_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"^1 of 2 files exist already, first .*b\.txt$"):
        write_yolo(Detections.empty(["a.jpg", "b.jpg"], ["cat"]), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["b.txt"]


def test_images_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^x/a\.jpg and y/a\.png have the same name 'a'"):
        write_yolo(Detections.empty(["x/a.jpg", "y/a.png"], ["cat"]), tmp_path)


@pytest.mark.parametrize(
    "world",
    [
        *(b"[]", b"{", b"[" * 100_000, b"3", b'{"images": "ab", "classes": ["cat"]}'),
        *(b'{"images": [1], "classes": ["cat"]}', b'{"images": ["a"], "classes": ["cat"], "verified": [["a", "cat"]]}'),
    ],
)
def test_a_parquet_file_that_names_its_world_otherwise_is_refused(tmp_path: Path, world: bytes) -> None:
    import pyarrow.parquet

    path = tmp_path / "a.parquet"
    write_parquet(everything_at_once()[0], path)
    table = pyarrow.parquet.read_table(path)
    (key,) = table.schema.metadata
    pyarrow.parquet.write_table(table.replace_schema_metadata({key: world}), path)
    with pytest.raises(ValueError, match=r"a\.parquet does not name its images and classes; write it with hnm_core"):
        read_parquet(path)
