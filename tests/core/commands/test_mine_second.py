"""`hnm mine --second-predictions`: what is written, and reading it again."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from hnm_core import MiningSettings, mine
from hnm_core.cli import main
from hnm_core.io import read_coco, write_coco
from hnm_core.io.mining_folder import load_mining
from tests.scenes import FAR, HERE, high, scene

pytestmark = [
    pytest.mark.usefixtures("without_charts"),
    pytest.mark.filterwarnings("ignore:.*images have no predictions:UserWarning"),
]

LEARN = "--strategy", "learnability_based", "--hard-negative-ratio", "1"
NAMES = [f"{i:02}.jpg" for i in range(12)]
TRUTH = [(name, "cat", HERE) for name in NAMES]
RIGHT = [(name, "cat", 0.9, high(9)) for name in NAMES]
ALARMS = [(name, "cat", 0.8, FAR) for name in NAMES[:6]]


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """The first model has a false positive in six images, the second one in two of them."""
    data, first, second = (tmp_path / f"{name}.json" for name in ("gt", "first", "second"))
    found, truth = scene(RIGHT + ALARMS, TRUTH)
    write_coco(scene(RIGHT + ALARMS[:2], TRUTH)[0], truth, data, second)
    write_coco(found, truth, data, first)
    return ["--data", str(data), "--predictions", str(first), "--second-predictions", str(second)]


def mined_images(folder: Path) -> list[str]:
    with (folder / "hard_negatives.csv").open(encoding="utf-8") as file:
        return sorted(row["image"] for row in csv.DictReader(file))


def test_only_what_the_second_model_gets_right_is_mined_and_read_again(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main(["mine", *files, "--output", str(run), *LEARN]) == 0
    assert mined_images(run) == NAMES[2:6]
    result, source = load_mining(run)
    assert source["second_predictions"] == files[-1]
    data, first, second = files[1::2]
    predictions, truth = read_coco(data, first)
    whole = mine(
        *(predictions, truth, MiningSettings(strategy="learnability_based", hard_negative_ratio=1.0)),
        second_predictions=read_coco(data, second)[0],
    )
    assert result.prediction_difficulty.tolist() == pytest.approx(whole.prediction_difficulty.tolist(), nan_ok=True)
    assert result.kinds == ("agreement",)
    saved = json.loads((run / "mining.json").read_text())["report"]
    capsys.readouterr()
    assert main(["report", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == saved
    plain = tmp_path / "plain"
    assert main(["mine", *files[:4], "--output", str(plain)]) == 0
    capsys.readouterr()
    assert main(["compare", str(plain), str(run)]) == 0
    said = capsys.readouterr().out
    assert "strategy: confidence_based → learnability_based" in said


def test_an_export_has_the_weights(files: list[str], tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow writes the pictures")
    for name in NAMES:
        image.new("RGB", (120, 120)).save(tmp_path / name)
    run, exported = tmp_path / "run", tmp_path / "exported"
    assert main(["mine", *files, "--output", str(run), *LEARN]) == 0
    assert main(["export", str(run), "--output", str(exported)]) == 0
    with (exported / "weights.csv").open(encoding="utf-8") as file:
        weights = {Path(row["filepath"]).name: float(row["weight"]) for row in csv.DictReader(file)}
    assert {name for name, weight in weights.items() if weight > 1} <= set(NAMES[2:6])
    assert max(weights.values()) > 1


def test_shards_are_refused(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow writes Parquet")
    shards = tmp_path / "shards"
    assert main(["convert", *files[:4], "--output", str(shards)]) == 0
    assert main(["mine", "--data", str(shards), *files[4:], "--output", str(tmp_path / "run"), *LEARN]) == 2
    assert "--second-predictions is not for shards" in capsys.readouterr().err


def test_without_it_the_strategy_is_refused_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = ["--data", str(tmp_path / "gt.json"), "--output", str(tmp_path / "run")]
    for more in ([], ["--engine", "ray"]):
        assert main(["mine", *nowhere, *LEARN, *more]) == 2
        assert "'learnability_based' compares with a second model, and none is given" in capsys.readouterr().err
    assert main(["mine", *nowhere, *LEARN, "--engine", "ray", "--second-predictions", "second.json"]) == 2
    assert "--second-predictions is not for --engine ray" in capsys.readouterr().err


def test_classes_of_the_second_model_that_are_not_compared_are_said(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second = tmp_path / "second.csv"
    head = "image,class,score,x0,y0,x1,y1"
    box = "0,0,10,9"
    second.write_text("\n".join([head, f"{NAMES[0]},cow,0.9,{box}", *(f"{n},cat,0.9,{box}" for n in NAMES)]))
    files = [*files[:5], str(second)]
    with pytest.warns(UserWarning, match=r"second\.csv: 1 of 13 boxes are of classes that neither .*'cow', and"):
        assert main(["mine", *files, "--output", str(tmp_path / "run"), *LEARN]) == 0
    assert mined_images(tmp_path / "run") == NAMES[:6]
    second.write_text("\n".join([head, *(f"{name},cow,0.9,{box}" for name in NAMES)]))
    assert main(["mine", *files, "--output", str(tmp_path / "other"), *LEARN]) == 2
    assert "12 of 12 boxes are of classes that neither the labels nor" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
