"""Keeping hard images: copies, annotations, pictures and the page that shows them."""

from __future__ import annotations

import builtins
import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hnm_core import Detections, HardNegativeMiner, mine
from hnm_core.io import read_coco
from hnm_core.io.pictures import UnreadablePictureError
from hnm_core.samples.folder import SampleFolder, save_samples
from hnm_core.samples.gallery import GalleryItem, gallery_page
from hnm_core.settings import MiningSettings
from tests.scenes import everything_at_once, scene

Image = pytest.importorskip("PIL.Image")

CAT = {"bbox": [8, 8, 24, 24], "confidence": 0.9, "class": "cat"}
DOG = {"bbox": [40, 30, 60, 44], "class": "dog"}
FOUND = [
    {
        **{"type": "false_positive", "error": "background", "prediction": CAT, "ground_truth": None, "iou": 0.0},
        **{"confidence": np.float32(0.5), "difficulty": 0.9, "seen": {"at": Path("x"), "when": np.arange(2)}},
    }
]
READ_BACK = [{**FOUND[0], "confidence": 0.5, "seen": {"at": "x", "when": [0, 1]}}]


def make_image(path: Path, size: tuple[int, int] = (64, 48), color: str = "gray") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file's bytes and time of change."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def linked(page: Path) -> list[str]:
    """The pictures of a page, in its order."""
    return re.findall(r'<img src="([^"]+)"', page.read_text(encoding="utf-8"))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return make_image(tmp_path / "photos" / "straße 1.png")


def test_copy_json_picture_and_page(tmp_path: Path, image: Path) -> None:
    before = state(image.parent)
    kept = tmp_path / "new" / "kept"
    record = SampleFolder(kept).save(image, FOUND, [CAT], [DOG])
    assert record == kept / "straße 1.png.json"
    assert names(kept) == ["index.html", "straße 1.png", "straße 1.png.hard.jpg", "straße 1.png.json"]
    assert (kept / image.name).read_bytes() == image.read_bytes()
    assert json.loads(record.read_text(encoding="utf-8")) == {
        **{"image_path": str(image), "unit": "pixels", "hard_negatives": READ_BACK},
        **{"ground_truth": [DOG], "predictions": [CAT]},
    }
    assert linked(kept / "index.html") == ["stra%C3%9Fe%201.png.hard.jpg"]
    assert state(image.parent) == before


# Going on, and refusing


def test_saving_the_same_again_changes_nothing(tmp_path: Path, image: Path) -> None:
    SampleFolder(tmp_path / "kept").save(image, FOUND, [CAT], [DOG])
    before = state(tmp_path / "kept")
    again = SampleFolder(tmp_path / "kept")
    again.save(image, FOUND, [CAT], [DOG])
    again.write_index()
    assert state(tmp_path / "kept") == before


@pytest.mark.parametrize("lost", ["a.png", "a.png.hard.jpg", "index.html"])
def test_what_an_interruption_left_out_is_made_up_for(tmp_path: Path, lost: str) -> None:
    image = make_image(tmp_path / "photos" / "a.png")
    SampleFolder(tmp_path / "kept").save(image, FOUND)
    before = {name: content for name, (content, _) in state(tmp_path / "kept").items()}
    (tmp_path / "kept" / lost).unlink()
    again = SampleFolder(tmp_path / "kept")
    again.save(image, FOUND)
    again.write_index()
    assert {name: content for name, (content, _) in state(tmp_path / "kept").items()} == before


def test_an_image_seen_again_by_the_same_miner_shows_what_was_found_last(tmp_path: Path, image: Path) -> None:
    folder = SampleFolder(tmp_path / "kept")
    folder.save(image, FOUND)
    record = folder.save(image, [{**FOUND[0], "error": "both"}])
    assert json.loads(record.read_text(encoding="utf-8"))["hard_negatives"][0]["error"] == "both"
    folder.write_index()
    assert "both" in (tmp_path / "kept" / "index.html").read_text(encoding="utf-8")


def test_what_another_mining_found_is_not_overwritten(tmp_path: Path, image: Path) -> None:
    record = SampleFolder(tmp_path / "kept").save(image, FOUND)
    before = state(tmp_path / "kept")
    with pytest.raises(FileExistsError) as error:
        SampleFolder(tmp_path / "kept").save(image, [])
    assert str(error.value) == (
        f"{record} holds 1 hard negatives that an earlier mining found in {image}, and the new ones differ; "
        f"choose another output_dir"
    )
    assert state(tmp_path / "kept") == before


def test_another_image_of_the_same_name_is_refused(tmp_path: Path, image: Path) -> None:
    other = make_image(tmp_path / "others" / image.name, color="red")
    folder = SampleFolder(tmp_path / "kept")
    record = folder.save(image, FOUND)
    before = state(tmp_path / "kept")
    for again in (folder, SampleFolder(tmp_path / "kept")):
        with pytest.raises(FileExistsError) as error:
            again.save(other, FOUND)
        assert str(error.value) == f"{record} belongs to {image}, not to {other}; choose another output_dir"
    assert state(tmp_path / "kept") == before


def test_the_same_image_by_another_path_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = make_image(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    folder = SampleFolder(tmp_path / "kept")
    first = folder.save(image, FOUND)
    before = state(tmp_path / "kept")
    assert folder.save("a.png", FOUND) == first
    assert list(state(tmp_path / "kept")) == list(before)


@pytest.mark.parametrize("name", ["a.png", "a.png.json", "a.png.hard.jpg", "index.html"])
def test_files_of_others_are_not_overwritten(tmp_path: Path, name: str) -> None:
    image = make_image(tmp_path / "photos" / "a.png")
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / name).write_text("{}")
    with pytest.raises(FileExistsError) as error:
        SampleFolder(tmp_path / "kept").save(image, FOUND)
    assert str(error.value) == (
        f"{tmp_path / 'kept' / name} exists and was not written by this tool; choose another output_dir"
    )
    assert state(tmp_path / "kept")[name][0] == b"{}"
    assert names(tmp_path / "kept") == [name]


def test_the_folder_of_the_images_themselves_is_refused(tmp_path: Path, image: Path) -> None:
    before = state(image.parent)
    with pytest.raises(
        FileExistsError, match=r"photos is the folder of .*straße 1\.png itself; choose another output_dir$"
    ):
        SampleFolder(image.parent).save(image, FOUND)
    assert state(image.parent) == before


def test_an_image_that_is_not_there_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"^cannot save the hard sample .*gone\.jpg: no such file$"):
        SampleFolder(tmp_path / "kept").save(tmp_path / "gone.jpg", FOUND)
    assert not (tmp_path / "kept").exists()


# Pictures that cannot be


@pytest.mark.parametrize("drawn", [True, False])
def test_what_is_no_picture_is_not_copied(tmp_path: Path, drawn: bool) -> None:
    image = tmp_path / "a.jpg"
    image.write_bytes(b"secrets")
    folder = SampleFolder(tmp_path / "kept")
    folder._can_draw = drawn  # without Pillow the first bytes decide
    with pytest.raises(UnreadablePictureError, match=r"a\.jpg is not a picture"):
        folder.save(image, FOUND)
    assert not (tmp_path / "kept").exists()


def test_without_pillow_one_warning_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = [make_image(tmp_path / "photos" / f"{name}.png") for name in "ab"]
    real = builtins.__import__

    def without_pillow(name: str, *more: Any) -> Any:
        if name.endswith("drawing"):
            raise ImportError("No module named 'PIL'")
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", without_pillow)
    folder = SampleFolder(tmp_path / "kept")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for image in images:
            folder.save(image, FOUND)
    assert [str(w.message) for w in warned] == [
        "hard samples are saved without pictures: Pillow is not installed (pip install pillow)"
    ]
    assert names(tmp_path / "kept") == ["a.png", "a.png.json", "b.png", "b.png.json", "index.html"]


# The page


def test_the_page_shows_the_hardest_first(tmp_path: Path) -> None:
    folder = SampleFolder(tmp_path / "kept")
    for name, difficulties in {"b": [0.5], "a": [0.5], "c": [0.5, 0.4], "d": [0.9], "e": []}.items():
        found = [{**FOUND[0], "difficulty": d} for d in difficulties]
        folder.save(make_image(tmp_path / "photos" / f"{name}.png"), found)
    folder.write_index()
    assert linked(tmp_path / "kept" / "index.html") == [f"{name}.png.hard.jpg" for name in "dcabe"]


def test_the_page_keeps_up_while_images_come_in(tmp_path: Path) -> None:
    """Written anew at 1, 2, 4, 8 … images, so that a long run costs little, and by the report."""
    miner = HardNegativeMiner(save_samples=True, output_dir=str(tmp_path / "kept"))
    listed = []
    for i in range(9):
        miner.find_hard_negatives([CAT], [], str(make_image(tmp_path / "photos" / f"{i}.png")))
        listed.append(len(linked(tmp_path / "kept" / "index.html")))
    assert listed == [1, 2, 2, 4, 4, 4, 4, 8, 8]
    miner.generate_report()
    assert len(linked(tmp_path / "kept" / "index.html")) == 9


def test_names_are_escaped_and_nothing_is_loaded_from_elsewhere() -> None:
    page = gallery_page([GalleryItem("<a> & 50%.jpg", "<a> & 50%.jpg.hard.jpg", ["background", "<b>"], [0.5, 0.1])])
    assert '<img src="%3Ca%3E%20%26%2050%25.jpg.hard.jpg" alt="&lt;a&gt; &amp; 50%.jpg"' in page
    assert "<a>" not in page
    assert "&lt;b&gt;</b>&nbsp;1" in page
    assert "2 hard negatives in 1 images" in page
    assert not re.search(r"https?:|<script", page)


# From tables and dicts


def keyed(tables: tuple[Detections, Detections], folder: Path) -> tuple[Detections, Detections]:
    """The tables with files for keys."""
    images = [str(make_image(folder / f"{key}.png", (128, 128))) for key in tables[1].images]
    predictions, truth = (replace(table, images=tuple(images)) for table in tables)
    return predictions, truth


def saved(folder: Path) -> Mapping[str, Any]:
    return {path.name: json.loads(path.read_text()) for path in folder.glob("*.json")}


def test_tables_and_dicts_save_the_same(tmp_path: Path) -> None:
    tables = keyed(everything_at_once(), tmp_path / "photos")
    at_once, one_by_one = (tmp_path / name for name in ("tables", "dicts"))
    HardNegativeMiner(hard_negative_ratio=1, save_samples=True, output_dir=str(at_once)).find_hard_negatives(*tables)
    miner = HardNegativeMiner(hard_negative_ratio=1, save_samples=True, output_dir=str(one_by_one))
    for record in saved(at_once).values():
        miner.find_hard_negatives(record["predictions"], record["ground_truth"], record["image_path"])
    miner.generate_report()
    assert saved(one_by_one) == saved(at_once)
    assert linked(one_by_one / "index.html") == linked(at_once / "index.html")
    assert {name: path.read_bytes() for path in at_once.glob("*.jpg") if (name := path.name)} == {
        path.name: path.read_bytes() for path in one_by_one.glob("*.jpg")
    }


def test_of_tables_only_images_with_hard_negatives_are_saved(tmp_path: Path) -> None:
    tables = keyed(everything_at_once(), tmp_path / "photos")
    result = mine(*tables)
    save_samples(result, SampleFolder(tmp_path / "kept"))
    hard = [Path(name).name for name, n in zip(result.truth.images, result.hard_counts, strict=True) if n]
    assert sorted(saved(tmp_path / "kept")) == sorted(f"{name}.json" for name in hard)
    assert all(len(record["ground_truth"]) <= 1 for record in saved(tmp_path / "kept").values())


def test_files_of_one_name_in_several_folders_are_all_saved(tmp_path: Path) -> None:
    keys = [f"cam{i}/0000.png" for i in (1, 2)] + ["cam1/0001.png"]
    files = [str(make_image(tmp_path / key)) for key in keys]
    result = mine(*scene([(key, "cat", 0.9, (0, 0, 1, 1)) for key in files]), MiningSettings(hard_negative_ratio=1))
    for _ in range(2):  # the second time goes on
        save_samples(result, SampleFolder(tmp_path / "kept"))
    records = saved(tmp_path / "kept")
    assert sorted(record["image_path"] for record in records.values()) == sorted(files)
    assert all(re.fullmatch(r"0000-[0-9a-f]{10}\.png\.json|0001\.png\.json", name) for name in records)
    assert len(linked(tmp_path / "kept" / "index.html")) == 3


def test_what_cannot_be_saved_is_told_and_the_others_are_saved(tmp_path: Path) -> None:
    files = [str(make_image(tmp_path / "photos" / f"{name}.png")) for name in "ab"]
    result = mine(*scene([(key, "cat", 0.9, (0, 0, 1, 1)) for key in files]), MiningSettings(hard_negative_ratio=1))
    Path(files[0]).unlink()
    failed: list[OSError] = []
    save_samples(result, SampleFolder(tmp_path / "kept"), on_error=failed.append)
    assert list(saved(tmp_path / "kept")) == ["b.png.json"]
    assert [str(error) for error in failed] == [f"cannot save the hard sample {files[0]}: no such file"]


def test_files_are_found_by_key_and_progress_is_told(tmp_path: Path) -> None:
    make_image(tmp_path / "photos" / "a.png")
    told = []

    def progress(share: float, label: str) -> None:
        told.append((share, label))

    result = mine(*scene([("train/a.png", "cat", 0.9, (0, 0, 1, 1))]))
    locate = lambda key: tmp_path / "photos" / Path(key).name  # noqa: E731
    save_samples(result, SampleFolder(tmp_path / "kept"), locate, progress)
    assert told == [(0, "saving samples: 0 of 1"), (1, "saving samples: 1 of 1")]
    assert saved(tmp_path / "kept")["a.png.json"]["image_path"] == str(tmp_path / "photos" / "a.png")


def test_crowds_are_marked_in_what_is_saved(tmp_path: Path) -> None:
    tables = keyed(
        scene([("a", "cat", 0.9, (50, 50, 60, 60))], [("a", "cat", (0, 0, 10, 10), "crowd")]), tmp_path / "photos"
    )
    save_samples(mine(*tables), SampleFolder(tmp_path / "kept"))
    assert saved(tmp_path / "kept")["a.png.json"]["ground_truth"] == [
        {"bbox": [0, 0, 10, 10], "class": "cat", "crowd": True}
    ]


def test_real_photographs(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "cards"
    result = mine(*read_coco(source / "coco/instances_val.json", source / "preds/predictions_val.json"))
    files = {path.name: path for path in (source / "images").rglob("*") if path.is_file()}
    save_samples(result, SampleFolder(tmp_path / "kept"), lambda key: files[Path(key).name])
    sizes = []
    for path in (tmp_path / "kept").glob("*.hard.jpg"):
        with Image.open(path) as picture:
            sizes.append(max(picture.size))
    assert len(sizes) == np.count_nonzero(result.hard_counts)
    assert min(sizes) >= 640
