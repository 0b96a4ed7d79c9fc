"""Mining while predicting: a callable and a real detector, one image and a batch, called and as a callback."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hnm_core import HardNegativeMiner
from hnm_core.realtime import attach, read_result, real_time_mining

ROOT = Path(__file__).parents[2]
SIZE = 192

CAT = {"bbox": [0, 0, 10, 10], "confidence": 0.8, "class": "cat"}
DOG = {"bbox": [50, 50, 60, 60], "confidence": 0.6, "class": "dog"}
THERE = {"bbox": [50, 50, 60, 60], "class": "cat"}


def both(_: Any) -> list[dict[str, Any]]:
    return [CAT, DOG]


# Any callable


def test_the_answer_is_the_miners() -> None:
    predictions, found = real_time_mining(both, "street.jpg", [THERE], miner := HardNegativeMiner())
    assert predictions == [CAT, DOG]
    other = HardNegativeMiner()
    assert found == other.find_hard_negatives([CAT, DOG], [THERE], "street.jpg")
    assert found
    assert miner.generate_report() == other.generate_report()


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_batch_is_its_images(kind: type) -> None:
    images, truths = kind(["a.jpg", Path("b.jpg"), "c.jpg"]), [[THERE], [], [THERE, CAT]]
    predictions, found = real_time_mining(both, images, truths, miner := HardNegativeMiner())
    single = HardNegativeMiner()
    one_by_one = [real_time_mining(both, *pair, single) for pair in zip(images, truths, strict=True)]
    assert list(zip(predictions, found, strict=True)) == one_by_one
    assert miner.generate_report() == single.generate_report()
    assert next(f["image_path"] for of_image in found for f in of_image) == "a.jpg"


def test_no_images_are_a_batch_too() -> None:
    assert real_time_mining(both, [], [], HardNegativeMiner()) == ([], [])


def test_pixels_have_no_path_unless_one_is_given() -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    assert real_time_mining(both, pixels, [], HardNegativeMiner())[1][0]["image_path"] is None
    named = real_time_mining(both, pixels, [], HardNegativeMiner(), image_path="frame 7")
    assert named[1][0]["image_path"] == "frame 7"
    batch = real_time_mining(both, [pixels, "b.jpg"], [[], []], HardNegativeMiner(), image_path=["frame 8", None])
    assert [found[0]["image_path"] for found in batch[1]] == ["frame 8", "b.jpg"]


def test_an_opened_image_knows_its_file(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    with image.open(tmp_path / "a.png") as opened:
        found = real_time_mining(both, opened, [], HardNegativeMiner())[1]
    assert found[0]["image_path"] == str(tmp_path / "a.png")
    found = real_time_mining(both, image.new("RGB", (4, 4)), [], HardNegativeMiner())[1]
    assert found[0]["image_path"] is None


def test_a_miner_of_ones_own_is_asked() -> None:
    class Quiet(HardNegativeMiner):
        def find_hard_negatives(self, predictions: Any, ground_truth: Any, image_path: Any = None) -> list[Any]:
            return []

    assert real_time_mining(both, "a.jpg", [], Quiet()) == ([CAT, DOG], [])


@pytest.mark.parametrize(
    ("images", "truths", "message"),
    [
        (["a", "b"], [[]], "the batch has 2 images, ground_truth is for 1"),
        (["a"], [THERE], "ground_truth is one list of dicts, expected a list of them for each of 1 images"),
    ],
)
def test_batches_and_truths_that_do_not_fit(images: Any, truths: Any, message: str) -> None:
    with pytest.raises(ValueError, match=rf"^{message}$"):
        real_time_mining(both, images, truths, HardNegativeMiner())


def test_a_classifier_is_refused() -> None:
    model = SimpleNamespace(predict=lambda images, **_: [SimpleNamespace(boxes=None, probs=[0.5])])
    with pytest.raises(ValueError, match=r"^the model returned a SimpleNamespace without boxes; is it a detector\?$"):
        real_time_mining(model, "a.jpg", [], HardNegativeMiner())


@pytest.mark.parametrize(
    ("settings", "given", "asked"),
    [
        ({}, {}, {"verbose": False}),
        ({"confidence_threshold": 0.1}, {"imgsz": 64}, {"verbose": False, "conf": 0.1, "imgsz": 64}),
        ({"class_confidence": {"cat": 0.05}}, {}, {"verbose": False, "conf": 0.05}),
        ({"confidence_threshold": 0.1}, {"conf": 0.01, "verbose": True}, {"verbose": True, "conf": 0.01}),
    ],
)
def test_a_model_is_asked_for_all_that_shall_be_counted(settings: Any, given: Any, asked: Any) -> None:
    calls = []
    model = SimpleNamespace(predict=lambda images, **options: calls.append(options) or [])
    with pytest.raises(ValueError, match=r"^the model returned 0 results for 1 images; is one of them not readable"):
        real_time_mining(model, "a.jpg", [], HardNegativeMiner(**settings), **given)
    assert calls == [asked]


def test_a_picture_that_cannot_be_read_is_named_and_not_what_heic_needs(tmp_path: Path) -> None:
    pytest.importorskip("PIL.Image", reason="Pillow opens pictures").new("RGB", (9, 9)).save(tmp_path / "whole.png")
    (tmp_path / "cut.jpg").write_bytes(b"no picture")

    def predict(images: list[str], **options: Any) -> list[Any]:  # as Ultralytics does where Pillow cannot open one
        raise ModuleNotFoundError("No module named 'pi_heif'", name="pi_heif")

    def ask(*names: str) -> None:
        real_time_mining(SimpleNamespace(predict=predict), [str(tmp_path / name) for name in names])

    with pytest.raises(OSError, match=rf"^{tmp_path}/cut\.jpg is not a picture that can be read"):
        ask("whole.png", "cut.jpg")
    with pytest.raises(FileNotFoundError, match=r"gone\.jpg"):
        ask("gone.jpg")
    with pytest.raises(ModuleNotFoundError, match="pi_heif"):
        ask("whole.png", "phone.HEIC")


def test_what_takes_no_callbacks_cannot_be_attached_to() -> None:
    with pytest.raises(TypeError, match=r"^attach needs a model with callbacks such as Ultralytics' YOLO, got a fun"):
        attach(both, HardNegativeMiner(), {})


# A real detector


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """Digits on photographs and their truths in pixels, by path."""
    pytest.importorskip("ultralytics", reason="Ultralytics predicts")
    pytest.importorskip("skimage", reason="its photographs are the background")
    from fiftyone_plugin.demo.digits import make_digits
    from hnm_core.io.data_yaml import label_file

    data = make_digits(tmp_path_factory.mktemp("digits") / "set", 20, size=SIZE)
    truths: dict[str, list[dict[str, Any]]] = {}
    for path in sorted((data.parent / "images" / "train").iterdir()):
        rows = [list(map(float, line.split())) for line in label_file(path).read_text().splitlines()]
        truths[str(path)] = [
            {
                "bbox": [SIZE * edge for edge in (x - w / 2, y - h / 2, x + w / 2, y + h / 2)],
                "class": ["three", "seven"][int(label)],
            }
            for label, x, y, w, h in rows
        ]
    return truths


def detector() -> Any:
    from ultralytics import YOLO

    return YOLO(str(ROOT / "fiftyone_plugin" / "demo" / "digits.pt"))


@pytest.fixture
def model(digits: Any) -> Any:
    return detector()


OPTIONS = {"imgsz": SIZE, "device": "cpu", "verbose": False}


@pytest.fixture(scope="module")
def by_hand(digits: Any) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """What a miner reports and says of the model's results, one by one."""
    model, miner = detector(), HardNegativeMiner(confidence_threshold=0.3)
    found = {}
    for path, truths in digits.items():
        (result,) = model.predict(path, **OPTIONS)
        rows = [
            {"bbox": box.xyxy[0].tolist(), "confidence": box.conf.item(), "class": result.names[int(box.cls)]}
            for box in result.boxes
        ]
        found[path] = miner.find_hard_negatives(rows, truths, path)
    assert sum(map(len, found.values())) > 3
    return miner.generate_report(), found


def test_a_detector_one_by_one(model: Any, digits: Any, by_hand: Any) -> None:
    report, expected = by_hand
    miner = HardNegativeMiner(confidence_threshold=0.3)
    for path, truths in digits.items():
        assert real_time_mining(model, path, truths, miner, **OPTIONS)[1] == expected[path]
    assert miner.generate_report() == report


def test_a_detector_as_a_mere_callable(model: Any, digits: Any, by_hand: Any) -> None:
    _, expected = by_hand
    path, truths = next(iter(digits.items()))
    miner = HardNegativeMiner(confidence_threshold=0.3)
    for call in (lambda image: model(image, **OPTIONS), lambda image: model(image, **OPTIONS)[0]):
        assert real_time_mining(call, path, truths, miner)[1] == expected[path]


def test_a_detector_in_a_batch_of_any_kind_of_image(model: Any, digits: Any) -> None:
    image = pytest.importorskip("PIL.Image")
    paths = list(digits)[:4]
    opened = [image.open(path) for path in paths]
    kinds = [paths, list(map(Path, paths)), opened, [np.asarray(one.convert("RGB"))[..., ::-1] for one in opened]]
    answers = [
        real_time_mining(
            model, kind, [digits[path] for path in paths], HardNegativeMiner(), image_path=paths, **OPTIONS
        )
        for kind in kinds
    ]
    for one in opened:
        one.close()
    assert len(answers[0][0]) == len(answers[0][1]) == 4
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.parametrize("kind", ["mapping", "relative mapping", "linked mapping", "function"])
@pytest.mark.parametrize("used_before", [False, True])
def test_a_stream_mines_as_it_goes(
    model: Any,
    digits: Any,
    by_hand: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    kind: str,
    used_before: bool,
) -> None:
    report, expected = by_hand
    if used_before:
        model.predict(next(iter(digits)), **OPTIONS)
    folder = Path(next(iter(digits))).parent
    monkeypatch.chdir(folder)
    (tmp_path / "link").symlink_to(folder)
    as_named = {
        "relative mapping": lambda path: path.name,
        "linked mapping": lambda path: tmp_path / "link" / path.name,
    }
    names = {path: str(as_named.get(kind, str)(Path(path))) for path in digits}
    truth = {names[path]: truths for path, truths in digits.items()}
    miner = HardNegativeMiner(confidence_threshold=0.3)
    detach = attach(model, miner, truth.__getitem__ if kind == "function" else truth)
    seen = {}
    for i, result in enumerate(model.predict(str(folder), stream=True, batch=1, **OPTIONS), 1):
        seen[result.path] = result.hard_negatives
        assert miner.generate_report()["mining"]["images"] == i
    assert seen == {path: [{**f, "image_path": names[path]} for f in found] for path, found in expected.items()}
    assert miner.generate_report() == report
    detach()
    detach()
    model.predict(str(folder), **OPTIONS)
    assert miner.generate_report() == report


def test_images_without_truth_are_passed_over_or_named(model: Any, digits: Any) -> None:
    path = next(iter(digits))
    miner = HardNegativeMiner()
    detach = attach(model, miner, lambda path: None)
    assert model.predict(path, **OPTIONS)[0].hard_negatives == []
    assert miner.generate_report()["mining"]["images"] == 0
    detach()
    attach(model, miner, {"other.jpg": []})
    with pytest.raises(
        ValueError,
        match=rf"^there is no ground truth for {path} among the 1 images given; an image without objects has",
    ):
        model.predict(path, **OPTIONS)


def test_a_model_that_drops_what_the_miner_would_count_is_told_of(model: Any, digits: Any) -> None:
    path = next(iter(digits))
    attach(model, HardNegativeMiner(confidence_threshold=0.1), digits)
    message = r"^the model drops predictions under 0\.25, the miner would count them from 0\.1; predict with conf=0\.1"
    with pytest.warns(UserWarning, match=message):
        model.predict(path, **OPTIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(path, conf=0.1, **OPTIONS)


def test_results_are_read_as_ultralytics_writes_them(model: Any, digits: Any, tmp_path: Path) -> None:
    """Its own text file says the same, to its digits."""
    path = list(digits)[3]
    (result,) = model.predict(path, conf=0.01, **OPTIONS)
    result.save_txt(tmp_path / "a.txt", save_conf=True)
    lines = [list(map(float, line.split())) for line in (tmp_path / "a.txt").read_text().splitlines()]
    assert len(lines) > 1
    for record, (label, x, y, w, h, score) in zip(read_result(result), lines, strict=True):
        assert record["class"] == ["three", "seven"][int(label)]
        assert record["confidence"] == pytest.approx(score, abs=1e-5)
        corners = [SIZE * edge for edge in (x - w / 2, y - h / 2, x + w / 2, y + h / 2)]
        assert record["bbox"] == pytest.approx(corners, abs=1e-2)


# Videos


@pytest.fixture(scope="module")
def video(digits: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    """A video of one digits image per frame, and the model's own boxes in each frame."""
    cv2 = pytest.importorskip("cv2")
    path = tmp_path_factory.mktemp("video") / "digits.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (SIZE, SIZE))
    for image in list(digits):
        writer.write(cv2.imread(image))
    writer.release()
    return path, [read_result(result) for result in detector().predict(str(path), conf=0.1, **OPTIONS)]


def frames_of(path: Path, boxes: list[Any], truths: list[Any]) -> tuple[list[Any], dict[str, Any]]:
    miner = HardNegativeMiner(confidence_threshold=0.1)
    pairs = enumerate(zip(boxes, truths, strict=True), 1)
    return [miner.find_hard_negatives(*pair, f"{path}#{i}") for i, pair in pairs], miner.generate_report()


@pytest.mark.parametrize("how", ["predict", "track", "track, attached later"])
def test_every_frame_of_a_video_has_its_own_truth(model: Any, digits: Any, video: Any, how: str) -> None:
    if how != "predict":
        pytest.importorskip("lap", reason="Ultralytics tracks with it")
    path, boxes = video
    truths = list(digits.values())
    expected, report = frames_of(path, boxes, truths)
    assert sum(map(len, expected)) > 3
    if how == "track, attached later":
        model.track(str(path), conf=0.1, **OPTIONS)
    miner = HardNegativeMiner(confidence_threshold=0.1)
    detach = attach(model, miner, {str(path): truths})
    ask = model.predict if how == "predict" else model.track
    results = ask(str(path), conf=0.1, stream=True, **OPTIONS)
    shown = [(len(result.boxes), result.hard_negatives) for result in results]
    assert [found for _, found in shown] == expected
    assert miner.generate_report() == report
    if how != "predict":  # what the tracker shows is not what is mined
        assert sum(number for number, _ in shown) < sum(map(len, boxes))
    detach()
    ask(str(path), conf=0.1, **OPTIONS)
    assert miner.generate_report() == report


def test_a_frame_is_known_where_frames_are_skipped(model: Any, digits: Any, video: Any) -> None:
    path, boxes = video
    truths = list(digits.values())
    expected, _ = frames_of(path, boxes[1::2], truths[1::2])
    detach = attach(model, HardNegativeMiner(confidence_threshold=0.1), lambda path: truths)
    results = model.predict(str(path), conf=0.1, vid_stride=2, **OPTIONS)
    detach()
    found = [[{**one, "image_path": None} for one in result.hard_negatives] for result in results]
    assert found == [[{**one, "image_path": None} for one in of_frame] for of_frame in expected]
    assert {one["image_path"] for result in results for one in result.hard_negatives} <= {
        f"{path}#{number}" for number in range(2, len(truths) + 1, 2)
    }


@pytest.mark.parametrize(
    ("truths", "message"),
    [
        ([CAT], "is a video, its ground truth one list of dicts: give such a list for every frame"),
        ([[CAT]] * 3, "has a frame 4, its ground truth has 3 frames: give them all"),
    ],
)
def test_truths_that_do_not_fit_a_video(model: Any, video: Any, truths: Any, message: str) -> None:
    attach(model, HardNegativeMiner(confidence_threshold=0.1), {str(video[0]): truths})
    with pytest.raises(ValueError, match=rf"digits\.avi {message}$"):
        model.predict(str(video[0]), conf=0.1, **OPTIONS)
