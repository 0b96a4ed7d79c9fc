"""From an export to steps of an optimiser: the hard image is drawn as often as promised, and the model learns."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the models are torch's")
pytest.importorskip("transformers", reason="the DETR is that of transformers")
pytest.importorskip("torchvision", reason="its loader reads COCO json")
pytest.importorskip("pycocotools", reason="COCO json is read with it")

from hnm_core.export import ExportSettings, export_weighted  # noqa: E402
from hnm_core.training import weighted_loader  # noqa: E402
from tests.exports import CLASSES, TRUTH, entries, photographs  # noqa: E402

pytestmark = pytest.mark.slow

SIDE = 64
Item = tuple[int, Any, dict[str, Any]]
"""Image id, pixels of shape (3, SIDE, SIDE), and labels as DETR takes them: classes, and centre, width, height in 1."""


def tiny_detr() -> Any:
    """A DETR of some thousand weights, all of them random: nothing is downloaded."""
    from transformers import DetrConfig, DetrForObjectDetection, ResNetConfig

    torch.manual_seed(0)
    sizes = [8, 8, 8, 8]
    backbone = ResNetConfig(embedding_size=8, hidden_sizes=sizes, depths=[1] * 4, out_features=["stage4"])
    layers = {f"{part}_{what}": size for part in ("encoder", "decoder") for what, size in
              (("layers", 1), ("ffn_dim", 16), ("attention_heads", 2))}  # fmt: skip
    return DetrForObjectDetection(
        DetrConfig(backbone_config=backbone, d_model=16, num_queries=6, num_labels=len(CLASSES), **layers)
    )


def _item(key: int, picture: Any, xyxy: Any, classes: Any) -> Item:
    width, height = picture.size
    pixels = torch.from_numpy(np.asarray(picture.resize((SIDE, SIDE)))).permute(2, 0, 1) / 255
    xyxy = torch.as_tensor(xyxy, dtype=torch.float32).reshape(-1, 4) / torch.tensor([width, height] * 2)
    boxes = torch.cat([(xyxy[:, :2] + xyxy[:, 2:]) / 2, xyxy[:, 2:] - xyxy[:, :2]], dim=1)
    return key, pixels, {"class_labels": torch.as_tensor(classes, dtype=torch.int64).reshape(-1), "boxes": boxes}


class _Items(torch.utils.data.Dataset):  # type: ignore[misc]
    """A trainer's own data set, with each of its targets as `_item` takes it."""

    def __init__(self, dataset: Any, of_target: Callable[[Any], tuple[Any, Any]]) -> None:
        self.dataset, self.of_target = dataset, of_target

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, at: int) -> Item:
        picture, target = self.dataset[at]
        return _item(self.dataset.ids[at], picture, *self.of_target(target))


def _of_rows(rows: list[dict[str, Any]]) -> tuple[Any, Any]:
    boxes = [[x, y, x + w, y + h] for x, y, w, h in (row["bbox"] for row in rows)]
    return boxes, [row["category_id"] for row in rows]


def _torchvision(root: Path, file: Path) -> Any:
    return _Items(import_module("torchvision.datasets").CocoDetection(str(root), str(file)), _of_rows)


def _dfine(root: Path, file: Path) -> Any:
    pytest.importorskip("dfine", reason="D-FINE's own loader")
    dataset = import_module("dfine.train.dataset").CocoDetection(str(root), str(file))
    return _Items(dataset, lambda target: (target["boxes"], target["labels"]))


def _rfdetr(root: Path, file: Path) -> Any:
    pytest.importorskip("rfdetr", reason="RF-DETR's own loader")
    kind = import_module("rfdetr.datasets.coco").CocoDetection
    dataset = kind(root, file, transforms=None, remap_category_ids=True)
    return _Items(dataset, lambda target: (target["boxes"], target["labels"]))


def _collate(items: list[Item]) -> tuple[list[int], Any, list[dict[str, Any]]]:
    keys, pixels, labels = zip(*items, strict=True)
    return list(keys), torch.stack(pixels), list(labels)


def _loader(dataset: Any) -> Any:
    return torch.utils.data.DataLoader(dataset, batch_size=2, shuffle=True, collate_fn=_collate)


def _learn(model: Any, batches: Iterable[Any], optimiser: Any, backward: Callable[[Any], None]) -> list[int]:
    """One epoch; the ids of the images drawn."""
    drawn = []
    for keys, pixels, labels in batches:
        loss = model(pixel_values=pixels, labels=labels).loss
        assert torch.isfinite(loss)
        optimiser.zero_grad()
        backward(loss)
        optimiser.step()
        drawn += keys
    return drawn


def _plainly(model: Any, loader: Any) -> list[int]:
    return _learn(model, loader, torch.optim.SGD(model.parameters(), 0.01), lambda loss: loss.backward())


def _with_accelerate(model: Any, loader: Any) -> list[int]:
    pytest.importorskip("accelerate", reason="accelerate is not installed")
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    prepared = accelerator.prepare(model, torch.optim.SGD(model.parameters(), 0.01), loader)
    return _learn(prepared[0], prepared[2], prepared[1], accelerator.backward)


def _with_lightning(model: Any, loader: Any) -> list[int]:
    lightning = pytest.importorskip("lightning", reason="lightning is not installed")
    drawn: list[int] = []

    class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def training_step(self, batch: Any, _: int) -> Any:
            keys, pixels, labels = batch
            drawn.extend(keys)
            return self.model(pixel_values=pixels, labels=labels).loss

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.01)

    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    lightning.Trainer(accelerator="cpu", devices=1, max_epochs=1, **quiet).fit(Module(), loader)
    return drawn


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("train", [_plainly, _with_accelerate, _with_lightning])
@pytest.mark.parametrize(
    ("layout", "first", "read"),
    [("coco", 0, _torchvision), ("coco", 0, _dfine), ("rfdetr", 1, _rfdetr), ("torch", 0, _torchvision)],
    ids=["transformers", "dfine", "rfdetr", "torch"],
)
def test_steps_of_a_detr_draw_the_hard_image_as_promised(
    tmp_path: Path, layout: str, first: int, read: Callable[[Path, Path], Any], train: Callable[[Any, Any], list[int]]
) -> None:
    settings = ExportSettings(layout=layout, first_category_id=first)
    images = entries(photographs(tmp_path / "originals"))
    export_weighted(tmp_path / "out", images, TRUTH, report={}, run_key="one", settings=settings)
    root = tmp_path / "out" / ("train" if layout == "rfdetr" else "")
    file = root / ("_annotations.coco.json" if layout == "rfdetr" else "annotations/train.json")
    listed = json.loads(file.read_text())["images"]
    loader = _loader(read(root, file))
    if layout == "torch":  # the others list an image as often as it is drawn
        loader = weighted_loader(loader, [image["weight"] for image in listed])
    model = tiny_detr()
    before = {name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad}
    names = {image["id"]: Path(image["file_name"]).stem for image in listed}
    drawn = Counter(names[key] for key in train(model, loader))
    assert drawn.pop("street") == 2
    assert sum(drawn.values()) == 2
    assert drawn.keys() == {"field", "yard"}
    moved = [
        name for name, value in model.named_parameters() if name in before and not torch.equal(value, before[name])
    ]
    assert any("class_labels_classifier" in name for name in moved)
    assert any("bbox_predictor" in name for name in moved)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_numbers_from_one_are_learned_as_no_object(tmp_path: Path) -> None:
    """Why DETR needs numbers from 0: of two classes the second would be 2, its number of "no object"."""
    images = entries(photographs(tmp_path / "originals"))
    losses = []
    for first in (0, 1):
        settings = ExportSettings(layout="coco", first_category_id=first)
        out = tmp_path / str(first)
        export_weighted(out, images, TRUTH, report={}, run_key="one", settings=settings)
        _, pixels, labels = _collate([_torchvision(out, out / "annotations" / "train.json")[0]])
        assert labels[0]["class_labels"].tolist() == [first, first + 1]
        losses.append(tiny_detr()(pixel_values=pixels, labels=labels).loss)
    assert tiny_detr().config.num_labels == 2
    assert torch.isfinite(torch.stack(losses)).all()  # no error tells
