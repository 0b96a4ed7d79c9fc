"""A training on two processes: the first one mines, both draw by what it found, and no image is drawn by both."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("ultralytics", reason="Ultralytics trains")

from fiftyone_plugin.demo.dataset import WEIGHTS
from fiftyone_plugin.demo.digits import make_digits
from hnm_core.training.mining import Rounds

ONE_OF_TWO = """
import json, os, sys
rank, port, data, model, project = sys.argv[1:]
os.environ.update(RANK=rank, LOCAL_RANK=rank, WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=port)

import torch
from torch import distributed, nn

from hnm_core.training import HardNegativeTrainer

seen, gated = [], []


class OnProcessors(HardNegativeTrainer):  # Ultralytics trains together on GPUs alone: what it asks of them, undone

    def _setup_ddp(self):
        distributed.init_process_group("gloo", rank=int(rank), world_size=2)

    def _apply_weights(self, folder):
        super()._apply_weights(folder)
        seen.append(self.train_loader.sampler.weights.tolist())

    def preprocess_batch(self, batch):
        gated.append([self.epoch, len(batch["gates"])])
        return super().preprocess_batch(batch)

    def final_eval(self):
        pass


whole = nn.parallel.DistributedDataParallel
nn.parallel.DistributedDataParallel = lambda model, device_ids, **options: whole(model, **options)
torch.set_num_threads(1)
options = dict(epochs=2, imgsz=64, batch=8, nbs=8, device="cpu", plots=False, amp=False, val=False, exist_ok=True)
mining = {"mine_every": 1, "warmup": 1, "confidence_threshold": 0.1, "negative_gain": 3.0, "suspect_evidence": []}
trainer = OnProcessors(overrides=dict(model=model, data=data, project=project, name="run", mining=mining, **options))
trainer.world_size = 2
trainer.train()
sampler = trainer.train_loader.sampler
sampler.set_epoch(7)
gates = trainer.gates
rows = zip(gates.image, gates.xyxy.tolist(), gates.factor)
told = [[gates.images[image], *box, factor] for image, box, factor in rows]
print(json.dumps([seen, list(sampler), told, gated, trainer.model.module.criterion.bce.gain]))
"""


@pytest.mark.slow
def test_two_processes_train_on_what_the_first_one_mined(tmp_path: Path) -> None:
    splits = (("train", 0.8), ("val", 0.2))
    data = make_digits(tmp_path / "set", 30, seed=3, size=64, withheld=0, splits=splits)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    arguments = [port, str(data), str(WEIGHTS), str(tmp_path)]
    both = [
        subprocess.Popen(
            [sys.executable, "-c", ONE_OF_TWO, str(rank), *arguments],
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True},
        )
        for rank in (0, 1)
    ]
    said = [process.communicate(timeout=400) for process in both]
    assert [process.returncode for process in both] == [0, 0], said[0][1][-1500:] + said[1][1][-1500:]
    (first, ours, *rest), (second, theirs, *other) = (json.loads(out.splitlines()[-1]) for out, _ in said)
    assert first == second
    assert rest[0] == other[0]  # the gates: the second process has mined nothing
    assert min(row[-1] for row in rest[0]) < 0.5
    for gated, gain in (rest[1:], other[1:]):
        assert gain == 3.0
        assert {epoch: any(count for at, count in gated if at == epoch) for epoch in (0, 1)} == {0: False, 1: True}
    assert len(first) == 2
    assert max(first[-1]) > 1.0
    assert list(Rounds(tmp_path / "run" / "hard_negatives").folders()) == [1, 2]
    drawn = Counter(ours + theirs)
    assert len(ours) == len(theirs) == 12
    assert drawn.total() == 24
    assert set(drawn.values()) <= {1, 2}
