"""Real trainings, tiny ones: what is drawn, what is mined, and what survives a kill."""

from __future__ import annotations

import csv
import json
import random
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ultralytics", reason="Ultralytics trains")
pytest.importorskip("scipy", reason="SciPy tests the draws")

from scipy.stats import chisquare

from fiftyone_plugin.demo.dataset import WEIGHTS
from fiftyone_plugin.demo.digits import make_digits
from hnm_core import mine
from hnm_core.cli import main
from hnm_core.io.mining_folder import load_mining
from hnm_core.settings import MiningSettings
from hnm_core.training import HardNegativeTrainer, TrainingPlan, image_losses, train
from hnm_core.training.datasets import WeightedDataset, draw_by_weight
from hnm_core.training.losses import loss_percentiles, loss_strategy
from hnm_core.training.mining import Rounds, read_weights, truth_of
from tests.scenes import scene

TINY: dict[str, Any] = {"imgsz": 64, "batch": 8, "nbs": 8, "device": "cpu", "plots": False, "amp": False, "val": False}


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``data.yaml`` of 24 images to train on, 3 of them without a digit to find."""
    splits = (("train", 0.8), ("val", 0.2))
    return make_digits(tmp_path_factory.mktemp("digits") / "set", 30, seed=3, size=64, withheld=0, splits=splits)


@pytest.fixture
def weighted(digits: Path) -> Any:
    """Ultralytics' loader of those images, by weights of 1 to 3."""

    def build(**options: Any) -> Any:
        from ultralytics.cfg import get_cfg
        from ultralytics.data import build_dataloader, build_yolo_dataset
        from ultralytics.data.utils import check_det_dataset

        options = {"imgsz": 32, "mosaic": 1.0, "mixup": 0.5, "close_mosaic": 0, **options}
        cfg, data = get_cfg(overrides=options), check_det_dataset(str(digits))
        dataset = WeightedDataset.of(build_yolo_dataset(cfg, data["train"], 8, data))
        loader = build_dataloader(dataset, 8, workers=0)
        loader = draw_by_weight(loader, num_replicas=1, rank=0, seed=0)
        loader.sampler.set_weights(np.linspace(1, 3, len(dataset)))
        return loader

    return build


def fits(counts: Counter[int], weights: np.ndarray, spread: float = 1) -> float:
    """How likely such counts are where images are drawn by these weights, with ``spread`` times the usual variance."""
    seen = np.array([counts[i] for i in range(len(weights))]) / spread
    return float(chisquare(seen, seen.sum() * weights / weights.sum()).pvalue)


@pytest.mark.parametrize("cache", [False, "ram"], ids=["from the images drawn lately", "from all in memory"])
def test_images_and_mosaic_partners_are_drawn_in_proportion_to_the_weights(weighted: Any, cache: Any) -> None:
    random.seed(0)  # partners come from Python's generator
    loader = weighted(cache=cache)
    dataset = loader.dataset
    partners: Counter[int] = Counter()
    ask = dataset.get_image_and_label

    def heard(index: int) -> Any:  # whatever is read is read here: the image itself, and those mixed with it
        partners[index] += 1
        return ask(index)

    dataset.get_image_and_label = heard
    number = {name: i for i, name in enumerate(dataset.im_files)}
    drawn = Counter(number[name] for _ in range(60) for batch in loader for name in batch["im_file"])
    partners.subtract(drawn)
    weights = dataset.weights.numpy()
    assert drawn.total() == 60 * len(dataset)
    assert partners.total() > 3.5 * drawn.total()  # three to a mosaic, and every other one mixed with a mosaic
    # An image drawn lately stays a candidate for an epoch: such counts vary up to twice as much as independent ones.
    spread = 1 if cache else 2
    assert min(fits(drawn, weights), fits(partners, weights, spread)) > 0.001
    assert max(fits(drawn, weights * 0 + 1), fits(partners, weights * 0 + 1, spread)) < 1e-6


@pytest.mark.slow
def test_rectangular_batches_hold_images_of_like_shape(tmp_path: Path, weighted: Any, digits: Path) -> None:
    from PIL import Image

    folder = tmp_path / "images" / "train"
    (tmp_path / "labels" / "train").mkdir(parents=True)
    folder.mkdir(parents=True)
    for i, size in enumerate([(64, 32), (32, 64), (64, 64)] * 6):
        Image.new("RGB", size).save(folder / f"{i}.png")
        (tmp_path / "labels" / "train" / f"{i}.txt").write_text("" if i % 2 else "0 .5 .5 .2 .2\n")
    data = tmp_path / "data.yaml"
    data.write_text(f"path: {tmp_path}\ntrain: images/train\nval: images/train\nnames: [a]\n")
    plan = TrainingPlan(mine_every=1, warmup=1)
    done = train(data, WEIGHTS, plan, epochs=2, rect=True, project=str(tmp_path), name="rect", **{**TINY, "batch": 4})
    assert done.notes == ()
    assert [row["epoch"] for row in done.rounds] == [1, 2]

    shapes = {tuple(batch["img"].shape[2:]) for batch in weighted(rect=True)}
    assert shapes == {(32, 32)}


def run(script: str, *arguments: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True)


KILLED = """
import os, sys
from hnm_core.io import mining_files
from hnm_core.training import TrainingPlan, train

written = mining_files._write_weights
calls = []

def dies(path, *what):
    calls.append(path)
    if len(calls) == 2:
        os._exit(9)  # in the midst of writing the second round
    written(path, *what)

mining_files._write_weights = dies
data, model, project = sys.argv[1:]
plan = TrainingPlan(mine_every=1, warmup=1)
options = dict(imgsz=64, batch=8, nbs=8, device="cpu", plots=False, amp=False, val=False, epochs=4)
train(data, model, plan, project=project, name="run", **options)
"""


@pytest.mark.slow
def test_a_training_killed_in_mid_round_and_resumed_loses_no_round(digits: Path, tmp_path: Path) -> None:
    killed = run(KILLED, digits, WEIGHTS, tmp_path)
    assert killed.returncode == 9, killed.stderr[-2000:]
    rounds = Rounds(tmp_path / "run" / "hard_negatives")
    assert list(rounds.folders()) == [1]
    assert [path.name[:10] for path in rounds.folder.glob(".round*")] == [".round_002"]
    last = tmp_path / "run" / "weights" / "last.pt"
    with pytest.warns(UserWarning, match=r"\.round_002-.* was left by a process that was interrupted and is removed"):
        assert main(["train", "--data", str(digits), "--model", str(last), "--resume", "--set", "workers=1"]) == 0
    assert [row["epoch"] for row in rounds.rows()] == [1, 2, 3, 4]
    assert "workers: 1\n" in (tmp_path / "run" / "args.yaml").read_text()
    assert [path.name for path in sorted(rounds.folder.glob("*round_*"))] == [f"round_{i:03d}" for i in (1, 2, 3, 4)]
    with (tmp_path / "run" / "results.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2", "3", "4"]
    with pytest.raises(ValueError, match=r"last.pt is not the checkpoint of an interrupted training: there is"):
        train(digits, last, resume=True)


@pytest.mark.slow
def test_the_guides_command_trains_and_keeps_its_rounds(
    digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    guide = f"""train --data {digits} --model {WEIGHTS} --epochs 3 --mining_strategy confidence_based
        --hard_negative_ratio 0.3 --confidence_threshold 0.4 --save_hard_negatives"""
    ours = f"""--mine_every 2 --warmup 1 --imgsz 64 --batch 8 --device cpu --project {tmp_path} --name run --json
        --set nbs=8 amp=False mosaic=0.5 hsv_h=0.0 optimizer=AdamW"""
    assert main([*guide.split(), *ours.split()]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    folder = tmp_path / "run" / "hard_negatives"
    assert [row["epoch"] for row in said["rounds"]] == [1, 3]
    for number, row in enumerate(said["rounds"], 1):
        result, source = load_mining(folder / f"round_{number:03d}")
        assert result.settings.confidence_threshold == 0.4
        assert source["epoch"] == row["epoch"]
        assert len(result.truth.images) == 24
        assert result.report.counts.precision == pytest.approx(row["precision"])
        assert (folder / f"round_{number:03d}" / "samples" / "index.html").is_file()
    with (folder / "rounds.csv").open() as file:
        assert [float(row["fppi"]) for row in csv.DictReader(file)] == [row["fppi"] for row in said["rounds"]]
    assert (folder / "rounds.png").stat().st_size > 5000
    with (tmp_path / "run" / "results.csv").open() as file:
        rates = [float(row["mining/false_alarm_rate"]) for row in csv.DictReader(file)]
    first = said["rounds"][0]["false_alarm_rate"]
    assert rates == pytest.approx([float("nan"), first, first], nan_ok=True, rel=1e-4)
    assert "mosaic: 0.5" in (tmp_path / "run" / "args.yaml").read_text()
    assert main(["report", str(folder / "round_002"), "--before", str(folder / "round_001")]) == 0


@pytest.mark.slow
def test_a_warm_up_as_long_as_the_training_mines_at_its_end(digits: Path, tmp_path: Path) -> None:
    plan = TrainingPlan(warmup=50)
    done = train(digits, WEIGHTS, plan, epochs=1, project=str(tmp_path), name="run", **TINY)
    assert [row["epoch"] for row in done.rounds] == [1]
    weights = tmp_path / "run" / "hard_negatives" / "round_001" / "weights.csv"
    plan = TrainingPlan(mine_every=0, warmup=2, weights=str(weights))

    seen = {}

    class Watching(HardNegativeTrainer):
        def _model_train(self) -> None:
            seen[self.epoch] = self.train_loader.sampler.weights.tolist()
            super()._model_train()

    from ultralytics import YOLO

    YOLO(str(WEIGHTS)).train(
        data=str(digits), trainer=Watching, mining=plan, epochs=1, project=str(tmp_path), name="on", **TINY
    )
    with weights.open() as file:
        assert sorted(seen[0]) == sorted(float(row["weight"]) for row in csv.DictReader(file))


@pytest.mark.slow
def test_models_that_draw_masks_are_mined_by_their_boxes(digits: Path, tmp_path: Path) -> None:
    for split in ("train", "val"):
        (tmp_path / "labels" / split).mkdir(parents=True)
        for file in (digits.parent / "labels" / split).glob("*.txt"):
            lines = []
            for line in file.read_text().splitlines():
                label, x, y, w, h = map(float, line.split())
                corners = [(x + i * w / 2, y + j * h / 2) for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
                lines.append(f"{label:.0f} " + " ".join(f"{v:.4f}" for corner in corners for v in corner))
            (tmp_path / "labels" / split / file.name).write_text("\n".join(lines))
    shutil.copytree(digits.parent / "images", tmp_path / "images")
    data = tmp_path / "data.yaml"
    data.write_text(f"path: {tmp_path}\ntrain: images/train\nval: images/val\nnames: [three, seven]\n")
    done = train(data, "yolo11n-seg.yaml", TrainingPlan(warmup=1), epochs=1, project=str(tmp_path), name="run", **TINY)
    (note,) = done.notes
    assert note.startswith(
        "the model starts without weights: rounds in its first 20 epochs (after 1) mine an untrained"
    )
    assert note in str(done)
    result, _ = load_mining(done.folder / "hard_negatives" / "round_001")
    assert len(result.truth) == sum(
        len(f.read_text().split("\n")) for f in tmp_path.glob("labels/train/*") if f.stat().st_size
    )


@pytest.mark.parametrize(
    ("model", "options", "sentence"),
    [
        (
            "yolo11n-obb.yaml",
            {},
            "kind 'obb', which cannot be mined in training: oriented boxes cannot be matched",
        ),
        ("yolo11n-pose.yaml", {}, "kind 'pose', which cannot be mined in training: poses cannot be matched"),
        ("yolo11n-cls.yaml", {}, "kind 'classify', which cannot be mined in training: there are no boxes"),
        ("nowhere/best.pt", {}, "model 'nowhere/best.pt' does not exist and could not be downloaded"),
        ("rtdetr-l.yaml", {}, r"rtdetr-l\.yaml cannot be loaded for training: NotImplementedError"),
        (WEIGHTS, {"mosiac": 1}, "Ultralytics has no setting 'mosiac'; did you mean 'mosaic'"),
        (WEIGHTS, {"mosaic": "much"}, "Ultralytics: 'mosaic=much' is of invalid type str"),
    ],
)
def test_what_cannot_be_trained_is_refused_by_name(digits: Path, model: Any, options: Any, sentence: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=sentence):
        train(digits, model, **options)


def test_an_optimizer_that_there_is_not_is_said_in_a_sentence(digits: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Ultralytics: Optimizer '\w+' not found .*ultralytics\.$"):
        train(digits, WEIGHTS, project=str(tmp_path), optimizer="Adamn", imgsz=32, epochs=1, device="cpu", plots=False)


def test_labels_of_which_none_is_valid_are_said_in_a_sentence(digits: Path, tmp_path: Path) -> None:
    shutil.copytree(digits.parent, tmp_path / "set")
    for file in (tmp_path / "set/labels/train").glob("*.txt"):
        file.write_text("7 .5 .5 .1 .1\n")
    data = tmp_path / "set" / "data.yaml"
    data.write_text("train: images/train\nval: images/val\nnames: [three, seven]\n")
    with pytest.raises(ValueError, match=r"^Ultralytics: No valid images found in .*class 7"):
        train(data, WEIGHTS, epochs=1, project=str(tmp_path), **TINY)


def test_an_error_in_the_sums_is_none_of_what_was_given(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(trainer: Any) -> None:
        raise RuntimeError("size mismatch")

    monkeypatch.setattr(HardNegativeTrainer, "_set_epoch", fail)
    with pytest.raises(RuntimeError, match=r"^size mismatch$"):
        train(digits, WEIGHTS, epochs=1, project=str(tmp_path), **TINY)


@pytest.mark.parametrize(
    ("options", "labels"), [({}, {0, 1}), ({"classes": [1]}, {1}), ({"classes": [1], "single_cls": True}, {0})]
)
def test_a_round_counts_the_classes_that_are_trained(
    digits: Path, tmp_path: Path, options: dict[str, Any], labels: set[int]
) -> None:
    plan = TrainingPlan(mine_every=0, warmup=0)
    done = train(digits, WEIGHTS, plan, epochs=1, project=str(tmp_path), name="run", **TINY, **options)
    result, _ = load_mining(done.folder / "hard_negatives" / "round_001")
    assert set(result.predictions.label.tolist()) == labels
    assert set(result.truth.label.tolist()) == labels


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("junk.pt", r"junk\.pt cannot be loaded for training: \w+Error"),
        ("odd.yaml", r"odd\.yaml cannot be loaded for training: KeyError"),
        ("best.onnx", r"best\.onnx is exported for prediction: train the \.pt file it was exported from"),
    ],
)
def test_what_is_no_model_is_said_in_a_sentence(digits: Path, tmp_path: Path, name: str, sentence: str) -> None:
    (tmp_path / name).write_text("hello: there")
    with pytest.raises(ValueError, match=sentence):
        train(digits, tmp_path / name)


def test_images_that_ultralytics_does_not_find_are_said_in_a_sentence(digits: Path, tmp_path: Path) -> None:
    data = digits.parent / "relative.yaml"
    data.write_text("path: .\ntrain: images/train\nval: images/val\nnames: [three, seven]\n")
    with pytest.raises(
        ValueError, match=r"images not found.*a relative `path:` in data\.yaml from the working directory"
    ):
        train(data, WEIGHTS, epochs=1, project=str(tmp_path), **TINY)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"strategy": "harsh"}, "strategy must be one of .*, or your own as module:attribute, got 'harsh'"),
        ({"class_confidence": {"tree": 0.4}}, "thresholds are given for 1 unknown classes, first 'tree'; classes are "),
        ({"class_iou": {"fore": 0.4}}, "thresholds are given for 1 unknown classes, first 'fore'"),
    ],
)
def test_what_no_round_could_mine_is_refused_before_the_first_epoch(
    digits: Path, tmp_path: Path, settings: Any, sentence: str
) -> None:
    plan = TrainingPlan(warmup=1, settings=MiningSettings(**settings))
    with pytest.raises(ValueError, match=sentence):
        train(digits, WEIGHTS, plan, epochs=1, project=str(tmp_path), name="run", **TINY)
    assert not (tmp_path / "run" / "weights" / "last.pt").exists()


@pytest.mark.slow
def test_json_is_all_there_is_on_stdout(digits: Path, tmp_path: Path) -> None:
    flags = f"""train --data {digits.name} --model {WEIGHTS} --epochs 1 --warmup 1 --imgsz 64 --batch 8
        --device cpu --json --project {tmp_path} --name run --set amp=False plots=False"""
    command = [sys.executable, "-m", "hnm_core.cli", *flags.split()]
    done = subprocess.run(command, capture_output=True, text=True, cwd=digits.parent)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout)["folder"] == str(tmp_path / "run")
    _, source = load_mining(tmp_path / "run" / "hard_negatives" / "round_001")
    assert source["data"] == str(digits)  # for who exports the round from elsewhere
    assert "Starting training" in done.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--set data=other.yaml", "hnm train: --set does not take 'data': give --data\n"),
        ("--set mosaic=0 epochs=3", "hnm train: --set does not take 'epochs': give --epochs\n"),
        ("--set progress=3", "hnm train: Ultralytics has no setting 'progress'"),
        ("--name run --mine-every -1", "hnm train: mine_every must be a whole number of epochs"),
    ],
)
def test_wrong_flags_are_named(digits: Path, flags: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--data", str(digits), "--model", str(WEIGHTS), *flags.split()]) == 2
    assert capsys.readouterr().err.startswith(message)


def test_the_plan_says_when_to_mine() -> None:
    assert TrainingPlan(mine_every=5, warmup=0).due(12) == [0, 5, 10]
    assert TrainingPlan(mine_every=0, warmup=4).due(12) == [4]
    assert TrainingPlan().due(1) == [1]
    flat = {"mine_every": 2, "confidence_threshold": 0.7, "save_samples": True}
    plan = TrainingPlan.from_dict(flat)
    assert plan.settings.confidence_threshold == 0.7
    assert TrainingPlan.from_dict(json.loads(json.dumps(plan.as_dict()))) == plan
    with pytest.raises(ValueError, match="warmup must be a whole number of epochs, 0 or more, got -1"):
        TrainingPlan(warmup=-1)
    with pytest.raises(ValueError, match="no such setting: warm_up"):
        TrainingPlan.from_dict({"warm_up": 1})


def test_truths_are_those_that_ultralytics_trains_on() -> None:
    label = {"im_file": "a.jpg", "cls": np.array([[1.0]]), "bboxes": np.array([[0.5, 0.5, 0.2, 0.4]])}
    empty = {"im_file": "b.jpg", "cls": np.zeros((0, 1)), "bboxes": np.zeros((0, 4))}
    truth = truth_of([label, label, empty], {1: "dog", 0: "cat"})  # a list that names an image twice
    assert truth.images == ("a.jpg", "b.jpg")
    assert truth.classes == ("cat", "dog")
    assert truth.xyxy.tolist() == [pytest.approx([0.4, 0.3, 0.6, 0.7])]


def test_a_hard_image_that_cannot_be_kept_ends_no_training(tmp_path: Path) -> None:
    files = [str(tmp_path / f"cam{i}" / "0000.png") for i in (1, 2)]
    result = mine(*scene([(key, "cat", 0.9, (0, 0, 1, 1)) for key in files]), MiningSettings(hard_negative_ratio=1))
    with pytest.warns(UserWarning, match=r"2 hard images are not saved in .*samples, first: cannot save the hard"):
        folder = Rounds(tmp_path / "rounds").add(1, result, TrainingPlan(save_samples=True), {})
    assert [row["epoch"] for row in Rounds(folder.parent).rows()] == [1]
    assert (folder.parent / "rounds.csv").is_file()


def test_weights_of_earlier_minings_name_images_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/weights.csv").write_text("image,weight\nset/a.jpg,1.5\n")
    monkeypatch.chdir(tmp_path)
    weights, unknown = read_weights(Path("run/weights.csv"), [str(tmp_path / f"set/{name}.jpg") for name in "ba"])
    assert (weights.tolist(), unknown) == ([1.0, 1.5], 1)
    with pytest.raises(ValueError, match=r"its first image is set/a\.jpg, the first one to train on is b"):
        read_weights(Path("run/weights.csv"), ["b"])


def test_weights_are_read_by_image(tmp_path: Path) -> None:
    table = tmp_path / "weights.csv"
    table.write_text("filepath,weight\nimages/a.jpg,1.5\nimages/b.jpg,2\n")
    a, b, c = (str(tmp_path / "images" / f"{name}.jpg") for name in "abc")
    weights, unknown = read_weights(table, [b, c, a, a])
    assert (weights.tolist(), unknown) == ([2.0, 1.0, 1.5, 1.5], 1)
    with pytest.raises(ValueError, match="has none of the 1 images to train on: its first image is"):
        read_weights(table, [c])
    table.write_text("name,weight\n")
    with pytest.raises(ValueError, match="is not a table of weights: expected the columns image"):
        read_weights(table, [a])


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("images/b.jpg", "'images/b.jpg', None"),
        ("images/b.jpg,", "'images/b.jpg', ''"),
        ("images/b.jpg,heavy", "'images/b.jpg', 'heavy'"),
        ("images/b.jpg,nan", "'images/b.jpg', 'nan'"),
        ("images/b.jpg,-1", "'images/b.jpg', '-1'"),
        ("images/b.jpg,1e999", "'images/b.jpg', '1e999'"),
        (",2", "'', '2'"),
    ],
)
def test_lines_without_a_weight_are_named(tmp_path: Path, line: str, shown: str) -> None:
    table = tmp_path / "weights.csv"
    table.write_text(f"filepath,weight\nimages/a.jpg,1.5\n{line}\n")
    with pytest.raises(
        ValueError, match="1 of 2 lines have no image, or no weight of 0 or more, first line 3: "
    ) as said:
        read_weights(table, [str(tmp_path / "images" / "a.jpg")])
    assert str(said.value).endswith(shown)


@pytest.mark.parametrize("data", [b"image,weight\n\xff,1\n", b"image,weight\n" + b"a" * 200_000 + b",1\n"])
def test_bytes_that_are_no_table_of_weights_are_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "weights.csv").write_bytes(data)
    with pytest.raises(ValueError, match=r"weights\.csv is not a table of weights: "):
        read_weights(tmp_path / "weights.csv", ["a"])


def test_reviews_are_heard_from_the_first_round_and_lost_ones_are_counted(
    digits: Path, tmp_path: Path, said: pytest.LogCaptureFixture
) -> None:
    image = sorted((digits.parent / "images" / "train").glob("*.jpg"))[0]
    review = {"side": "prediction", "class": "three", "bbox": [0.1, 0.1, 0.2, 0.2], "state": "ignore"}
    file = tmp_path / "reviews.jsonl"
    lines = [json.dumps({**review, "image": name}) for name in (image.name, "elsewhere.jpg")]
    file.write_text("\n".join(lines) + "\n")
    plan = TrainingPlan(warmup=0, mine_every=0, reviews=str(file))
    done = train(digits, WEIGHTS, plan, epochs=1, project=str(tmp_path), name="run", **TINY)
    assert f"{file}: 1 of 2 reviews are of images that are not in the training" in said.text
    result, _ = load_mining(done.folder / "hard_negatives" / "round_001")
    assert result.reviews is not None
    assert str(image) in result.reviews.images


@pytest.mark.parametrize(("text", "message"), [("{}", r"odd\.json: "), (None, r"odd\.json")])
def test_reviews_that_are_none_are_refused_before_anything_is_begun(
    digits: Path, tmp_path: Path, text: str | None, message: str
) -> None:
    file = tmp_path / "odd.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        train(digits, WEIGHTS, TrainingPlan(reviews=str(file)), project=str(tmp_path / "runs"), **TINY)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("gt.json", "{}", r"gt\.json is no data\.yaml: training needs a YOLO data set"),
        ("data.yaml", "train: [", r"data\.yaml is not valid YAML"),
        ("data.yaml", "train: images\n", r"data\.yaml has names: None, expected a list of class names"),
    ],
)
def test_what_is_no_data_set_is_refused_before_anything_is_begun(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        train(tmp_path / name, WEIGHTS, project=str(tmp_path / "runs"), **TINY)
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_an_image_that_a_list_names_twice_has_its_weight_once(digits: Path, tmp_path: Path) -> None:
    images = sorted((digits.parent / "images" / "train").glob("*.jpg"))
    (tmp_path / "train.txt").write_text("".join(f"{image}\n" for image in [*images, images[0]]))
    data = tmp_path / "data.yaml"
    data.write_text(
        f"train: {tmp_path / 'train.txt'}\nval: {digits.parent / 'images' / 'val'}\nnames: [three, seven]\n"
    )
    done = train(data, WEIGHTS, TrainingPlan(warmup=1), epochs=1, project=str(tmp_path), name="run", **TINY)
    result, _ = load_mining(done.folder / "hard_negatives" / "round_001")
    assert len(result.truth.images) == len(images)


def test_the_loss_of_an_image_is_what_ultralytics_says_of_it_alone(digits: Path) -> None:
    from ultralytics import YOLO

    losses = image_losses(WEIGHTS, digits, "val", imgsz=64)
    assert losses.loss.shape == (6,)
    assert losses.background.tolist() == [
        not (digits.parent / "labels" / "val" / f"{Path(i).stem}.txt").read_text() for i in losses.images
    ]
    i = int(np.flatnonzero(~losses.background)[0])
    alone = digits.parent.parent / "alone.txt"
    alone.write_text(f"{losses.images[i]}\n")
    (digits.parent.parent / "alone.yaml").write_text(f"train: {alone}\nval: {alone}\nnames: [three, seven]\n")
    trainer_says = []

    def hear(validator: Any) -> None:
        trainer_says.append({name: float(value) for name, value in validator.loss.items()})

    options = {**TINY, "batch": 1, "rect": False, "epochs": 1, "lr0": 0.0, "project": str(alone.parent), "name": "one"}
    model = YOLO(str(WEIGHTS))
    model.add_callback("on_val_end", hear)
    model.train(data=str(alone.with_suffix(".yaml")), optimizer="SGD", warmup_epochs=0, weight_decay=0, **options)
    assert losses.loss[i] == pytest.approx(sum(trainer_says[0].values()), rel=0.05)


def test_losses_rank_apart_for_images_with_and_without_objects(digits: Path) -> None:
    loss, background = np.array([1.0, 2.0, 2.0, 9.0, 8.0]), np.array([False, False, False, True, True])
    assert loss_percentiles(loss, background) == pytest.approx([1 / 3, 2.5 / 3, 2.5 / 3, 1.0, 0.5])
    from hnm_core import Detections, MiningSettings, mine
    from hnm_core.strategies import forget_strategy, register_strategy

    world: dict[str, Any] = {"images": ["a", "b"], "classes": ["cat"]}
    truth = Detections([0, 1], [[0, 0, 9, 9]] * 2, [0, 0], None, **world)  # type: ignore[arg-type]
    wrong = Detections([0, 1], [[20, 20, 30, 30]] * 2, [0, 0], [0.9, 0.9], **world)  # type: ignore[arg-type]
    register_strategy("model_loss")(loss_strategy({"a": 1.0, "b": 5.0}))
    try:
        result = mine(wrong, truth, MiningSettings(strategy="model_loss"))
        assert result.prediction_difficulty.tolist() == pytest.approx([0.25, 0.5])
        forget_strategy("model_loss")
        register_strategy("model_loss")(loss_strategy({"a": 1.0}))
        with pytest.raises(ValueError, match="the loss of 1 of 2 images is not known, first 'b'"):
            mine(wrong, truth, MiningSettings(strategy="model_loss"))
    finally:
        forget_strategy("model_loss")
