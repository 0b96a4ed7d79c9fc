"""Lightning and accelerate themselves, on two processes: all draws arrive, wherever the loader is built."""

from __future__ import annotations

import json
import os
import socket
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the sampler is torch's")

from torch.utils.data import DataLoader  # noqa: E402

from hnm_core.training import WeightedSampler, weighted_loader  # noqa: E402

pytestmark = pytest.mark.slow

WEIGHTS = np.concatenate([np.full(20, 2.0), np.ones(80)])


def _loader(around: bool) -> Any:
    images = torch.arange(100)
    if around:
        return weighted_loader(DataLoader(images, batch_size=4), WEIGHTS)
    return DataLoader(images, batch_size=4, sampler=WeightedSampler(WEIGHTS))


def _with_accelerate(before: dict[bool, Any]) -> dict[str, Any]:
    from accelerate import Accelerator, DataLoaderConfiguration

    drawn = {}
    for dispatch in (None, True):
        accelerator = Accelerator(cpu=True, dataloader_config=DataLoaderConfiguration(dispatch_batches=dispatch))
        for around in (False, True):
            for where in ("before", "within", "not prepared"):
                loader = before[around] if where == "before" and dispatch is None else _loader(around)
                if where != "not prepared":
                    loader = accelerator.prepare(loader)
                name = f"{around} {where} dispatch {dispatch}"
                drawn[name] = [[int(i) for batch in loader for i in batch] for _ in range(2)]
    return drawn


def _with_lightning(before: dict[bool, Any]) -> dict[str, Any]:
    import lightning

    class Model(lightning.LightningModule):  # type: ignore[misc]
        def __init__(self, around: bool) -> None:
            super().__init__()
            self.around = around
            self.weight = torch.nn.Parameter(torch.zeros(1))
            self.drawn: list[list[int]] = []

        def on_train_epoch_start(self) -> None:
            self.drawn.append([])

        def training_step(self, batch: Any, _: int) -> Any:
            self.drawn[-1] += batch.tolist()
            return (self.weight * batch.float().mean()).sum()

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.0)

        def train_dataloader(self) -> Any:
            return _loader(self.around)

    drawn = {}
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    for around in (False, True):
        for where in ("before", "within"):
            model = Model(around)
            trainer = lightning.Trainer(
                accelerator="cpu", devices=2, strategy="ddp", max_epochs=2, enable_model_summary=False, **quiet
            )
            trainer.fit(model, before[around] if where == "before" else None)
            drawn[f"{around} {where}"] = model.drawn
    return drawn


def _process(rank: int, port: int, folder: str, train: Callable[[dict[bool, Any]], dict[str, Any]]) -> None:
    """One process of two, as torchrun starts them."""
    places = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
    os.environ.update({name: str(value) for name, value in places.items()})
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), TORCHELASTIC_RUN_ID="test")
    before = {around: _loader(around) for around in (False, True)}
    drawn = train(before)
    Path(folder, f"{rank}.json").write_text(json.dumps(drawn))
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize(
    ("library", "train"),
    [("lightning", _with_lightning), ("accelerate", _with_accelerate)],
    ids=["lightning", "accelerate"],
)
def test_all_promised_draws_arrive_on_two_processes(
    library: str, train: Callable[[dict[bool, Any]], dict[str, Any]], tmp_path: Path
) -> None:
    pytest.importorskip(library, reason=f"{library} is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(_process, (port, str(tmp_path), train), nprocs=2)
    one, other = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert one
    assert one.keys() == other.keys()
    for name in one:
        for epoch in (0, 1):
            counts = Counter(one[name][epoch] + other[name][epoch])
            assert [counts[image] for image in range(100)] == pytest.approx(WEIGHTS, abs=0), name
