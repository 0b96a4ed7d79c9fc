"""The benchmarks measure what they say; how fast it is, is not a test's business."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks import (
    __main__,
    before,
    evidence,
    label_noise,
    labels,
    million,
    operator,
    reliability,
    shares,
    suspicion,
    trust,
    yolo,
)
from benchmarks.__main__ import FOLDER, TABLES, kills, write_table
from benchmarks.scenes import CLASSES, coco_like, write_coco
from hnm_core import Detections, mine
from hnm_core.boxes import overlapping
from hnm_core.io import read_coco, read_shards, read_yolo
from hnm_core.io.data_yaml import split_images
from hnm_core.io.yolo import read_yolo_truth
from hnm_core.labels.reviews import STATES
from hnm_core.taxonomy import ROW_NAMES

ROOT = Path(__file__).parents[1]


def test_scenes_are_shaped_like_coco_and_seeded() -> None:
    predictions, truth = coco_like(300)
    assert len(truth) / 300 == pytest.approx(7.4, rel=0.2)
    assert len(predictions) / 300 == pytest.approx(58, rel=0.05)
    assert len(np.unique(predictions.score)) < len(predictions)  # ties
    assert len(truth.classes) == CLASSES
    again = coco_like(300)[0]
    assert np.array_equal(predictions.xyxy, again.xyxy)


def test_peers_read_the_boxes_that_we_mine(tmp_path: Path) -> None:
    predictions, truth = coco_like(20)
    found, real = read_coco(*write_coco(predictions, truth, tmp_path))
    assert mine(found, real).report.counts == mine(predictions, truth).report.counts


def test_yolo_texts_hold_the_boxes_that_we_mine(tmp_path: Path) -> None:
    sides = coco_like(20)
    assert yolo.write_yolo(*sides, tmp_path) == sum(map(len, sides))
    read = read_yolo(tmp_path / "data.yaml", "val", predictions=tmp_path / "found")
    for table, side in zip(read, sides, strict=True):
        assert table.image.tolist() == side.image.tolist()
        assert table.label.tolist() == side.label.tolist()
        assert np.allclose(table.xyxy * [640, 480, 640, 480], side.xyxy, atol=0.01)


def test_shards_made_one_by_one_are_mined_by_the_command(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="shards are Parquet files")
    boxes = million.make_shards(7, tmp_path / "shards", per_shard=3)
    shards = list(read_shards(tmp_path / "shards"))
    assert [len(shard.truth.images) for shard in shards] == [3, 3, 1]
    assert boxes == sum(len(shard.predictions) + len(shard.truth) for shard in shards)
    seconds, peak = million.mined(tmp_path / "shards", tmp_path / "mined")
    assert seconds > 0
    assert peak > 10 * million.MEGABYTE
    assert (tmp_path / "mined" / "weights.csv").read_text().count("\n") == 1 + 7


def test_growth_is_that_of_the_first_and_the_last_size() -> None:
    said = million.growth([(100, 1_000, 2.0, 5_000), (200, 2_000, 3.0, 6_000), (400, 4_000, 8.0, 11_000)])
    assert "From 100 to 400 images CPU time grows with exponent 1.00, the peak of memory by 20 bytes" in said


def test_each_flag_reaches_the_tables_that_it_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, dict[str, Any]] = {}

    def imported(name: str) -> SimpleNamespace:
        of_table = given.setdefault(name.removeprefix("benchmarks."), {})
        return SimpleNamespace(table=lambda **asked: of_table.update(asked) or ["| a |"])

    monkeypatch.setattr(__main__, "importlib", SimpleNamespace(import_module=imported))
    __main__.main("--data sets --before tree --kills 120=6 2000=3 --strikes 1 --clips 2".split())
    assert tuple(given) == TABLES
    assert {name: asked for name, asked in given.items() if asked} == {
        **{name: {"sets": Path("sets")} for name in ("shares", "evidence", "review", "verifier")},
        **{name: {"before": Path("tree")} for name in ("before", "scaling")},
        "trust": {"sizes": {120: 6, 2000: 3}, "strikes": 1},
        "live": {"clips": 2},
    }


def test_a_table_is_a_file_of_its_own(tmp_path: Path) -> None:
    file = write_table(tmp_path, "engine", ["| a |", "|---|"])
    assert (file.name, file.read_text()) == ("engine.md", "| a |\n|---|\n")
    write_table(tmp_path, "engine", ["new"])
    assert file.read_text() == "new\n"
    with pytest.raises(ValueError, match="'scaling' has no lines"):
        write_table(tmp_path, "scaling", [])
    assert [path.name for path in tmp_path.iterdir()] == ["engine.md"]


@pytest.mark.parametrize(
    ("ratio", "said"),
    [(100, "100 × faster"), (53.4, "53 × faster"), (7.75, "7.8 × faster"), (6, "6 × faster"), (0.4, "2.5 × as long")],
)
def test_ratios_are_said_in_words(ratio: float, said: str) -> None:
    assert operator.times(ratio) == said


def test_the_table_says_why_a_must_is_missed_and_only_then() -> None:
    reached = [("work", 1.0, "peer", must) for must in operator.MUSTS]
    found = {"rows": reached, "values": 1_000_000, "mongodb": {"ready": 1.8, "few": 0.3}}
    assert operator.why_missed(found) == []
    missed = [*reached[:3], ("the operator whole", 3.0, "peer", 150.0), *reached[4:]]
    _, why = operator.why_missed({**found, "rows": missed})
    assert why.startswith("1 goal is missed: 3.00 s, goal 1.50 s. The remaining time is MongoDB's write time")
    assert "1.80 CPU s for 1,000,000 values, 1.8 µs each" in why
    both = operator.why_missed(
        {**found, "rows": [*missed[:4], ("the operator whole", 2.0, "peer", 100.0), *missed[5:]]}
    )
    assert both[1].startswith("2 goals are missed: 3.00 s, goal 1.50 s; 2.00 s, goal ")


@pytest.mark.parametrize("language", ["", "zh"])
def test_every_table_is_written_once_and_included_in_each_language(language: str) -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.md")) == sorted(TABLES)
    root = ROOT / "docs" / language
    pages = [path for path in root.rglob("*.md") if language or "zh" not in path.relative_to(root).parts]
    text = "\n".join(path.read_text(encoding="utf-8") for path in pages if path.parent != FOLDER)
    included = re.findall(r'^--8<-- "docs/tables/(\w+)\.md"$', text, flags=re.MULTILINE)
    assert sorted(included) == sorted(TABLES)


def test_auroc_is_how_often_a_positive_stands_above_a_negative() -> None:
    positive = np.array([True, True, False, False])
    assert suspicion.auroc(np.array([0.9, 0.4, 0.6, 0.1]), positive) == "0.750"
    assert suspicion.auroc(np.zeros(4), positive) == "0.500"
    assert suspicion.auroc(np.zeros(4), positive | True) == "–"


def test_before_all_mined_objects_were_in_one_ranking() -> None:
    result = mine(*coco_like(60))
    old = shares.before(result)
    mined = old.mistakes.mined
    assert mined.sum() == result.report.cap == result.mistakes.mined.sum()
    difficulty = np.nan_to_num(old.mistakes.difficulty)
    assert difficulty[mined].min() >= difficulty[~mined].max()
    assert result.prediction_hard.sum() > old.prediction_hard.sum()


def test_misses_had_most_of_the_extra_weight_and_have_their_share() -> None:
    result = mine(*coco_like(60))
    state = shares.reviewed_states(result, 0)
    had = shares.effect(shares.before(result), state, None).miss_share
    unlimited, half, none = (shares.effect(result, state, share).miss_share for share in (1.0, 0.5, 0.0))
    assert had > unlimited >= half > none == 0.0
    assert half <= 0.51  # the limits of all weights may move it a little


def test_reviews_of_the_shares_all_say_that_the_model_is_wrong() -> None:
    result = mine(*coco_like(20))
    state = shares.reviewed_states(result, 3)
    assert np.unique(state, return_counts=True)[1].tolist() == [len(state) - 3, 3]
    assert STATES[state.max()] == "hard_negative"


def test_the_shares_are_of_the_sets_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="none of the folders bccd"):
        shares.table(tmp_path)
    (tmp_path / "voc100").mkdir()
    for file, name in zip(write_coco(*coco_like(20), tmp_path), ("gt.json", "results.json"), strict=True):
        file.rename(tmp_path / "voc100" / name)
    rows = [line for line in shares.table(tmp_path) if line.startswith("| voc100 ")]
    assert [row.split(" | ")[1] for row in rows[1:]] == ["before", "0", "0.5", "1"]
    for row in rows[1:]:
        assert sum(int(cell) for cell in re.findall(r"(\d+)%", row)) == pytest.approx(100, abs=3)


@pytest.mark.slow
def test_a_tree_is_measured_against_itself() -> None:
    lines = before.table(ROOT, 1, {"mine": (40,), "files": 40, "operator": 30})
    names = ["`mine()`, 40 images", "`hnm mine` on COCO json, 40 images", "the operator, 30 samples"]
    rows = [re.split(r" \| ", line.strip("| ")) for line in lines[2:5]]
    assert [row[0] for row in rows] == names
    assert all(float(row[1]) > 0 and 0.1 < float(row[3]) < 10 for row in rows)
    assert float(rows[1][4]) > 40, "numpy alone needs more"


@pytest.mark.slow
def test_the_demos_label_errors_are_those_whose_labels_are_withheld(tmp_path: Path) -> None:
    pytest.importorskip("ultralytics", reason="predicts on the demo's images")
    case = labels.digits(tmp_path, 120, seed=0)
    mistakes = case.result.mistakes
    assert 1 < case.wrong.sum() < 20
    assert (mistakes.code[case.wrong] == ROW_NAMES.index("background")).mean() > 0.8
    run = suspicion._run(case, {}, seed=0)
    assert run["brier"][1] < run["brier"][0]
    assert 0 < run["review_count"] <= suspicion.MOST


@pytest.mark.slow
def test_the_operator_is_timed_beside_public_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator, "ROUNDS", 1)
    found = operator._measured(60)
    assert len(found["rows"]) == len(operator.MUSTS)
    assert all(ours > 0 and theirs > 0 for _, ours, _, theirs in found["rows"])
    assert found["values"] > 60
    assert min(found["mongodb"].values()) >= 0


@pytest.mark.slow
def test_form_and_panel_are_timed_as_the_app_calls_them() -> None:
    found = operator.isolated("app", "measure(40)")
    sizes = {name: size for name, _, _, size in found["rows"]}
    assert min(sizes["the panel opens"], sizes["another run is chosen"]) > sizes["a bar is clicked"] > 1000
    assert sizes["the mining form opens"] > 1000
    assert all(0 < median <= slowest for _, median, slowest, _ in found["rows"])
    assert found["objects"] > 40


def test_a_suspicion_that_is_the_share_of_wrong_labels_is_calibrated() -> None:
    suspicion_, wrong = np.repeat([0.25, 0.75], 4), np.array([1, 0, 0, 0, 1, 1, 1, 0], dtype=bool)
    said, true, count = reliability.binned(suspicion_, wrong)
    assert (said.tolist(), true.tolist(), count.tolist()) == ([0.25, 0.75], [0.25, 0.75], [4, 4])
    assert reliability.calibration_error(said, true, count) == 0.0
    assert reliability.calibration_error(*reliability.binned(np.array([1.0, 0.0]), np.array([False, False]))) == 0.5


@pytest.mark.slow
def test_out_of_fold_no_image_is_predicted_by_a_model_trained_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ultralytics", reason="trains a detector on each half")
    from benchmarks import out_of_fold
    from fiftyone_plugin.demo.dataset import WEIGHTS
    from fiftyone_plugin.demo.digits import make_digits
    from hnm_core import training
    from hnm_core.io.yolo import read_yolo_truth

    data = make_digits(tmp_path / "set", 12, size=64, splits=(("train", 1.0),))
    trained, asked = [], []
    detect, listed = training.detect, out_of_fold.data_yaml

    def noting(model: Any, files: Any, **options: Any) -> Any:
        asked.append(set(files))
        return detect(model, files, **options)

    def naming(*args: Any) -> Path:
        file = listed(*args)
        trained.append(set(file.with_suffix(".txt").read_text().split()))
        return file

    monkeypatch.setattr(training, "detect", noting)
    monkeypatch.setattr(out_of_fold, "data_yaml", naming)
    monkeypatch.setattr(out_of_fold, "EPOCHS", 1)
    truth = read_yolo_truth(sorted((data.parent / "images" / "train").iterdir()), ("three", "seven"))
    found = out_of_fold.out_of_fold(truth, WEIGHTS, 64)
    assert len(found) > 0
    assert found.images == truth.images
    assert [len(some) for some in (*trained, *asked)] == [6, 6, 6, 6]
    assert set.union(*asked) == set(truth.images)
    assert not any(learnt & predicted for learnt, predicted in zip(trained, asked, strict=True))


def test_faults_are_counted_as_they_are_printed() -> None:
    row = {"operator": "mine", "samples": 2_000, "writes": 30, "killed": 12, "old": 2, "refused": 9}
    head, _, line = trust.lines_of([row])
    assert line == "| mine | 2,000 | 30 | 12 | 2 | 0 | 9 | 0 | 1 |"  # one kill ended otherwise
    assert head.count("|") == line.count("|")
    stopped = {"operator": "mine", "signal": "SIGINT", "samples": 120, "stopped": 3, "old": 2}
    head, _, line = trust.stopped_lines_of([stopped])
    assert line == "| mine | 120 | SIGINT | 3 | 2 | 0 | 0 | 0 | 1 |"
    assert head.count("|") == line.count("|")
    compared = {"samples": 300, "compared": 24, "differ": 0}
    assert trust.sentence(compared).startswith("0 of 300 documents of the user differ")
    whole = trust.page([row], compared, [stopped])
    assert [whole[at] for at in (2, 4, 6, 10)] == [
        "| mine | 2,000 | 30 | 12 | 2 | 0 | 9 | 0 | 1 |",
        trust.SPREAD,
        trust.sentence(compared),
        line,
    ]


def test_kills_are_asked_for_by_the_number_of_samples() -> None:
    assert kills("2000=3") == (2_000, 3)
    with pytest.raises(ValueError, match="invalid literal"):
        kills("120")


def test_a_fault_that_ends_otherwise_makes_no_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "test_lost.py").write_text(
        "def test_after_any_write():\n    print('fault: {}')\n    assert False, 'lost'\n"
    )
    monkeypatch.setattr(trust, "ROOT", tmp_path)
    monkeypatch.setattr(trust, "KILLS", "test_lost.py")
    with pytest.raises(RuntimeError, match="lost"):
        trust.measured("after_any_write", 12)


def drawn(seed: int, images: int = 60) -> label_noise.NoisyLabels:
    """Labels with errors; true ones do not touch, a few to an image."""
    rng = np.random.default_rng(seed)
    corner = np.stack(np.meshgrid([0.05, 0.4, 0.75], [0.1, 0.6]), axis=-1).reshape(-1, 2)
    boxes = np.concatenate([corner, corner + rng.uniform(0.1, 0.2, (len(corner), 2))], axis=1)
    image, label = np.repeat(np.arange(images), 6), rng.integers(0, 3, 6 * images)
    names = tuple(f"{i}.jpg" for i in range(images))
    truth = Detections(image, np.tile(boxes, (images, 1)), label, None, names, ("a", "b", "c"))
    return label_noise.draw_label_errors(truth, label_noise.Noise(), seed)


@pytest.mark.parametrize("seed", range(3))
def test_drawn_label_errors_are_what_they_are_called(seed: int) -> None:
    noisy = drawn(seed)
    table, truth, of = noisy.table, noisy.truth, noisy.of
    kind = np.array(label_noise.KINDS)[noisy.kind]
    made = kind != "bogus"
    assert (of[~made] == -1).all()
    assert len(np.unique(of[made])) == made.sum(), "no label comes from two"
    same_box = np.zeros(len(table), dtype=bool)
    same_box[made] = (table.xyxy[made] == truth.xyxy[of[made]]).all(axis=1)
    same_class = np.where(made, table.label == truth.label[of], False)
    assert (same_box & same_class)[kind == "right"].all()
    assert (same_box & ~same_class)[kind == "class"].all()
    assert (~same_box & same_class)[kind == "box"].all()
    moved = np.flatnonzero(kind == "box")
    iou = overlapping(table.xyxy, truth.xyxy, moved, of[moved])[2]
    assert len(iou) == len(moved)
    assert iou.min() >= 0.3
    assert iou.max() <= 0.7
    bogus = np.flatnonzero(~made)
    pairs = np.nonzero(table.image[bogus][:, None] == truth.image)
    assert (overlapping(table.xyxy[bogus], truth.xyxy, *pairs)[2] < 0.05).all()
    shares = [1 - made.sum() / len(truth), *((kind == name).sum() / len(truth) for name in ("class", "box", "bogus"))]
    assert shares == pytest.approx([0.2, 0.05, 0.1, 0.05], abs=0.05)
    assert ((table.xyxy >= 0) & (table.xyxy <= 1)).all()


def test_a_noisy_set_is_read_back_as_it_was_drawn(tmp_path: Path) -> None:
    Image = pytest.importorskip("PIL.Image")
    source = tmp_path / "source"
    for split in ("train", "val"):
        (source / "images" / split).mkdir(parents=True)
        (source / "labels" / split).mkdir(parents=True)
        for i in range(8):
            Image.new("RGB", (32, 32)).save(source / "images" / split / f"{split}{i}.png")
            lines = ["0 0.25 0.25 0.3 0.3", "1 0.75 0.75 0.3 0.3", "1 0.75 0.75 0.3 0.3", "1 0.5 0.5 0 0.1"]
            (source / "labels" / split / f"{split}{i}.txt").write_text("\n".join(lines))
    (source / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [a, b]\npath: .\n")
    folder = tmp_path / "noisy"
    data = label_noise.add_label_noise(
        source / "data.yaml", folder, label_noise.Noise(), 3, most=12, splits=("train", "val")
    )
    noisy = label_noise.read_noisy(folder)
    assert len(noisy.truth) == 24, "copies and boxes without size are no labels"
    images = split_images(data, "train")
    assert tuple(map(str, images)) == noisy.table.images
    read = read_yolo_truth(images, ("a", "b"))
    order = [np.lexsort((*table.xyxy.round(6).T, table.label, table.image)) for table in (read, noisy.table)]
    assert np.allclose(read.xyxy[order[0]], noisy.table.xyxy[order[1]])
    assert (read.label[order[0]] == noisy.table.label[order[1]]).all()
    assert (label_noise.read_noisy(folder).kind == noisy.kind).all()


def test_the_area_under_the_curve_counts_ties_a_half() -> None:
    wrong = np.array([True, True, False, False])
    assert evidence.auroc(np.array([3.0, 1.0, 1.0, 0.0]), wrong) == "0.875"
    assert evidence.auroc(np.array([3.0]), np.array([True])) == "–"
    assert evidence.interval(np.arange(40.0), np.arange(40) > 20) == "–", "19 of the rarer kind are too few"
    value = np.arange(200.0)
    assert evidence.interval(value, value > 99) == "1.000 (1.000 to 1.000)"


def test_a_mistake_is_the_labels_if_the_true_labels_do_not_show_it(monkeypatch: pytest.MonkeyPatch) -> None:
    noisy = drawn(0)
    found = Detections(
        noisy.truth.image, noisy.truth.xyxy, noisy.truth.label, np.full(len(noisy.truth), 0.9), *_world(noisy.truth)
    )
    seen: dict[str, Any] = {}
    monkeypatch.setattr(evidence, "known_of", lambda name, result, weights, wrong, labels: seen.update(locals()))
    evidence.noisy_of("all right", found, noisy, Path("none.pt"))
    mistakes = seen["result"].mistakes
    assert len(seen["wrong"]) == len(mistakes)
    assert seen["wrong"].all(), "a model that knows the truth makes no mistake of its own"
    lost = mistakes.code[~mistakes.of_truth] == ROW_NAMES.index("background")
    assert lost.sum() == (len(noisy.truth) - len(np.unique(noisy.of[noisy.of >= 0])))


def _world(table: Detections) -> tuple[Any, Any]:
    return table.images, table.classes


def test_clips_are_what_they_say_and_ranked(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="it writes the clips")
    pytest.importorskip("ultralytics", reason="the demo's detector watches them")
    from benchmarks import live
    from fiftyone_plugin.demo.scenes import deal_scans
    from hnm_core.live.sources import find_clips

    pool = deal_scans("demo", (("train", 0.5), ("test", 0.5)))["test"]
    for motion in live.MOTIONS:
        (made,) = live.make(tmp_path / motion, motion, pool, 1, 1, 6, [1])
        frames = list(find_clips(str(made.file))[0].frames())
        assert [frame.pixels.shape for frame in frames] == [(live.SIDE, live.SIDE, 3)] * 6
        assert len(made.truth) == 6
        assert all(name in ("three", "seven") for boxes in made.truth for name, _ in boxes)
    key = ("clip", 1, 0.0, 0.0, 10.0, 10.0, "three")
    assert not live.lies_on_none(key, [("three", (0.0, 0.0, 10.0, 9.0))])
    assert live.lies_on_none(key, [("seven", (0.0, 0.0, 10.0, 10.0)), ("three", (8.0, 0.0, 18.0, 10.0))])
    values, right, track = np.array([0.1, 0.9, 0.8]), np.array([True, False, False]), np.array([1, 0, 0])
    whole = [np.arange(3)]
    assert live.quality(-values, right, track, whole) == (1.0, 1 / 3, 0.5)
    assert live.quality(values, right, track, whole) == (1 / 3, 1 / 3, 0.5)
    assert live.quality(-values, right, track, [whole[0], np.array([1, 2])]) == (1.0, 0.2, 1 / 3)


@pytest.mark.slow
def test_watching_is_measured_beside_baselines() -> None:
    pytest.importorskip("av", reason="it writes the clips")
    pytest.importorskip("lap", reason="the trackers need it")
    from benchmarks import live

    lines = live.table(clips=2, train_clips=8, frames=12, minutes=(1, 2))
    orders = ("verifier", "lowest confidence of the track", "lowest confidence", "random")
    rows = [line.split(" | ") for line in lines if "confident |" in line]
    assert [row[2] for row in rows] == list(orders) * 2
    assert [line.count("%") for line in lines if line.startswith(("| ByteTrack", "| verifier,"))] == [1] * 5
    assert [line.split(" | ")[1] for line in lines[-2:]] == ["300", "600"], "frames of one and of two minutes"
