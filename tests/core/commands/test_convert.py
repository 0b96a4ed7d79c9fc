"""`hnm convert` takes what `hnm mine` takes, and what is mined of its shards is what is mined of the files."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hnm_core.cli import main
from hnm_core.commands import convert, mine
from hnm_core.io.mining_folder import load_mining
from hnm_core.io.shard_reading import read_whole

pytest.importorskip("pyarrow", reason="pyarrow writes Parquet")

SHARED = Path(__file__).parents[4] / "shared" / "data"


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command of the engine, also where an older package is installed."""
    from importlib.metadata import EntryPoint

    from hnm_core import cli

    rooms = {
        "mine": "mine:command",
        "convert": "convert:command",
        "report": "reports:report",
        "export": "export:command",
    }
    points = [EntryPoint(name, f"hnm_core.commands.{room}", "hnm.commands") for name, room in rooms.items()]
    monkeypatch.setattr(cli, "entry_points", lambda group: points)


def lvis(folder: Path) -> tuple[Path, Path]:
    """Images, annotations and results with every kind of column, the results not in the order of the images."""
    rng = np.random.default_rng(7)
    images = [
        {"id": i, "file_name": f"{i}.jpg", "width": 90, "height": 70 + i, "neg_category_ids": [2] * (i % 2)}
        | {"not_exhaustive_category_ids": [1] * (i == 2)}
        for i in range(6)
    ]
    boxes = (rng.random((40, 4)) * 40 + 1).round(2).tolist()
    annotations = [
        {
            "id": i,
            "image_id": i % 5,
            "category_id": 1 + i % 3,
            "bbox": boxes[i],
            "iscrowd": int(i == 3),
            "ignore": int(i == 5),
        }
        for i in range(14)
    ]
    results = [
        {"image_id": i % 6, "category_id": 1 + i % 3, "bbox": boxes[i % 40], "score": round(float(rng.random()), 4)}
        for i in range(60)
    ]
    categories = [{"id": i, "name": name} for i, name in ((1, "cat"), (2, "dog"), (3, "=1"))]
    gt, dt = folder / "gt.json", folder / "dt.json"
    gt.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    dt.write_text(json.dumps(results))
    return gt, dt


def texts(folder: Path) -> dict[str, bytes]:
    """What a mining has written for people, and what was found, without where it came from."""
    names = ("weights.csv", "confusions.csv", "thresholds.csv", "report.md", "report.txt")
    found = {name: (folder / name).read_bytes() for name in names}
    found["hard_negatives.csv"] = b"\n".join(sorted((folder / "hard_negatives.csv").read_bytes().splitlines()))
    return found


def both(files: list[str], folder: Path, *knobs: str) -> tuple[Path, Path]:
    """Mine files, and the shards that they are converted to."""
    assert main(["convert", *files, "--output", str(folder / "shards"), "--images-per-shard", "4"]) == 0
    assert main(["mine", *files, "--output", str(folder / "of_files"), *knobs]) == 0
    assert main(["mine", "--data", str(folder / "shards"), "--output", str(folder / "of_shards"), *knobs]) == 0
    return folder / "of_files", folder / "of_shards"


@pytest.mark.parametrize(
    "knobs", [(), ("--iou-threshold", "0.3", "--confidence-threshold", "0.2"), ("--classes", "cat", "dog")]
)
@pytest.mark.filterwarnings("ignore:only .* predictions:UserWarning")
def test_shards_are_mined_as_the_files(tmp_path: Path, knobs: tuple[str, ...]) -> None:
    gt, dt = lvis(tmp_path)
    of_files, of_shards = both(["--data", str(gt), "--predictions", str(dt)], tmp_path, *knobs)
    assert texts(of_shards) == texts(of_files)
    source = json.loads((of_files / "mining.json").read_text())["source"]
    again = json.loads((of_shards / "mining.json").read_text())["source"]
    assert again == {**source, "shards": str(tmp_path / "shards")}


@pytest.mark.parametrize("name", ["bccd", "cards"])
def test_real_data_is_mined_as_the_files(tmp_path: Path, name: str) -> None:
    data = SHARED / name
    if not data.is_dir():
        pytest.skip(f"no {data}: the data sets are not part of the project")
    truth, found = data / "coco" / "instances_val.json", data / "preds" / "predictions_val.json"
    of_files, of_shards = both(["--data", str(truth), "--predictions", str(found)], tmp_path)
    assert texts(of_shards) == texts(of_files)


def test_a_split_of_yolo_is_mined_as_the_files(tmp_path: Path) -> None:
    pytest.importorskip("yaml", reason="PyYAML reads data.yaml")
    rng = np.random.default_rng(3)
    for folder in ("images/val", "labels/val", "found"):
        (tmp_path / folder).mkdir(parents=True)
    for i in range(6):
        (tmp_path / "images" / "val" / f"{i}.jpg").write_bytes(b"")
        for folder, more in (("labels/val", ""), ("found", " 0.7")):
            boxes = rng.random((4, 4)).round(6) / 2 + 0.2
            lines = [f"{k % 2} {' '.join(map(str, box))}{more}" for k, box in enumerate(boxes.tolist())]
            (tmp_path / folder / f"{i}.txt").write_text("\n".join(lines))
    (tmp_path / "data.yaml").write_text("train: images/val\nval: images/val\nnames: [cat, dog]\n")
    files = ["--data", str(tmp_path / "data.yaml"), "--split", "val", "--predictions", str(tmp_path / "found")]
    of_files, of_shards = both(files, tmp_path)
    assert texts(of_shards) == texts(of_files)
    assert json.loads((of_shards / "mining.json").read_text())["source"]["split"] == "val"


def test_a_run_keeps_the_shards_and_works_when_they_are_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    gt, dt = lvis(tmp_path)
    _, run = both(["--data", str(gt), "--predictions", str(dt)], tmp_path, "--confidence-threshold", "0.3")
    kept = sorted((run / "tables").iterdir())
    assert [path.stat().st_ino for path in kept] == [
        path.stat().st_ino for path in sorted((tmp_path / "shards").iterdir())
    ]
    assert not (run / "tables.npz").exists()
    shutil.rmtree(tmp_path / "shards")
    result, _ = load_mining(run)
    assert result.report.as_dict() == json.loads((run / "mining.json").read_text())["report"]
    assert main(["report", str(run)]) == 0
    capsys.readouterr()
    content = bytearray(kept[0].read_bytes())
    kept[0].unlink()
    kept[0].write_bytes(bytes(content[:-1]) + b"x")
    assert main(["report", str(run)]) == 2
    assert "part-00000-of-00002.parquet was changed since it was mined); mine again" in capsys.readouterr().err
    kept[0].unlink()
    assert main(["report", str(run)]) == 2
    assert "part-00000-of-00002.parquet is missing); mine again" in capsys.readouterr().err


def test_shards_that_somebody_may_change_are_copied(tmp_path: Path) -> None:
    gt, dt = lvis(tmp_path)
    files = ["--data", str(gt), "--predictions", str(dt)]
    assert main(["convert", *files, "--output", str(tmp_path / "shards")]) == 0
    (part,) = (tmp_path / "shards").iterdir()
    part.chmod(0o644)
    assert main(["mine", "--data", str(tmp_path / "shards"), "--output", str(tmp_path / "run")]) == 0
    (kept,) = (tmp_path / "run" / "tables").iterdir()
    assert kept.stat().st_ino != part.stat().st_ino
    assert kept.read_bytes() == part.read_bytes()


def test_one_shard_of_several_is_mined_alone(tmp_path: Path) -> None:
    gt, dt = lvis(tmp_path)
    files = ["--data", str(gt), "--predictions", str(dt)]
    assert main(["convert", *files, "--output", str(tmp_path / "shards"), "--images-per-shard", "4"]) == 0
    part = tmp_path / "shards" / "part-00001-of-00002.parquet"
    assert main(["mine", "--data", str(part), "--output", str(tmp_path / "run")]) == 0
    assert load_mining(tmp_path / "run")[0].truth.images == ("4.jpg", "5.jpg")


def test_classes_are_translated_and_evidence_is_used(tmp_path: Path) -> None:
    from dataclasses import replace

    from hnm_core.io import write_shards

    gt, dt = lvis(tmp_path)
    files = ["--data", str(gt), "--predictions", str(dt)]
    assert main(["convert", *files, "--output", str(tmp_path / "shards")]) == 0
    assert main(["mine", *files, "--class-map", "dog=cat", "--output", str(tmp_path / "a")]) == 0
    assert (
        main(["mine", "--data", str(tmp_path / "shards"), "--class-map", "dog=cat", "--output", str(tmp_path / "b")])
        == 0
    )
    assert texts(tmp_path / "a") == texts(tmp_path / "b")
    whole = read_whole(tmp_path / "shards")
    evidence = {"mine": np.full(len(whole.predictions), 3.0)}
    write_shards(tmp_path / "more", replace(whole, evidence=evidence, groups=list("aabbcc")))
    assert main(["mine", "--data", str(tmp_path / "more"), "--output", str(tmp_path / "c")]) == 0
    loaded = load_mining(tmp_path / "c")[0]
    assert loaded.groups is not None
    assert loaded.groups.tolist() == [0, 0, 1, 1, 2, 2]
    assert loaded.evidence["mine"].tolist() == evidence["mine"].tolist()
    assert "a prior by error type and mine" in " ".join(str(loaded.report).split())
    with pytest.warns(UserWarning, match="its evidence is left out, because --classes leaves out boxes"):
        main(["mine", "--data", str(tmp_path / "more"), "--classes", "cat", "--output", str(tmp_path / "d")])


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--data", "gt.json"], "gt.json is ground truth alone: give the predictions with --predictions PATH"),
        (["--data", "shards", "--predictions", "dt.json"], "--predictions is for other kinds of files: the shards"),
        (["--data", "shards", "--prediction-names", "a"], "--prediction-names is for other kinds of files"),
        (["--data", "shards", "--split", "val"], "is a folder of shards, which has no splits"),
        (["--data", "shards", "--output", "shards/new"], "lies in shards, which is read with all its files"),
    ],
)
def test_what_does_not_fit_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], flags: list[str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    lvis(tmp_path)
    assert main(["convert", "--data", "gt.json", "--predictions", "dt.json", "--output", "shards"]) == 0
    capsys.readouterr()
    for command in ("mine", "convert"):
        assert main([command, "--output", "new", *flags]) == 2
        assert sentence in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_it_writes_once_and_says_what(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gt, dt = lvis(tmp_path)
    files = ["convert", "--data", str(gt), "--predictions", str(dt), "--output", str(tmp_path / "shards")]
    assert main([*files, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["images"], said["predictions"], said["truths"], said["shards"]) == (6, 60, 14, 1)
    assert main(files) == 2
    assert "shards exists and is not empty; choose another --output" in capsys.readouterr().err
    files[-1] = str(tmp_path / "others")
    assert main([*files, "--images-per-shard", "2", "--progress"]) == 0
    assert "6 images, 60 predictions, 14 truths in 3 shards of" in capsys.readouterr().out
    assert not list(tmp_path.glob(".*"))


def test_both_commands_take_the_same_inputs() -> None:
    def inputs(command: Any) -> dict[str, Any]:
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        own = {"--output", "--help", "-h", "--progress", "--no-progress", "--images-per-shard"}
        return {
            name: (action.help, action.default)
            for action in parser._actions
            for name in action.option_strings
            if name not in own
        }

    of_convert, of_mine = inputs(convert.command), inputs(mine.command)
    assert set(of_convert) == {"--data", "--split", "--predictions", "--prediction-names", "--images", "--class-map"}
    assert of_convert.items() <= of_mine.items()


def test_pictures_are_found_again(tmp_path: Path) -> None:
    pillow = pytest.importorskip("PIL.Image", reason="Pillow makes the pictures")
    gt, dt = lvis(tmp_path)
    for i in range(6):
        pillow.new("RGB", (90, 70 + i)).save(tmp_path / f"{i}.jpg")
    of_files, of_shards = both(["--data", str(gt), "--predictions", str(dt)], tmp_path, "--save-samples")
    pages = [(folder / "report.html").read_text() for folder in (of_files, of_shards)]
    assert pages[0].count("data:image") == pages[1].count("data:image") > 0
    assert sorted(path.name for path in (of_files / "samples").iterdir()) == sorted(
        path.name for path in (of_shards / "samples").iterdir()
    )
