"""`hnm mine` shard by shard writes the bytes that it writes with all boxes in memory."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hnm_core import Detections
from hnm_core.cli import main
from hnm_core.commands import sharded
from hnm_core.engines import Shard
from hnm_core.io import write_coco, write_shards
from hnm_core.io.mining_folder import load_mining
from hnm_core.io.processes import this_process
from hnm_core.io.shard_heads import ShardFolder
from hnm_core.io.shard_reading import read_whole
from hnm_core.labels.reviews import SIDES
from tests.scenes import random_scene

pytest.importorskip("pyarrow", reason="pyarrow writes Parquet")
pytestmark = pytest.mark.filterwarnings("ignore:only .* predictions:UserWarning")

KNOBS: list[tuple[str, ...]] = [
    (),
    ("--strategy", "iou_based", "--max-per-image", "2", "--hard-negative-ratio", "1", "--confidence-threshold", "0.2"),
    (
        "--repeat-threshold",
        "0.4",
        "--sizes",
        "small",
        "medium",
        "--max-per-class",
        "5",
        "--class-map",
        "class 1=class 0",
    ),
    ("--classes", "class 2", "class 0", "--max-hard-negatives", "9", "--no-use-suspicion"),
]


def shuffled(table: Detections, rng: np.random.Generator, images: np.ndarray) -> Detections:
    """The same table with its images and its rows in another order."""
    place = np.argsort(images)
    moved = replace(table, image=place[table.image], images=tuple(table.images[i] for i in images))
    return moved.take(rng.permutation(len(table)))


def files(folder: Path, tables: tuple[Detections, Detections]) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    gt, dt = folder / "gt.json", folder / "dt.json"
    write_coco(*tables, gt, dt)
    return ["--data", str(gt), "--predictions", str(dt)]


def written(run: Path, *, ordered: bool = True) -> dict[str, Any]:
    """What a mining has written, without tables and where they came from; sorted if images are in another order."""
    found: dict[str, Any] = {}
    for path in sorted(run.iterdir()):
        if path.name == "mining.json":
            record = json.loads(path.read_text())
            found[path.name] = {name: record[name] for name in record if name not in ("tables", "source", "input")}
        elif path.name not in ("tables", "tables.npz", "samples"):
            found[path.name] = path.read_bytes()
    if not ordered:
        found["weights.csv"] = sorted(found["weights.csv"].splitlines())
    return found


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than seven images are many."""
    monkeypatch.setattr(sharded, "IMAGES_PER_SHARD", 7)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """No report.html: its charts take most of the time."""
    monkeypatch.setitem(sys.modules, "hnm_core.reporting.figures", None)


@pytest.mark.usefixtures("few", "plain")
@pytest.mark.filterwarnings("ignore:.*reviews reach no object:UserWarning")
@pytest.mark.parametrize(("seed", "knobs"), list(enumerate(KNOBS)))
def test_any_split_order_and_number_of_processes_writes_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, knobs: tuple[str, ...]
) -> None:
    tables = random_scene(seed, images=30, classes=4, levels=4)
    rng = np.random.default_rng(seed)
    reviewed = [
        {"image": table.images[table.image[row]], "side": side, "class": table.classes[table.label[row]]}
        | {"bbox": table.xyxy[row].tolist(), "state": ("ignore", "hard_negative", "wrong_label")[row % 3]}
        for side, table in zip(SIDES, tables, strict=True)
        for row in range(0, len(table), 3)
    ]
    (tmp_path / "reviews.json").write_text(json.dumps(reviewed))
    knobs = (*knobs, *(("--reviews", str(tmp_path / "reviews.json")) if seed % 2 else ()))

    def mined(name: str, given: list[str]) -> Path:
        assert main(["mine", *given, "--output", str(tmp_path / name), *knobs]) == 0
        return tmp_path / name

    given = files(tmp_path / "data", tables)
    with monkeypatch.context() as patch:
        patch.setattr(sharded, "IMAGES_PER_SHARD", 1_000)
        whole = written(mined("whole", given))
        assert (tmp_path / "whole" / "tables.npz").is_file()
    assert written(mined("json", given)) == whole
    assert not (tmp_path / "json" / "tables.npz").exists()
    for size, processes in ((1, 2), (11, 1)):
        shards = tmp_path / "data" / f"by {size}"
        assert main(["convert", *given, "--output", str(shards), "--images-per-shard", str(size)]) == 0
        run = mined(f"by {size}", ["--data", str(shards), "--processes", str(processes)])
        assert written(run) == whole
    images = rng.permutation(30)
    other = files(tmp_path / "other" / "data", tuple(shuffled(table, rng, images) for table in tables))
    moved = written(mined("moved", other), ordered=False)
    assert moved == {**whole, "weights.csv": sorted(whole["weights.csv"].splitlines())}


@pytest.mark.usefixtures("few", "charts")
def test_the_page_is_the_same(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the page's charts need it")
    given = files(tmp_path / "data", random_scene(2, images=7, classes=3))
    assert main(["convert", *given, "--output", str(tmp_path / "data" / "shards"), "--images-per-shard", "3"]) == 0
    for name, some in (("json", given), ("shards", ["--data", str(tmp_path / "data" / "shards")])):
        assert main(["mine", *some, "--output", str(tmp_path / name)]) == 0
    assert (tmp_path / "json" / "tables.npz").is_file()
    assert (tmp_path / "shards" / "report.html").is_file()
    assert written(tmp_path / "json") == written(tmp_path / "shards")


@pytest.mark.usefixtures("few", "plain")
def test_a_run_of_json_keeps_its_boxes_as_shards(tmp_path: Path) -> None:
    tables = random_scene(2, images=20, classes=3)
    given = files(tmp_path / "data", tables)
    run = tmp_path / "run"
    assert main(["mine", *given, "--output", str(run)]) == 0
    assert [path.name for path in sorted((run / "tables").iterdir())] == [
        f"part-{i:05d}-of-00003.parquet" for i in range(3)
    ]
    assert read_whole(run / "tables").truth.images == tables[1].images
    shutil.rmtree(tmp_path / "data")
    result, source = load_mining(run)
    assert result.report.as_dict() == json.loads((run / "mining.json").read_text())["report"]
    assert source["predictions"] == given[3]
    assert main(["report", str(run)]) == 0


@pytest.mark.usefixtures("few", "plain")
def test_what_looks_at_all_boxes_reads_all_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pillow = pytest.importorskip("PIL.Image", reason="Pillow makes the pictures")
    tables = random_scene(2, images=12, classes=3)
    given = files(tmp_path / "data", tables)
    for name in tables[1].images:
        pillow.new("RGB", (60, 60)).save(tmp_path / "data" / name, "PNG")
    shards = tmp_path / "data" / "shards"
    assert main(["convert", *given, "--output", str(shards), "--images-per-shard", "5"]) == 0
    capsys.readouterr()
    for name, some in (("json", given), ("shards", ["--data", str(shards)])):
        assert main(["mine", *some, "--output", str(tmp_path / name), "--save-samples"]) == 0
        assert "--save-samples needs all boxes in memory: they are not mined shard by shard" in capsys.readouterr().out
        assert (tmp_path / name / "samples" / "index.html").is_file()
    assert written(tmp_path / "json").keys() == written(tmp_path / "shards").keys()
    content = read_whole(shards)
    twins = np.arange(len(content.predictions)) // 2, np.arange(len(content.truth))
    write_shards(tmp_path / "data" / "twins", replace(content, twins=twins), images_per_shard=5)
    assert main(["mine", "--data", str(tmp_path / "data" / "twins"), "--output", str(tmp_path / "twins")]) == 0
    assert "twins need all boxes in memory" in capsys.readouterr().out
    assert load_mining(tmp_path / "twins")[0].twins is not None


@pytest.mark.usefixtures("few", "plain")
def test_nothing_is_left_of_a_mining_that_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = files(tmp_path / "data", random_scene(2, images=20, classes=3))
    shards = tmp_path / "shards"
    assert main(["convert", *given, "--output", str(shards), "--images-per-shard", "9"]) == 0
    last = sorted(shards.iterdir())[-1]
    content = bytearray(last.read_bytes())
    content[60] ^= 255
    last.chmod(0o644)
    last.write_bytes(bytes(content))
    before = sorted(tmp_path.iterdir())
    for some in (["--data", str(shards)], [*given, "--class-iou", "no such=0.5"]):
        capsys.readouterr()
        assert main(["mine", *some, "--output", str(tmp_path / "run")]) == 2
        assert sorted(tmp_path.iterdir()) == before
    assert "no such" in capsys.readouterr().err
    assert main(["mine", "--data", str(shards), "--output", str(tmp_path / "run")]) == 2
    assert f"{last} is no Parquet file, or is damaged or cut off" in capsys.readouterr().err
    assert main(["mine", "--data", str(shards), "--output", str(tmp_path / "run"), "--processes", "0"]) == 2
    assert "processes must be a whole number, 1 or more, got 0" in capsys.readouterr().err


class Loads:
    """Counts the shards that are read, and stops at one of them, as Ctrl-C or a kill would."""

    def __init__(self, stop: int | None) -> None:
        self.read: list[int] = []
        self.stop = stop
        self.loaders_of = sharded.loaders_of

    def __call__(self, folder: ShardFolder) -> list[Callable[[], Shard]]:
        def load(number: int, loader: Callable[[], Shard]) -> Shard:
            if number == self.stop:
                raise KeyboardInterrupt
            self.read.append(number)
            return loader()

        return [partial(load, number, loader) for number, loader in enumerate(self.loaders_of(folder))]


@pytest.mark.usefixtures("plain")
def test_an_interrupted_mining_goes_on_at_the_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = files(tmp_path / "data", random_scene(3, images=20, classes=3))
    shards = tmp_path / "data" / "shards"
    assert main(["convert", *given, "--output", str(shards), "--images-per-shard", "4"]) == 0
    call = ["mine", "--data", str(shards), "--confidence-threshold", "0.3", "--output"]
    assert main([*call, str(tmp_path / "whole")]) == 0

    def mined(stop: int | None, *more: str) -> list[int]:
        loads = Loads(stop)
        with monkeypatch.context() as patch:
            patch.setattr(sharded, "loaders_of", loads)
            assert (main([*call, str(tmp_path / "run"), *more]) == 0) == (stop is None)
        return loads.read

    def left() -> list[Path]:
        return sorted(tmp_path.glob(".*"))

    assert mined(3) == [0, 1, 2]
    (work,) = left()
    (work / "owner.json").write_text(json.dumps({**this_process(), "started": "long ago"}))
    (work / "000001" / "key").unlink()  # as if it had been killed in the middle of this one
    assert mined(None) == [1, 3, 4]
    assert left() == []
    assert written(tmp_path / "run") == written(tmp_path / "whole")
    shutil.rmtree(tmp_path / "run")

    assert mined(4) == [0, 1, 2, 3]
    (work / "owner.json").write_text(json.dumps({**this_process(), "started": "long ago"}))
    with pytest.warns(UserWarning, match="was left by a process that was interrupted and is removed"):
        assert mined(None, "--iou-threshold", "0.4") == [0, 1, 2, 3, 4]  # other settings
    assert left() == []


@pytest.mark.usefixtures("plain")
def test_mining_twice_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = files(tmp_path / "data", random_scene(3, images=20, classes=3))
    shards, run = tmp_path / "data" / "shards", tmp_path / "run"
    assert main(["convert", *given, "--output", str(shards), "--images-per-shard", "4"]) == 0
    call = ["mine", "--data", str(shards), "--output", str(run)]
    capsys.readouterr()
    assert main(call) == 0
    first = capsys.readouterr().out
    times = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    assert main(call) == 0
    second = capsys.readouterr().out
    assert f"{run} holds this very mining already: nothing is changed" in second
    assert second.splitlines()[:20] == first.splitlines()[:20]
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == times
    for more in (["--iou-threshold", "0.4"], ["--classes", "class 0"]):
        assert main([*call, *more]) == 2
        assert "exists and is not empty; choose another --output" in capsys.readouterr().err
    last = sorted(shards.iterdir())[-1]
    last.unlink()
    assert main(call) == 2
    assert "has 4 of its 5 shards" in capsys.readouterr().err
