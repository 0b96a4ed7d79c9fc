"""The guide's own ways of working, with this package behind them: its calls, its loops, its subclass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hnm_core import HardNegativeMiner, calculate_sample_weights

torch = pytest.importorskip("torch", reason="the guide's loops are those of a torch training")
torch_data = pytest.importorskip("torch.utils.data")
DataLoader, Dataset, WeightedRandomSampler = torch_data.DataLoader, torch_data.Dataset, torch_data.WeightedRandomSampler

Record = dict[str, Any]

IMAGES = [f"{name}.jpg" for name in "abcdefghij"]
HARD = "d.jpg"
TRUTH = {"bbox": [8, 8, 24, 24], "class": "cat"}
FALSE_ALARM = {"bbox": [40, 40, 60, 60], "confidence": 0.95, "class": "cat"}
HIT = {**TRUTH, "confidence": 0.9}


class Pictures(Dataset):  # type: ignore[misc]
    """Ten images with a cat in each; which one an item is stands in its first pixel."""

    def __len__(self) -> int:
        return len(IMAGES)

    def __getitem__(self, i: int) -> tuple[Any, Any]:
        return torch.full((3, 64, 64), float(i)), torch.tensor([*TRUTH["bbox"], 0.0])


class Detector(torch.nn.Module):  # type: ignore[misc]
    """Finds every cat, and another one in the hard image; rows of ``x0 y0 x1 y1 score class``."""

    def forward(self, images: Any) -> list[Any]:
        hit, alarm = ([*r["bbox"], r["confidence"], 0.0] for r in (HIT, FALSE_ALARM))
        return [torch.tensor([hit, alarm] if IMAGES[int(image[0, 0, 0])] == HARD else [hit]) for image in images]


def convert_predictions(predictions: list[Any]) -> list[Record]:
    return [
        {"bbox": row[:4].tolist(), "confidence": row[4], "class": "cat"} for of_image in predictions for row in of_image
    ]


def convert_targets(targets: Any) -> list[Record]:
    return [{"bbox": row[:4].tolist(), "class": "cat"} for row in targets]


def loader(batch: int = 1) -> Any:
    return DataLoader(Pictures(), batch_size=batch)


# What it shows first


def test_basic_use(tmp_path: Any) -> None:
    pytest.importorskip("PIL.Image").new("RGB", (64, 64)).save(tmp_path / HARD)
    miner = HardNegativeMiner(
        confidence_threshold=0.5,
        iou_threshold=0.5,
        hard_negative_ratio=0.3,
        save_samples=True,
        output_dir=str(tmp_path / "hard_negatives"),
    )
    hard_negatives = miner.find_hard_negatives([HIT, FALSE_ALARM], [TRUTH], image_path=str(tmp_path / HARD))
    report = miner.generate_report()
    assert {key: hard_negatives[0][key] for key in ("type", "prediction", "ground_truth", "iou", "confidence")} == {
        **{"type": "false_positive", "prediction": FALSE_ALARM, "ground_truth": None, "iou": 0.0, "confidence": 0.95}
    }
    assert report["statistics"] == {
        **{"total_predictions": 2, "hard_negatives": 1, "false_positives": 1, "false_negatives": 0},
        "true_positives": 1,
    }
    assert set(report["metrics"]) == {"precision", "recall", "f1_score", "hard_negative_rate"}
    assert (tmp_path / "hard_negatives" / f"{HARD}.hard.jpg").is_file()


def test_its_first_example_as_it_stands(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It saves samples and names no image: all is found and counted, and what cannot be saved is said."""
    monkeypatch.chdir(tmp_path)
    miner = HardNegativeMiner(confidence_threshold=0.5, iou_threshold=0.5, hard_negative_ratio=0.3, save_samples=True)
    with pytest.warns(UserWarning, match=r"^a hard sample is not saved: its image is not known"):
        hard_negatives = miner.find_hard_negatives([HIT, FALSE_ALARM], [TRUTH])
    assert [f["prediction"] for f in hard_negatives] == [FALSE_ALARM]
    assert miner.generate_report()["statistics"]["hard_negatives"] == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("strategy", ["confidence_based", "iou_based", "loss_based"])
def test_its_strategies(strategy: str) -> None:
    near = {**TRUTH, "bbox": [8, 8, 24, 15], "confidence": 0.9}  # IoU .44: confident, and near the threshold
    found = HardNegativeMiner(strategy=strategy).find_hard_negatives([near], [TRUTH])
    assert [f["type"] for f in found] == ["false_positive"]


# In a training loop


def validate_with_hard_negative_mining(model: Any, val_loader: Any, miner: HardNegativeMiner) -> list[Record]:
    """The guide's loop over a validation loader."""
    model.eval()
    all_hard_negatives = []
    for images, targets in val_loader:
        with torch.no_grad():
            predictions = model(images)
        all_hard_negatives.extend(miner.find_hard_negatives(convert_predictions(predictions), convert_targets(targets)))
    return all_hard_negatives


def mine_training_images(model: Any, train_loader: Any, miner: HardNegativeMiner) -> list[Record]:
    """The same loop over the images that are trained on, each by its name: what weights are made of."""
    found = []
    for name, (images, targets) in zip(IMAGES, train_loader, strict=True):
        with torch.no_grad():
            predictions = model(images)
        found += miner.find_hard_negatives(convert_predictions(predictions), convert_targets(targets), image_path=name)
    return found


def adjust_training_with_hard_negatives(hard_negatives: list[Record], train_loader: Any) -> Any:
    """The guide's sampler; but for the images, which its call leaves out."""
    sample_weights = calculate_sample_weights(hard_negatives, images=IMAGES)
    sampler = WeightedRandomSampler(sample_weights, len(train_loader.dataset))
    return DataLoader(train_loader.dataset, sampler=sampler)


def test_mining_during_validation() -> None:
    miner = HardNegativeMiner()
    found = validate_with_hard_negative_mining(Detector(), loader(), miner)
    assert [(f["type"], f["error"]) for f in found] == [("false_positive", "background")]
    assert found[0]["confidence"] == pytest.approx(0.95)
    assert miner.generate_report()["statistics"]["true_positives"] == 10


def test_a_weighted_sampler_draws_the_hard_image_more_often() -> None:
    found = mine_training_images(Detector(), loader(), HardNegativeMiner())
    weighted_loader = adjust_training_with_hard_negatives(found, loader())
    assert weighted_loader.sampler.weights.tolist() == [2.0 if name == HARD else 1.0 for name in IMAGES]
    torch.manual_seed(0)
    drawn = [IMAGES[int(images[0, 0, 0, 0])] for _ in range(110) for images, _ in weighted_loader]
    assert len(drawn) == 1100
    count = np.array([drawn.count(name) for name in IMAGES])
    assert count[IMAGES.index(HARD)] == pytest.approx(200, abs=45)  # of 11 parts two; 3.5 standard deviations
    assert count.min() > 60


def test_weights_of_a_bare_list_are_refused_with_the_reason() -> None:
    """The guide's own call: the images without mistakes are nowhere in it."""
    found = validate_with_hard_negative_mining(Detector(), loader(), HardNegativeMiner())
    with pytest.raises(ValueError, match=r"^a list of hard negatives does not contain the images without errors; give"):
        calculate_sample_weights(found)
    with pytest.raises(ValueError, match=r"are in images that are not among the 10 given, first None; were they found"):
        calculate_sample_weights(found, images=IMAGES)


# Extensions


def test_a_custom_miner() -> None:
    class CustomMiner(HardNegativeMiner):
        def find_hard_negatives(self, predictions: Any, ground_truth: Any, image_path: Any = None) -> list[Record]:
            found = super().find_hard_negatives(predictions, ground_truth, image_path)
            return [f for f in found if f["confidence"] > 0.9]

    sure, unsure = ({**FALSE_ALARM, "confidence": score} for score in (0.95, 0.6))
    assert len(CustomMiner().find_hard_negatives([sure], [])) == 1
    assert CustomMiner().find_hard_negatives([unsure], []) == []
    assert validate_with_hard_negative_mining(Detector(), loader(), CustomMiner())


def test_real_time_mining() -> None:
    from hnm_core.realtime import real_time_mining

    detector = Detector()

    def model(image: Any) -> list[Record]:
        with torch.no_grad():
            return convert_predictions(detector(image[None]))

    image, _ = Pictures()[IMAGES.index(HARD)]
    prediction, hard_negatives = real_time_mining(model, image, [TRUTH], HardNegativeMiner())
    assert len(prediction) == 2
    assert [f["prediction"] for f in hard_negatives] == [prediction[1]]
