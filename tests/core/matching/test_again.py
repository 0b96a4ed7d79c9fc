"""Matching only what changed gives the matches of matching everything, bit for bit."""

from dataclasses import fields, replace

import numpy as np
import pytest

from hnm_core import Detections, MiningSettings, match_detections
from hnm_core.matching import Matches
from hnm_core.matching import again as module
from hnm_core.matching.again import match_again
from tests.scenes import random_scene


def changed(tables, images, rng):
    """The tables with boxes added, removed, moved and relabelled in some images, and the earlier row of each row."""
    new, rows = [], []
    for table in tables:
        touched = np.isin(table.image, images)
        kept = np.flatnonzero(~touched | (rng.random(len(table)) < 0.7))
        table = table.take(kept)
        here = np.isin(table.image, images)
        table.xyxy[here] += rng.integers(0, 2, (int(here.sum()), 1))
        table.label[here] = rng.integers(0, 2, int(here.sum()))
        more = [
            np.concatenate([getattr(table, name), getattr(table, name)[here]]) for name in ("image", "xyxy", "label")
        ]
        score = None if table.score is None else np.concatenate([table.score, rng.random(int(here.sum()))])
        crowd = None if table.crowd is None else np.concatenate([table.crowd, table.crowd[here]])
        order = np.argsort(more[0], kind="stable")
        both = Detections(*more, score, table.images, table.classes, crowd=crowd).take(order)
        known = np.concatenate([np.where(here, -1, kept), np.full(int(here.sum()), -1)])[order]
        new.append(both)
        rows.append(known)
    return new, tuple(rows)


@pytest.mark.parametrize("seed", range(12))
def test_it_is_the_same_to_the_bit(seed):
    rng = np.random.default_rng(seed)
    tables = random_scene(seed, images=12, levels=3)
    settings = MiningSettings(class_agnostic=bool(seed % 2))
    before = match_detections(*tables, settings)
    new, rows = changed(tables, rng.choice(12, seed % 5, replace=False), rng)
    ours, theirs = match_again(*new, settings, before, rows), match_detections(*new, settings)
    for name in (each.name for each in fields(Matches)):
        one, other = getattr(ours, name), getattr(theirs, name)
        assert (one.dtype, one.tobytes()) == (other.dtype, other.tobytes()), name


def test_only_what_changed_is_matched(monkeypatch):
    tables, seen = random_scene(3, images=12), []
    before = match_detections(*tables)

    def watched(predictions, truth, settings):
        seen.append(set(predictions.image.tolist()) | set(truth.image.tolist()))
        return match_detections(predictions, truth, settings)

    monkeypatch.setattr(module, "match_detections", watched)
    known = tuple(np.where(table.image == 4, -1, np.arange(len(table))) for table in tables)
    match_again(*tables, MiningSettings(), before, known)
    assert seen == [{4}]


def test_where_an_image_depends_on_others_everything_is_matched():
    predictions, truth = random_scene(7, images=12)
    known = tuple(np.arange(len(table)) for table in (predictions, truth))
    empty = Matches.none(len(predictions), len(truth))
    whole = match_detections(predictions, replace(truth, verified=[[0, 0]]))
    ours = match_again(predictions, replace(truth, verified=[[0, 0]]), MiningSettings(), empty, known)
    assert ours.reason.tolist() == whole.reason.tolist()
    assert whole.reason.any()
    neutral = MiningSettings(neutral={"class 0": ["class 1"]})
    ours = match_again(predictions, truth, neutral, empty, known)
    assert (
        ours.matched.tolist()
        == match_detections(predictions, truth, neutral).matched.tolist()
        != empty.matched.tolist()
    )
