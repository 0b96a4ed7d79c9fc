"""Mine shards: the steps of :func:`hnm_core.mine`, each done by all shards, and what follows from their answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..boxes import refuse_mixed_units, unit_name
from ..counting import report_of_tally
from ..labels.belief import Belief
from ..labels.estimate import with_numbers
from ..labels.reviews import STATES, Reviews
from ..labels.strata import Strata
from ..labels.suspicion import believe
from ..pipeline import World
from ..report import MiningReport
from ..selection.choose import choose
from ..selection.hardest import CAP, CLASS, GROUP, IMAGE, HardestFirst, cap_of, left_out, number_groups, quotas_of
from ..settings import MAX_PER_GROUP, MiningSettings
from ..strategies import find_strategy
from ..strategies.learnability import check_second
from ..weighting.class_factors import class_factors_of
from ..weighting.effect import weighting_of
from ..weighting.exact import as_floats
from ..weighting.images import Images
from ..weighting.pooling import ImageScores
from . import selecting, steps
from .fact import Fact, fact_of
from .result import ShardedResult
from .shard import Engine

__all__ = ["mine_shards"]

Progress = Callable[[float, str], None]

NAMED = {"classes": "classes", "kinds": "kinds of evidence"}
"""What all shards have in common, in words."""


def mine_shards(
    engine: Engine,
    settings: MiningSettings | None = None,
    *,
    max_per_group: int = 0,
    reviews: Reviews | None = None,
    compared: bool = False,
    progress: Progress | None = None,
) -> ShardedResult:
    """Mine the shards of an engine: what :func:`hnm_core.mine` gives for all images at once, to the bit.

    What grows with the images here are a few numbers for each; what grows with their boxes stays with the engine. A
    strategy of your own is called per shard: it must judge each image alone.

    Args:
        engine: walks the shards.
        settings: None for the defaults.
        max_per_group: mine at most this many objects of a group of images, the hardest; 0 is no limit.
        reviews: reviews of mistakes, see :func:`hnm_core.mine`.
        compared: whether the engine keeps what the result needs to be compared when the shards are gone.
        progress: told the share done and what is being done, see :mod:`hnm_core.io.progress`.

    Raises:
        ValueError: if shards differ in classes or kinds of evidence, two of them have the same image, or what
            :func:`hnm_core.mine` refuses.
    """
    settings = settings or MiningSettings()
    find_strategy(settings.strategy)  # fail early
    check_second(settings.strategy, given=False)
    max_per_group = MAX_PER_GROUP.check(max_per_group)
    whole = _examine(engine, settings, reviews, compared, progress)
    images = whole.images
    cap = cap_of(int(whole.numbers[1]), int(whole.numbers[2]), settings)
    notes = _select(engine, whole, settings, max_per_group, cap)

    def ask(name: str, *args: Any, each: Sequence[Any] | None = None) -> list[Any]:
        own = [None] * len(engine) if each is None else each
        return list(engine.ask(steps.ask_part, name, args, each=own))

    belief, strata, places = believe(ask, whole.kinds)
    answers = engine.tell(steps.score_images, belief, strata, settings, each=places)
    *per_image, states, expected = zip(*answers, strict=True)
    scores, alarm_scores, missed_scores, hard_counts = map(np.concatenate, per_image)
    del per_image  # the same numbers again
    if settings.repeat_threshold > 0:
        factor = class_factors_of(whole.class_images, len(images), settings.repeat_threshold)
        factors = np.concatenate(list(engine.ask(steps.class_factors, factor)))
        images = replace(images, class_factors=factors)
    weighed = images.weigh(ImageScores(scores, alarm_scores, missed_scores), settings)

    columns = zip(*map(whole.split, (weighed.weights, weighed.alarm_extra, weighed.score_extra)), strict=True)
    counted = engine.ask(steps.count, whole.classes, each=list(columns))
    tally, effect = reduce(lambda a, b: (a[0] + b[0], tuple(x + y for x, y in zip(a[1], b[1], strict=True))), counted)
    report = report_of_tally(
        tally,
        whole.classes,
        images=len(images),
        candidates=int(whole.numbers[3]),
        cap=cap,
        suspicion_used=settings.use_suspicion,
        notes=notes,
    )
    report = replace(report, expected_label_errors=float(as_floats(np.sum(np.stack(expected), axis=0))[0]))
    if reviews is not None or whole.kinds:
        report = _with_reviews(report, belief, strata, np.sum(np.stack(states), axis=0).tolist())
    weighting = weighting_of(effect, images, weighed)
    return ShardedResult(
        settings=settings,
        classes=whole.classes,
        names=whole.names,
        image_scores=scores,
        weights=weighed.weights,
        repeats=weighed.repeats,
        hard_images=weighed.hard,
        hard_counts=hard_counts,
        report=replace(report, weighting=weighting, notes=report.notes + weighed.notes),
        starts=whole.starts,
        place=whole.images.place,
        max_per_group=max_per_group,
        reviews=reviews,
        reviewed_rows=int(whole.numbers[4]),
        kinds=whole.kinds,
        unit=unit_name(fractions=whole.fractions),
        engine=engine,
    )


@dataclass(frozen=True, eq=False)
class Whole:
    """What the shards say together: their sums, and a few numbers for every image, in the order of the shards."""

    names: NDArray[np.bytes_]
    images: Images
    groups: NDArray[np.int64] | None
    starts: NDArray[np.int64]
    classes: tuple[str, ...]
    kinds: tuple[str, ...]
    numbers: NDArray[np.int64]
    class_images: NDArray[np.int64]
    fractions: bool

    def split(self, column: NDArray[Any]) -> list[NDArray[Any]]:
        """Split a column of all images by shard."""
        return np.split(column, self.starts[1:-1])


def _examine(
    engine: Engine, settings: MiningSettings, reviews: Reviews | None, compared: bool, progress: Progress | None
) -> Whole:
    """Examine all shards; again those that took something for granted which the others contradict."""
    asked = settings, reviews, compared
    facts = _facts(engine, asked, progress)
    _check_same(facts)
    world = reduce(World.plus, (fact.own for fact in facts))
    again = [i for i, fact in enumerate(facts) if fact.world != world]
    if again:
        once_more = engine.start(steps.start, *asked, each=[world] * len(again), only=again)
        for i, fact in zip(again, once_more, strict=True):
            facts[i] = fact
    units = [fact.units for fact in facts]
    if all(both is not None for both in units):  # no box overlaps another
        sides = zip(*(both for both in units if both is not None), strict=True)
        refuse_mixed_units(*(reduce(lambda a, b: a.plus(b), side) for side in sides))

    names = np.concatenate([fact.names for fact in facts])
    images = Images(names, np.concatenate([fact.background for fact in facts]), classes=facts[0].classes)
    ordered = names[images.by_key]
    twice = np.flatnonzero(ordered[1:] == ordered[:-1])
    if len(twice):
        raise ValueError(
            f"{len(twice)} images are in more than one shard, first {ordered[twice[0]].decode('utf-8', 'replace')!r}: "
            "an image and all its boxes belong to one shard"
        )
    groups = None
    if all(fact.groups is not None for fact in facts):
        groups = number_groups([key for fact in facts for key in fact.groups or ()], len(names))
    return Whole(
        names=names,
        images=images,
        groups=groups,
        starts=np.cumsum([0, *(len(fact.names) for fact in facts)]),
        classes=facts[0].classes,
        kinds=facts[0].kinds,
        numbers=np.sum([fact.numbers for fact in facts], axis=0),
        class_images=np.sum([fact.class_images for fact in facts], axis=0),
        fractions=world.fractions,
    )


def _facts(engine: Engine, asked: tuple[Any, ...], progress: Progress | None) -> list[Fact]:
    """Examine the shards, but not those that an engine has kept of an interrupted mining."""
    kept = set(getattr(engine, "kept", list)())
    facts: list[Fact | None] = [None] * len(engine)
    if kept:
        facts = [fact if i in kept else None for i, fact in enumerate(engine.ask(fact_of))]
    missing = [i for i, fact in enumerate(facts) if fact is None]
    answers = engine.start(steps.start, *asked, each=[None] * len(missing), only=missing)
    for done, (i, fact) in enumerate(zip(missing, answers, strict=True), len(engine) - len(missing) + 1):
        facts[i] = fact
        if progress is not None:
            progress(done / len(engine), f"mining shards: {done:,} of {len(engine):,}")
    return [fact for fact in facts if fact is not None]


def _check_same(facts: Sequence[Fact]) -> None:
    for i, fact in enumerate(facts):
        for what in ("classes", "kinds"):
            ours, first = getattr(fact, what), getattr(facts[0], what)
            if ours != first:
                raise ValueError(
                    f"shard {i} has other {NAMED[what]} than shard 0: {', '.join(ours[:5]) or 'none'} against "
                    f"{', '.join(first[:5]) or 'none'}. All shards need the same ones in the same order"
                )


def _select(engine: Engine, whole: Whole, settings: MiningSettings, max_per_group: int, cap: int) -> tuple[str, ...]:
    """Select the mined rows within quotas and cap; return a sentence for every quota that took effect."""
    if max_per_group and whole.groups is None:
        raise ValueError("max_per_group needs the groups of the images: give every shard its groups")
    groups = [None] * len(engine) if whole.groups is None else whole.split(whole.groups)
    list(engine.tell(selecting.keep_images, each=list(zip(whole.split(whole.images.place), groups, strict=True))))
    number = {CAP: 1, CLASS: len(whole.classes), GROUP: int(max(map(_most, groups), default=0)) + 1}
    notes: list[str] = []
    for what, quota in quotas_of(settings, max_per_group, cap):
        if what == IMAGE:
            dropped = sum(engine.tell(selecting.keep_within, what, quota))
        else:

            def ask(name: str, *args: Any, what: str = what) -> list[Any]:
                return list(engine.ask(selecting.ask_ranked, what, name, args))

            found = choose(ask, quota, number[what], HardestFirst.depth)
            dropped = 0 if found is None else sum(engine.tell(selecting.keep_chosen, what, found[0], each=found[1]))
        notes += left_out(dropped, what, quota) if dropped else []
    return tuple(notes)


def _most(group: NDArray[np.int64] | None) -> int:
    return 0 if group is None else int(group.max(initial=0))


def _with_reviews(report: MiningReport, belief: Belief, strata: Strata, states: list[int]) -> MiningReport:
    reviewed = {STATES[code]: states[code] for code in range(1, len(STATES)) if states[code]}
    evidence = dict(zip(belief.names, belief.weights.tolist(), strict=True))
    return with_numbers(report, strata.expected(), int(strata.review_count.sum()), reviewed, evidence)
