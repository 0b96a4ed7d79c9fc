"""Shards keep every column to the bit, whatever the split, and a damaged, foreign or missing one is one sentence."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hnm_core import Detections, mine
from hnm_core.columns import KINDS
from hnm_core.io import Shard, read_shards, write_shards
from hnm_core.io.shard_heads import are_shards, open_shards
from hnm_core.io.shard_reading import read_whole
from tests.scenes import patient, scene, scenes

pytest.importorskip("pyarrow", reason="pyarrow writes Parquet")
import pyarrow
import pyarrow.parquet


def whole() -> Shard:
    """Three images with every kind of column, rows not in the order of images."""
    world: dict[str, Any] = {"images": ("b", "a/é.jpg", "c"), "classes": ("cat", "dog, or not")}
    found = Detections(
        [1, 0, 1], [[0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], [0, 0, 9, 9]], [0, 1, 1], [0.9, 0.8, 1e-9], **world
    )
    truth = Detections(
        *([2, 1, 1], [[0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], [5, 5, 5, 9]], [0, 1, 1], None),
        **world,
        kind=[5, 0, 3],
        verified=[[0, 0], [2, 1], [2, 0]],
        not_exhaustive=[[2, 1]],
    )
    return Shard(
        found,
        truth,
        groups=["g", "h", "g"],
        evidence={"one": np.array([1.5, np.nan, 3]), "both": (np.array([np.nan, 1, 2]), np.array([0.5, np.nan, 2]))},
        twins=(np.array([7, 8, 7]), np.array([0, 1, 2])),
        sizes=np.array([[640, 480], [np.nan, np.nan], [3, 4]]),
        files=["/pictures/b", None, "c"],
        source={"data": "gt.json"},
    )


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal to the bit, NaN included."""
    if one is None or other is None:
        return one is other
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(map(same, one.values(), other.values()))
    return np.array_equal(np.asarray(one), np.asarray(other), equal_nan=np.asarray(one).dtype.kind == "f")


def columns(table: Detections) -> tuple[Any, ...]:
    return table.image, table.xyxy, table.label, table.score, table.kinds(), table.verified, table.not_exhaustive


@pytest.mark.parametrize("images_per_shard", [1, 2, 3, 100])
def test_every_column_comes_back(tmp_path: Path, images_per_shard: int) -> None:
    given_ = whole()
    folder = write_shards(tmp_path / "shards", given_, images_per_shard=images_per_shard)
    names = sorted(path.name for path in folder.iterdir())
    count = -(-3 // images_per_shard)
    assert names == [f"part-{i:05d}-of-{count:05d}.parquet" for i in range(count)]
    read = read_whole(folder)
    for table, before in ((read.predictions, given_.predictions), (read.truth, given_.truth)):
        order = np.argsort(before.image, kind="stable")
        assert same(columns(table), columns(before.take(order)))
        assert (table.images, table.classes) == (before.images, before.classes)
    p, t = (np.argsort(table.image, kind="stable") for table in (given_.predictions, given_.truth))
    one, both = (
        given_.evidence["one"][p],
        tuple(side[at] for side, at in zip(given_.evidence["both"], (p, t), strict=True)),
    )
    assert same(dict(read.evidence), {"one": one, "both": both})
    assert given_.twins is not None
    assert same(read.twins, (given_.twins[0][p], given_.twins[1][t]))
    assert (read.groups, read.files) == (given_.groups, given_.files)
    assert same(read.sizes, given_.sizes)
    assert read.source == {"data": "gt.json"}


def test_shards_are_read_one_by_one_and_none_is_nan(tmp_path: Path) -> None:
    folder = write_shards(tmp_path / "shards", whole(), images_per_shard=2)
    shards = list(read_shards(folder))
    assert [shard.truth.images for shard in shards] == [("b", "a/é.jpg"), ("c",)]
    assert [len(shard.predictions) for shard in shards] == [3, 0]
    assert shards[1].truth.verified is not None
    assert shards[1].truth.verified.tolist() == [[0, 1], [0, 0]]
    one = next(read_shards(folder / "part-00001-of-00002.parquet"))
    assert one.truth.images == ("c",)
    table = pyarrow.parquet.read_table(folder / "part-00000-of-00002.parquet")
    assert table["width"].null_count == 1
    assert table["evidence:one"].combine_chunks().flatten().null_count == 1
    assert b"NaN" not in json.dumps(table.to_pylist(), default=str).encode()


def test_numbers_that_hardly_repeat_are_written_without_a_dictionary(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    world: dict[str, Any] = {"images": tuple(map(str, range(50))), "classes": ("cat",)}
    image, none = np.repeat(np.arange(50), 8), np.zeros(400, dtype=np.int64)
    corners = rng.random((400, 2))
    boxes = np.concatenate([corners, corners + rng.random((400, 2))], axis=1)
    found = Detections(image, boxes, none, rng.integers(0, 9, 400) / 10, **world)
    content = Shard(found, Detections(image, boxes.round(1), none, None, **world))
    (file,) = write_shards(tmp_path / "shards", content).iterdir()
    group = pyarrow.parquet.ParquetFile(file).metadata.row_group(0)
    columns = [group.column(i) for i in range(group.num_columns)]
    without = [column.path_in_schema for column in columns if "RLE_DICTIONARY" not in column.encodings]
    assert without == ["box.list.element.list.element"]
    read = read_whole(tmp_path / "shards")
    assert same(read.predictions.xyxy, boxes)
    assert same(read.predictions.score, found.score)


def test_equal_content_gives_equal_files_that_nobody_may_change(tmp_path: Path) -> None:
    one, other = (write_shards(tmp_path / name, whole(), images_per_shard=2) for name in "ab")
    for path in one.iterdir():
        assert path.read_bytes() == (other / path.name).read_bytes()
        assert not path.stat().st_mode & 0o222


@patient
@given(scenes(), st.integers(1, 4), st.randoms(use_true_random=False))
def test_any_split_is_mined_to_the_same_bits(tmp_path_factory: Any, tables: Any, size: int, random: Any) -> None:
    predictions, truth = tables
    if not truth.images:
        return
    folder = tmp_path_factory.mktemp("shards")
    read = read_whole(write_shards(folder / "s", Shard(predictions, truth), images_per_shard=size))
    p, t = (np.argsort(table.image, kind="stable") for table in (predictions, truth))
    straight, again = mine(predictions.take(p), truth.take(t)), mine(read.predictions, read.truth)
    for name in ("prediction_error", "prediction_difficulty", "truth_difficulty", "prediction_hard", "weights"):
        assert same(getattr(again, name), getattr(straight, name)), name
    assert again.report == straight.report


def test_tables_without_images_or_boxes(tmp_path: Path) -> None:
    for name, images in (("none", ()), ("bare", ("a", "b"))):
        empty = Shard(Detections.empty(images, ["cat"], scored=True), Detections.empty(images, ["cat"]))
        read = read_whole(write_shards(tmp_path / name, empty))
        assert (read.truth.images, read.truth.classes, len(read.predictions)) == (images, ("cat",), 0)


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="images_per_shard is 0, expected at least 1"):
        write_shards(tmp_path / "s", whole(), images_per_shard=0)
    with pytest.raises(ValueError, match="groups have keys of mixed types"):
        write_shards(tmp_path / "s", replace(whole(), groups=["1", 1, "1"]))
    with pytest.raises(ValueError, match="groups has 2 entries, expected one for each of the 3 images"):
        replace(whole(), groups=["a", "b"])
    with pytest.raises(ValueError, match="evidence 'one' has 2 numbers"):
        replace(whole(), evidence={"one": np.zeros(2)})
    assert not (tmp_path / "s").exists()
    write_shards(tmp_path / "s", whole())
    with pytest.raises(FileExistsError, match="exists and is not empty"):
        write_shards(tmp_path / "s", whole())
    assert not list(tmp_path.glob(".*"))


def rewritten(path: Path, head: dict[str, Any] | None = None, **columns_: Any) -> None:
    """Write a shard again with other columns, or with other words of itself."""
    table = pyarrow.parquet.read_table(path)
    words = json.loads(table.schema.metadata[b"hnm.shard"]) | (head or {})
    for name, column in columns_.items():
        table = table.drop_columns(name) if name in table.column_names else table
        table = table if column is None else table.append_column(name, column)
    path.unlink()
    pyarrow.parquet.write_table(table.replace_schema_metadata({"hnm.shard": json.dumps(words)}), path)


LISTS = pyarrow.list_(pyarrow.int32())


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda p: cut(p, 0), r"part-00000-of-00002\.parquet is empty, expected a shard"),
        (lambda p: cut(p, 900), "is no Parquet file, or is damaged or cut off"),
        (lambda p: spoil(p), "is no Parquet file, or is damaged or cut off"),
        (lambda p: rewritten(p, {"version": 9}), "is a shard of version 9, this release reads version 1"),
        (lambda p: rewritten(p, {"boxes": [1, "x"]}), "is a damaged shard: it says"),
        (lambda p: rewritten(p, {"boxes": [2, 2]}), "has 3 predictions and 2 truths, but says that it has 2 and 2"),
        (lambda p: rewritten(p, {"classes": ["cat", "cow"]}), r"differ in classes: 'dog, or not' and 'cow'|'cow' and"),
        (lambda p: rewritten(p, {"classes": ["cat"]}), "differ in classes: "),
        (lambda p: rewritten(p, group=None), "differ in columns"),
        (lambda p: rewritten(p, label=None), "is a damaged shard: it lacks the columns label"),
        (lambda p: rewritten(p, height=None), "is a damaged shard: it lacks the columns height"),
        (
            lambda p: rewritten(p, label=pyarrow.array([[0], [1]], LISTS)),
            r"column 'label' has 1 values in row 1, but there are 2 boxes in it",
        ),
        (
            lambda p: rewritten(p, label=pyarrow.array([[0], None], LISTS)),
            "column 'label' has 1 nulls, expected a list",
        ),
        (lambda p: rewritten(p, label=pyarrow.array([[0], [1, None]], LISTS)), "column 'label' has 1 nulls inside"),
        (lambda p: rewritten(p, label=pyarrow.array([0, 1])), "column 'label' is int64, expected list<"),
        (lambda p: rewritten(p, label=pyarrow.array([[0], [1, 7]], LISTS)), "1 of 3 label numbers are none of the 2"),
        (lambda p: rewritten(p, image=pyarrow.array(["b", None])), "column 'image' has 1 nulls, first in row 1"),
        (lambda p: rewritten(p, image=pyarrow.array(["b", "c"])), "images names 'c' more than once"),
    ],
)
def test_a_shard_that_is_not_what_it_should_be_is_named(tmp_path: Path, damage: Any, sentence: str) -> None:
    folder = write_shards(tmp_path / "shards", whole(), images_per_shard=2)
    damage(folder / "part-00000-of-00002.parquet")
    with pytest.raises(ValueError, match=sentence) as error:
        read_whole(folder)
    assert "\n" not in str(error.value)


def cut(path: Path, size: int) -> None:
    content = path.read_bytes()[:size]
    path.unlink()
    path.write_bytes(content)


def spoil(path: Path) -> None:
    """Change bytes of the first page, which its checksum tells."""
    content = bytearray(path.read_bytes())
    content[20:30] = b"\xff" * 10
    path.unlink()
    path.write_bytes(bytes(content))


def test_foreign_and_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no"):
        open_shards(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"has no shards, expected files such as part-00000-of-00001\.parquet"):
        open_shards(tmp_path)
    pyarrow.parquet.write_table(pyarrow.table({"image": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(ValueError, match="is Parquet, but no shard: it lacks the columns gt_box"):
        open_shards(tmp_path)
    folder = write_shards(tmp_path / "shards", whole(), images_per_shard=1)
    (folder / "part-00001-of-00003.parquet").rename(tmp_path / "away")
    with pytest.raises(FileNotFoundError, match=r"has 2 of its 3 shards, missing is part-00001-of-00003\.parquet"):
        open_shards(folder)
    shutil.copyfile(tmp_path / "away", folder / "part-00001-of-00003.parquet")
    shutil.copyfile(tmp_path / "away", folder / "x.parquet")
    with pytest.raises(ValueError, match=r"has 4 files, but its data has 3 shards: .* is there twice"):
        open_shards(folder)


def test_what_looks_like_shards(tmp_path: Path) -> None:
    folder = write_shards(tmp_path / "shards", whole())
    assert are_shards(folder)
    assert are_shards(folder / "part-00000-of-00001.parquet")
    assert not are_shards(tmp_path)
    assert KINDS[5] == "region_before"  # their order is part of the format


def test_without_pyarrow_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match="Parquet files need pyarrow: pip install pyarrow"):
        write_shards(tmp_path / "s", Shard(*scene()))


def test_reading_leaves_arrows_memory_as_it_was(tmp_path: Path) -> None:
    pool = pyarrow.default_memory_pool().backend_name
    write_shards(tmp_path / "shards", whole(), images_per_shard=1)
    list(read_shards(tmp_path / "shards"))
    assert pyarrow.default_memory_pool().backend_name == pool
    spoil(next((tmp_path / "shards").iterdir()))
    with pytest.raises(ValueError, match="part-"):
        list(read_shards(tmp_path / "shards"))
    assert pyarrow.default_memory_pool().backend_name == pool
