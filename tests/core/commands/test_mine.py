"""`hnm mine`, `hnm report`, `hnm compare` on files a person would have."""

import argparse
import csv
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from hnm_core import MiningSettings
from hnm_core.cli import main
from hnm_core.commands.progress import progress_of
from hnm_core.io.mining_folder import load_mining
from hnm_core.io.progress import tracked

PIXELS = 100


@pytest.fixture
def coco(tmp_path):
    """Three images: a hit in `a`, a confident false alarm in `b`, a miss in `c`."""
    images = [{"id": i, "file_name": f"{name}.jpg"} for i, name in enumerate("abc")]
    truth = [
        {"id": 1, "image_id": 0, "category_id": 7, "bbox": [10, 10, 20, 20]},
        {"id": 2, "image_id": 2, "category_id": 7, "bbox": [50, 50, 20, 20]},
    ]
    results = [
        {"image_id": 0, "category_id": 7, "bbox": [10, 10, 20, 19], "score": 0.8},
        {"image_id": 1, "category_id": 7, "bbox": [40, 40, 20, 20], "score": 0.9},
        {"image_id": 2, "category_id": 7, "bbox": [50, 50, 20, 20], "score": 0.2},
    ]
    categories = [{"id": 7, "name": "cat"}]
    gt, dt = tmp_path / "gt.json", tmp_path / "dt.json"
    gt.write_text(json.dumps({"images": images, "annotations": truth, "categories": categories}))
    dt.write_text(json.dumps(results))
    return gt, dt


def mine(coco, output, *more):
    return main(["mine", "--data", str(coco[0]), "--predictions", str(coco[1]), "--output", str(output), *more])


def rows(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_everything_is_written(coco, tmp_path, capsys):
    assert mine(coco, tmp_path / "run", "--hard-negative-ratio", "1") == 0
    run = tmp_path / "run"
    said = capsys.readouterr().out
    assert "false positives              1  0.33 per image" in said
    assert str(run) in said
    found = rows(run / "hard_negatives.csv")
    assert [(f["image"], f["type"], f["error"], f["class"], f["confidence"]) for f in found] == [
        ("b.jpg", "false_positive", "background", "cat", "0.9"),
        ("c.jpg", "false_negative", "missed", "cat", ""),
    ]
    assert [float(f["difficulty"]) for f in found] == [0.9, 0.4]
    weights = rows(run / "weights.csv")
    assert [w["image"] for w in weights] == ["a.jpg", "b.jpg", "c.jpg"]
    assert all(float(w["weight"]) >= 1 for w in weights)
    assert {path.name for path in run.iterdir()} >= {"mining.json", "tables.npz", "report.md", "report.txt"}


@pytest.mark.usefixtures("charts")
def test_the_page_holds_charts_and_loads_nothing(coco, tmp_path):
    pytest.importorskip("matplotlib", reason="the page's charts need it")
    mine(coco, tmp_path / "run")
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 7
    assert "<script" not in page
    assert 'src="http' not in page


def test_json_is_the_report(coco, tmp_path, capsys):
    mine(coco, tmp_path / "run", "--json")
    assert json.loads(capsys.readouterr().out)["statistics"]["false_positives"] == 1


def test_every_setting_is_a_flag(coco, tmp_path):
    flags = ["--confidence_threshold", "0.1", "--class-confidence", "cat=0.85", "--no-use-suspicion"]
    assert mine(coco, tmp_path / "run", *flags, "--candidates", "false_positive", "--strategy", "loss_based") == 0
    settings = load_mining(tmp_path / "run")[0].settings
    assert settings.confidence_threshold == 0.1
    assert settings.class_confidence == {"cat": 0.85}
    assert not settings.use_suspicion
    assert settings.candidates == ("false_positive",)
    assert settings.strategy == "loss_based"


@pytest.mark.parametrize("command", ["mine", "train"])
def test_help_has_every_setting(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    said = capsys.readouterr().out
    flags = {name: f"--{name.replace('_', '-')}" for name in MiningSettings().as_dict()}
    assert {name for name, flag in flags.items() if flag not in said} == set()


def test_a_mining_read_back_is_the_same(coco, tmp_path):
    mine(coco, tmp_path / "run")
    result, source = load_mining(tmp_path / "run")
    assert source["split"] == "train"
    assert result.report.as_dict() == json.loads((tmp_path / "run" / "mining.json").read_text())["report"]
    assert [float(w["weight"]) for w in rows(tmp_path / "run" / "weights.csv")] == result.weights.tolist()


@pytest.mark.parametrize(
    ("format", "expected"),
    [
        ("text", "Hard-negative mining\n"),
        ("markdown", "# Hard-negative mining\n"),
        ("html", "<!doctype html>"),
        ("json", '{"statistics"'),
    ],
)
def test_report_prints_every_format(coco, tmp_path, capsys, format, expected):
    if format == "html":
        pytest.importorskip("matplotlib", reason="the page's charts need it")
    mine(coco, tmp_path / "run")
    capsys.readouterr()
    assert main(["report", str(tmp_path / "run"), "--format", format]) == 0
    assert capsys.readouterr().out.startswith(expected)


def test_compare_says_what_corrected_labels_bought(coco, tmp_path, capsys):
    mine(coco, tmp_path / "one")
    truth = json.loads(coco[0].read_text())
    gone = truth["annotations"].pop()
    truth["annotations"][0]["bbox"][2] *= 0.9
    coco[0].write_text(json.dumps(truth))
    mine(coco, tmp_path / "two")
    capsys.readouterr()
    assert main(["compare", str(tmp_path / "one"), str(tmp_path / "two"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["corrections"]
    assert (found["labels"]["removed"], found["labels"]["moved"]) == (1, 1), gone
    for kind in ("false_positives", "false_negatives"):
        assert found["errors"]["all"][kind]["model"] == {"vanished": 0, "appeared": 0}
    assert main(["report", str(tmp_path / "two"), "--before", str(tmp_path / "one")]) == 0
    assert "0 added, 1 removed, 1 moved, 0 relabelled" in capsys.readouterr().out
    assert main(["compare", str(tmp_path / "two"), str(tmp_path / "two"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["corrections"] is None


def test_compare_follows_errors(coco, tmp_path, capsys):
    mine(coco, tmp_path / "one")
    results = json.loads(coco[1].read_text())
    results[1]["score"], results[2]["score"] = 0.3, 0.7  # the false alarm is gone, the miss is found
    coco[1].write_text(json.dumps(results))
    mine(coco, tmp_path / "two")
    capsys.readouterr()
    assert main(["compare", str(tmp_path / "one"), str(tmp_path / "two"), "--json"]) == 0
    changes = json.loads(capsys.readouterr().out)
    assert changes["false_positives"] == {"persistent": 0, "new": 0, "fixed": 1}
    assert changes["false_negatives"] == {"persistent": 0, "new": 0, "fixed": 1}
    assert changes["fppi_at_recall"] == {"before": pytest.approx(1 / 3), "after": 0.0}
    assert main(["report", str(tmp_path / "two"), "--before", str(tmp_path / "one")]) == 0
    assert "false positives              0       0       1" in capsys.readouterr().out


@pytest.mark.parametrize("format", ["text", "markdown", "html"])
def test_every_report_says_first_which_settings_differ_from_the_earlier_one(coco, tmp_path, capsys, format):
    if format == "html":
        pytest.importorskip("matplotlib", reason="the page's charts are drawn with matplotlib")
    mine(coco, tmp_path / "one")
    mine(coco, tmp_path / "two", "--iou-threshold", "0.7")
    capsys.readouterr()
    call = ["report", str(tmp_path / "two"), "--before", str(tmp_path / "one"), "--format", format]
    assert main(call) == 0
    said = capsys.readouterr().out.lower()
    assert "differ" in said
    assert said.index("differ") < said.index("persistent")
    if format == "text":
        assert "iou_threshold: 0.5 → 0.7" in said
    assert main([*call[:3], str(tmp_path / "two"), *call[4:]]) == 0
    assert "differ" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--data", "nowhere.json"], "there is no nowhere.json"),
        (["--predictions", "."], ". has no prediction file for any of the 3 images, such as a.txt"),
        (["--max-weight", "0.5"], "max_weight must lie in [1, 100], got 0.5"),
        (["--class-confidence", "dog=0.5"], "thresholds are given for 1 unknown classes, first 'dog'"),
    ],
)
def test_wrong_calls_say_why_and_write_nothing(coco, tmp_path, capsys, flags, message):
    assert mine(coco, tmp_path / "run", *flags) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_class_values_must_be_pairs(coco, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        mine(coco, tmp_path / "run", "--class-confidence", "cat")
    assert stop.value.code == 2
    assert "expected CLASS=VALUE,... such as car=0.7, got 'cat'" in capsys.readouterr().err


def test_a_full_folder_is_refused(coco, tmp_path, capsys):
    mine(coco, tmp_path / "run")
    assert mine(coco, tmp_path / "run") == 2
    assert "exists and is not empty; choose another --output" in capsys.readouterr().err


def test_a_folder_without_mining_and_a_damaged_one(coco, tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert "does not contain a mining" in capsys.readouterr().err
    mine(coco, tmp_path / "run")
    tables = tmp_path / "run" / "tables.npz"
    tables.write_bytes(b"PK\x03\x04")
    assert main(["report", str(tmp_path / "run")]) == 2
    assert "is damaged" in capsys.readouterr().err
    header = b"{'descr': ("  # the rest is lost: NumPy tries to read it word by word
    with zipfile.ZipFile(tables, "w") as written:
        written.writestr("predictions_image.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    assert main(["report", str(tmp_path / "run")]) == 2
    assert "is damaged (TokenError" in capsys.readouterr().err


def test_yolo_folders_give_the_same_mining(coco, tmp_path, capsys):
    pytest.importorskip("yaml", reason="PyYAML reads data.yaml")
    gt, results = json.loads(coco[0].read_text()), json.loads(coco[1].read_text())
    for name in "abc":
        for folder in ("images/train", "labels/train", "found"):
            (tmp_path / "set" / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / "set/images/train" / f"{name}.jpg").write_bytes(b"")
    for rows_, folder in ((gt["annotations"], "labels/train"), (results, "found")):
        for row in rows_:
            x, y, w, h = np.array(row["bbox"]) / PIXELS
            score = f" {row['score']}" if "score" in row else ""
            with (tmp_path / "set" / folder / f"{'abc'[row['image_id']]}.txt").open("a") as file:
                file.write(f"0 {x + w / 2} {y + h / 2} {w} {h}{score}\n")
    data = tmp_path / "set" / "data.yaml"
    data.write_text("train: images/train\nval: images/train\nnames: [cat]\n")
    (tmp_path / "set/labels/train/b.txt").touch()
    assert mine((data, tmp_path / "set" / "found"), tmp_path / "yolo") == 0
    assert mine(coco, tmp_path / "coco") == 0
    one, other = (load_mining(tmp_path / kind)[0] for kind in ("yolo", "coco"))
    reports = [result.report.as_dict() for result in (one, other)]
    for report in reports:
        del report["sizes"]  # what is small depends on what an image measures, and YOLO does not tell
    assert reports[0] == reports[1]
    assert one.weights.tolist() == other.weights.tolist()


# Saving samples, telling how far


@pytest.fixture
def photographs(tmp_path):
    """Files for the three images, in a folder of their own."""
    image = pytest.importorskip("PIL.Image", reason="Pillow draws")
    folder = tmp_path / "photographs"
    folder.mkdir()
    for name in "abc":
        image.new("RGB", (PIXELS, PIXELS)).save(folder / f"{name}.jpg")
    return folder


def test_hard_samples_are_saved_with_a_page(coco, photographs, tmp_path, capsys):
    flags = ["--save-samples", "--images", str(photographs), "--hard-negative-ratio", "1"]
    assert mine(coco, tmp_path / "run", *flags) == 0
    assert "samples" in capsys.readouterr().out
    kept = {path.name for path in (tmp_path / "run" / "samples").iterdir()}
    assert kept == {"index.html", *(f"{name}.jpg{end}" for name in "bc" for end in ("", ".json", ".hard.jpg"))}


def test_an_interrupted_saving_goes_on(coco, photographs, tmp_path, capsys):
    flags = ["--save_hard_negatives", "--images", str(photographs), "--hard-negative-ratio", "1"]
    mine(coco, tmp_path / "run", *flags)
    samples = tmp_path / "run" / "samples"
    whole = {path.name: path.read_bytes() for path in samples.iterdir()}
    kept_time = (samples / "b.jpg.json").stat().st_mtime_ns
    for name in ("c.jpg", "c.jpg.json", "c.jpg.hard.jpg", "index.html"):
        (samples / name).unlink()
    assert mine(coco, tmp_path / "run", *flags) == 0
    assert {path.name: path.read_bytes() for path in samples.iterdir()} == whole
    assert (samples / "b.jpg.json").stat().st_mtime_ns == kept_time
    assert mine(coco, tmp_path / "run", *flags, "--confidence-threshold", "0.1") == 2  # another mining
    assert "exists and is not empty; choose another --output" in capsys.readouterr().err


def test_images_that_are_not_there_are_said_before_anything_is_written(coco, tmp_path, capsys):
    assert mine(coco, tmp_path / "run", "--save-samples", "--hard-negative-ratio", "1") == 2
    said = capsys.readouterr().err
    assert (
        f"2 of 2 hard images are not there, first {tmp_path / 'b.jpg'}; where do the file names start? --images" in said
    )
    assert not (tmp_path / "run").exists()


def test_a_folder_of_images_that_is_not_there_is_refused(coco, tmp_path, capsys):
    assert mine(coco, tmp_path / "run", "--images", str(tmp_path / "gone")) == 2
    assert f"there is no folder {tmp_path / 'gone'} of images (--images)" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_images_of_a_yolo_set_are_known(digits, tmp_path, capsys):
    data, found = digits
    assert mine((data, found), tmp_path / "run", "--images", str(tmp_path)) == 2
    assert "leave out --images: the YOLO data set" in capsys.readouterr().err
    assert mine((data, found), tmp_path / "run", "--save-samples") == 0
    assert (tmp_path / "run" / "samples" / "a.png.hard.jpg").is_file()


@pytest.fixture
def digits(tmp_path):
    """A YOLO set of one image with a false alarm."""
    pytest.importorskip("yaml", reason="PyYAML reads data.yaml")
    image = pytest.importorskip("PIL.Image", reason="Pillow draws")
    for folder in ("set/images/train", "set/labels/train", "found"):
        (tmp_path / folder).mkdir(parents=True)
    image.new("RGB", (PIXELS, PIXELS)).save(tmp_path / "set/images/train/a.png")
    (tmp_path / "set/labels/train/a.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    (tmp_path / "found/a.txt").write_text("0 0.1 0.1 0.1 0.1 0.9\n")
    (tmp_path / "set/data.yaml").write_text("train: images/train\nval: images/train\nnames: [cat]\n")
    return tmp_path / "set/data.yaml", tmp_path / "found"


def test_a_mining_is_the_same_from_every_folder(digits, tmp_path, capsys, monkeypatch):
    data, found = digits
    assert mine((data, found), tmp_path / "one") == 0
    monkeypatch.chdir(data.parent)
    assert mine((data.name, "../found"), tmp_path / "two") == 0
    results, sources = zip(*(load_mining(tmp_path / name) for name in ("one", "two")), strict=True)
    assert results[1].truth.images == (str(tmp_path / "set/images/train/a.png"),) == results[0].truth.images
    assert sources[1]["data"] == str(data)
    capsys.readouterr()
    assert main(["compare", str(tmp_path / "one"), str(tmp_path / "two"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["false_positives"] == {"persistent": 1, "new": 0, "fixed": 0}


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--progress"], "".join(f"reading {what}: {i} of 1\n" for what in ("predictions", "labels") for i in (0, 1))),
        (["--no-progress"], ""),
        ([], ""),  # nobody watches
    ],
)
def test_progress_is_told_where_it_is_asked_for(digits, tmp_path, capsys, monkeypatch, flags, expected):
    monkeypatch.setattr("hnm_core.commands.progress.PATIENCE", 0)
    assert mine(digits, tmp_path / "run", *flags) == 0
    assert capsys.readouterr().err == expected


def test_progress_on_a_terminal_stays_on_one_line(capsys, monkeypatch):
    monkeypatch.setattr("hnm_core.commands.progress.PATIENCE", 0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    progress = progress_of(argparse.Namespace(progress=None))
    assert list(tracked(["a", "b"], "counting", progress)) == ["a", "b"]
    assert capsys.readouterr().err == "\rcounting: 0 of 2\rcounting: 1 of 2\rcounting: 2 of 2\n"


def test_short_work_says_nothing(capsys):
    assert list(tracked([1], "counting", progress_of(argparse.Namespace(progress=True)))) == [1]
    assert capsys.readouterr().err == ""


def test_a_strategy_of_ones_own_and_classes_by_other_names(coco, tmp_path, capsys):
    content = json.loads(coco[0].read_text())
    content["categories"].append({"id": 8, "name": "kitten"})
    coco[0].write_text(json.dumps(content))
    results = json.loads(coco[1].read_text())
    results[0]["category_id"] = 8
    coco[1].write_text(json.dumps(results))
    own = ["--strategy", "hnm_core.miner:HardNegativeMiner"]
    assert mine(coco, tmp_path / "run", *own, "--class-map", "kitten=cat", "--classes", "cat", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["statistics"]["true_positives"] == 1
    assert list(said["classes"]) == ["cat"]
    assert mine(coco, tmp_path / "other", "--strategy", "harsh") == 2
    assert "or your own as module:attribute, got 'harsh'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        mine(coco, tmp_path / "other", "--class-map", "kitten")
    assert "expected CLASS=CLASS,... such as van=car, got 'kitten'" in capsys.readouterr().err


def test_reviews_and_looks_are_heard_and_kept(coco, tmp_path, capsys):
    ledger = tmp_path / "reviews.json"
    said = {
        "image": "/somewhere/else/b.jpg",
        "side": "prediction",
        "class": "cat",
        "state": "missing_label",
        "who": "Ada",
    }
    ledger.write_text(json.dumps([{**said, "bbox": [40, 40, 60, 60]}]))
    assert mine(coco, tmp_path / "run", "--hard-negative-ratio", "1", "--reviews", str(ledger), "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["mining"]["review_count"] == 1
    assert report["mining"]["reviewed"] == {"missing_label": 1}
    found = {row["image"]: row for row in rows(tmp_path / "run" / "hard_negatives.csv")}
    assert (found["b.jpg"]["state"], found["b.jpg"]["suspicion"]) == ("missing_label", "1.0")
    assert found["c.jpg"]["state"] == "unreviewed"
    again, _ = load_mining(tmp_path / "run")
    assert again.prediction_state.tolist() == ["", "missing_label", ""]
    assert again.report.as_dict() == {key: report[key] for key in report if key != "output"}
    assert mine(coco, tmp_path / "looked", "--appearance") == 0  # too few to say anything: no image is opened
    assert load_mining(tmp_path / "looked")[0].estimate.suspicions.evidence == {"appearance": 1.0}


def test_reviews_of_one_lamp_post_in_eight_frames_are_one_review(tmp_path):
    pytest.importorskip("PIL", reason="Pillow draws the frames")
    pytest.importorskip("sklearn", reason="scikit-learn tells the crops apart")
    from tests.streets import FRAMES, draw_frames, street

    draw_frames(tmp_path)
    predictions, truth = street()
    boxes = [
        [
            {"image_id": int(image), "category_id": 7, "bbox": [x0, y0, x1 - x0, y1 - y0]}
            for image, (x0, y0, x1, y1) in zip(table.image, table.xyxy.tolist(), strict=True)
        ]
        for table in (predictions, truth)
    ]
    images = [{"id": i, "file_name": name} for i, name in enumerate(truth.images)]
    annotations = [{"id": i + 1, **box} for i, box in enumerate(boxes[1])]
    gt, dt, ledger = (tmp_path / f"{name}.json" for name in ("gt", "dt", "reviews"))
    record = {"images": images, "annotations": annotations, "categories": [{"id": 7, "name": "cross"}]}
    gt.write_text(json.dumps(record), encoding="utf-8")
    scored = [{**box, "score": score} for box, score in zip(boxes[0], predictions.score.tolist(), strict=True)]
    dt.write_text(json.dumps(scored), encoding="utf-8")
    said = {"side": "prediction", "class": "cross", "state": "missing_label", "bbox": [30, 28, 60, 82]}
    ledger.write_text(json.dumps([{**said, "image": name} for name in truth.images]), encoding="utf-8")
    more = ("--hard-negative-ratio", "1", "--reviews", str(ledger))
    assert mine((gt, dt), tmp_path / "run", *more, "--appearance") == 0
    assert mine((gt, dt), tmp_path / "blind", *more) == 0
    seen, blind = (load_mining(tmp_path / name)[0] for name in ("run", "blind"))
    counted = [result.estimate.suspicions.strata.levels.n[2].max() for result in (seen, blind)]
    assert counted == pytest.approx([1, FRAMES])
    assert seen.report.review_count == blind.report.review_count == FRAMES


def test_a_strategy_of_your_own_may_lie_where_you_are(coco, tmp_path, monkeypatch):
    (tmp_path / "strategies_of_ada.py").write_text(
        "from hnm_core.strategies import Difficulty\n\n\n"
        "def by_score(evidence):\n"
        "    return Difficulty(evidence.predictions.score, evidence.matches.best_score)\n"
    )
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])  # as for the installed `hnm`
    monkeypatch.chdir(tmp_path)
    assert mine(coco, tmp_path / "run", "--strategy", "strategies_of_ada:by_score") == 0


def test_a_reader_that_has_had_enough_is_no_error(coco, tmp_path):
    assert mine(coco, tmp_path / "run") == 0
    command = [sys.executable, "-m", "hnm_core.cli", "report", str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as report:
        report.stdout.close()  # as `head` does
        assert report.stderr.read() == ""
    assert report.returncode == 141


def test_reviews_of_other_images_are_counted(coco, tmp_path):
    said = {"side": "prediction", "class": "cat", "state": "ignore", "bbox": [40, 40, 60, 60]}
    ledger = tmp_path / "reviews.json"
    ledger.write_text(json.dumps([{**said, "image": name} for name in ("b.jpg", "d.jpg", "e.jpg")]))
    with pytest.warns(UserWarning, match=r"reviews\.json: 2 of 3 reviews are of images that are not mined"):
        assert mine(coco, tmp_path / "run", "--reviews", str(ledger)) == 0


def test_a_ledger_that_is_none_is_refused(coco, tmp_path, capsys):
    ledger = tmp_path / "reviews.json"
    ledger.write_text("[{]")
    assert mine(coco, tmp_path / "run", "--reviews", str(ledger)) == 2
    assert "reviews.json is neither a JSON array of reviews" in capsys.readouterr().err
    assert mine(coco, tmp_path / "run", "--reviews", str(tmp_path / "gone.json")) == 2
    assert "gone.json" in capsys.readouterr().err
