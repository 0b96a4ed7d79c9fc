"""Pictures without labels on which the model fires are added to an export as background, by choice."""

import json
import re

import numpy as np
import pytest

from hnm_core.cli import main

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("yaml")

BOX = "0.5 0.5 0.4 0.4"


@pytest.fixture
def world(tmp_path):
    """Twenty labelled pictures, mined, and three without labels: fires twice, fires once, fires faintly."""
    rng = np.random.default_rng(0)
    for folder in ("images", "labels", "found", "pool", "pool_found"):
        (tmp_path / folder).mkdir()

    def picture(path):
        Image.fromarray(rng.integers(0, 255, (24, 24, 3), dtype=np.uint8)).save(path)

    for i in range(20):
        picture(tmp_path / "images" / f"{i}.png")
        (tmp_path / "labels" / f"{i}.txt").write_text(f"0 {BOX}\n")
        (tmp_path / "found" / f"{i}.txt").write_text(f"0 {BOX} 0.9\n")
    for name, scores in {"twice": (0.8, 0.7), "once": (0.9,), "faint": (0.2,)}.items():
        picture(tmp_path / "pool" / f"{name}.png")
        lines = "".join(f"0 {0.2 + 0.4 * i} 0.5 0.1 0.1 {score}\n" for i, score in enumerate(scores))
        (tmp_path / "pool_found" / f"{name}.txt").write_text(lines)
    (tmp_path / "data.yaml").write_text("train: images\nnames: [boat]\n")
    data = ["--data", str(tmp_path / "data.yaml"), "--predictions", str(tmp_path / "found")]
    assert main(["mine", *data, "--output", str(tmp_path / "mined")]) == 0
    return tmp_path


def export(world, capsys, *more):
    capsys.readouterr()
    rc = main(["export", str(world / "mined"), "--output", str(world / "out"), "--layout", "torch", "--json", *more])
    out, err = capsys.readouterr()
    return rc, json.loads(out) if rc == 0 else err


def test_pictures_on_which_the_model_fires_are_added_within_the_share(world, capsys):
    rc, done = export(world, capsys, "--add-background", str(world / "pool"), str(world / "pool_found"))
    assert rc == 0
    assert done["images"] == {"train": 22}, "two of 22 weigh less than a tenth"
    assert done["background_images"] == 2
    assert any(
        w.startswith("2 of 2 images without labels on which the model fires are added") for w in done["warnings"]
    )
    weights = (world / "out" / "weights.csv").read_text()
    assert "background:2" in weights
    assert "faint" not in weights
    boxes = json.loads((world / "out" / "annotations" / "train.json").read_text())
    added = [image["id"] for image in boxes["images"] if "twice" in image["file_name"] or "once" in image["file_name"]]
    assert len(added) == 2
    assert not {row["image_id"] for row in boxes["annotations"]} & set(added), "with empty labels"


def test_nothing_is_added_unless_asked(world, capsys):
    assert export(world, capsys)[1]["images"] == {"train": 20}


def test_a_model_that_is_silent_adds_nothing_and_it_is_said(world, capsys):
    for file in (world / "pool_found").iterdir():
        file.write_text(f"0 {BOX} 0.1\n")
    _, done = export(world, capsys, "--add-background", str(world / "pool"), str(world / "pool_found"))
    assert done["images"] == {"train": 20}
    assert any("the model fires on none of the pictures of" in warning for warning in done["warnings"])


@pytest.mark.parametrize(
    ("pictures", "found", "said"),
    [
        ("images", "found", "all 20 pictures of .*images are in the dataset"),
        ("nowhere", "found", "there is no folder .*nowhere of pictures without labels"),
        ("pool", "nowhere", "there is no .*nowhere"),
        ("pool", "found", "has no prediction file for any of the 3 images"),
    ],
)
def test_what_can_not_be_added_is_said(world, capsys, pictures, found, said):
    rc, err = export(world, capsys, "--add-background", str(world / pictures), str(world / found))
    assert rc == 2
    assert re.search(said, err)


def test_what_looks_like_a_surer_picture_comes_last(world, capsys):
    from tests.stripes import LEFT, striped

    for name, number, score in (("first", 0, 0.9), ("again", 0, 0.85), ("other", 1, 0.6)):
        Image.fromarray(striped(number)).save(world / "pool" / f"{name}.png")
        x0, y0, x1, y1 = (edge / 40 for edge in LEFT)
        line = f"0 {(x0 + x1) / 2} {(y0 + y1) / 2} {x1 - x0} {y1 - y0} {score}\n"
        (world / "pool_found" / f"{name}.txt").write_text(line)
    for name in ("twice", "once", "faint"):
        (world / "pool" / f"{name}.png").unlink()
    _, done = export(world, capsys, "--add-background", str(world / "pool"), str(world / "pool_found"))
    assert done["images"] == {"train": 22}
    assert any(
        w.startswith(
            "2 of 3 images without labels on which the model fires are added as background, the surest ones, "
            "look-alikes last: their weight is at most 10% of all"
        )
        for w in done["warnings"]
    )
    weights = (world / "out" / "weights.csv").read_text()
    assert [name for name in ("first", "again", "other") if f"/{name}." in weights] == ["first", "other"]


def test_a_table_of_predictions_will_do(world):
    from hnm_core import Detections
    from hnm_core.export import ExportSettings
    from hnm_core.export.mining_folder import export_run

    names = [str((world / "pool" / f"{name}.png").resolve()) for name in ("twice", "once", "faint")]
    boxes = [[0.15, 0.45, 0.25, 0.55]] * 6
    images, classes = ["elsewhere.png", *names], ["plane", "boat"]
    scores = [0.99, 0.8, 0.7, 0.9, 0.2, 0.95]
    table = Detections([0, 1, 1, 2, 3, 3], boxes, [1, 1, 1, 1, 1, 0], scores, images=images, classes=classes)
    done = export_run(
        world / "mined", world / "out", add_background=(world / "pool", table), settings=ExportSettings(layout="torch")
    )
    assert done.images == {"train": 22}
    weights = (world / "out" / "weights.csv").read_text()
    assert [name for name in ("twice", "once", "faint", "elsewhere") if f"{name}." in weights] == ["twice", "once"]


def test_predictions_of_other_classes_than_those_mined_are_refused(world):
    from hnm_core import Detections
    from hnm_core.export.mining_folder import export_run

    names = [str((world / "pool" / "once.png").resolve())]
    table = Detections([0], [[0.1, 0.1, 0.9, 0.9]], [1], [0.9], images=names, classes=["cat", "dog"])
    sentence = (
        r"are of the classes 'cat', 'dog', and none of these was mined \('boat'\); are they of the model that was"
    )
    with pytest.raises(ValueError, match=sentence):
        export_run(world / "mined", world / "out", add_background=(world / "pool", table))
    assert not (world / "out").exists()


def test_a_model_that_is_not_there_is_said(world, capsys):
    pytest.importorskip("ultralytics", reason="the model is one of Ultralytics'")
    rc, err = export(world, capsys, "--add-background", str(world / "pool"), str(world / "none.pt"))
    assert rc == 2
    assert f"there is no {world / 'none.pt'}" in err
