"""What people said, kept by box: read, replaced, withdrawn, and inherited by later boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hnm_core import Detections
from hnm_core.boxes import overlapping
from hnm_core.labels.inheritance import inherit_answers, inherit_reviews
from hnm_core.labels.reviews import STATES, Reviews, state_codes
from tests.scenes import FAR, HERE, apart, high, scene


def said(state: str, box: tuple[float, ...] = HERE, **other: Any) -> dict[str, Any]:
    return {"image": "a", "side": "prediction", "class": "cat", "bbox": list(box), "state": state, **other}


def states_after(entries: list[dict[str, Any]], *boxes: tuple[float, ...]) -> list[str]:
    """The states of cats predicted in image ``a``."""
    tables = scene([("a", "cat", 0.9, box) for box in boxes])
    return [STATES[code] for code in inherit_reviews(Reviews.of(entries), *tables)[0]]


def test_entries_survive_a_round_trip_whatever_else_they_hold() -> None:
    entries = [said("ignore"), said("wrong_label", FAR, image="b", **{"class": "dog"}, side="truth")]
    reviews = Reviews.of([{**entry, "who": "Ada", "when": "today"} for entry in entries])
    assert reviews.as_entries() == entries
    assert Reviews.of(reviews.as_entries()).as_entries() == entries
    assert len(Reviews.of([])) == 0


def test_an_exception_stays_unreviewed_and_remembers_what_does_not_fit() -> None:
    entries = [said("unreviewed", refused="missing_label"), said("ignore", FAR)]
    reviews = Reviews.of(entries)
    assert reviews.as_entries() == entries
    predictions, truth = scene([("a", "cat", 0.9, HERE), ("a", "cat", 0.9, FAR), ("b", "cat", 0.9, HERE)])
    assert inherit_reviews(reviews, predictions, truth)[0].tolist() == [0, 4, 0]
    assert inherit_answers(reviews, predictions, truth)[0].tolist() == [-STATES.index("missing_label"), 4, 0]
    assert Reviews.of([*entries, said("unreviewed")]).as_entries()[-1] == said("unreviewed"), "taken back"


def test_a_later_entry_on_the_same_box_replaces_an_earlier_one() -> None:
    assert states_after([said("ignore"), said("missing_label")], HERE) == ["missing_label"]
    assert states_after([said("ignore"), said("unreviewed")], HERE) == ["unreviewed"]


def test_a_withdrawal_wins_over_an_older_review_of_a_similar_box() -> None:
    assert states_after([said("ignore", high(8))], HERE) == ["ignore"]
    assert states_after([said("ignore", high(8)), said("unreviewed", HERE)], HERE) == ["unreviewed"]


@pytest.mark.parametrize(
    ("entries", "boxes", "expected"),
    [
        ([said("ignore")], [high(5)], ["ignore"]),  # IoU .5: just the same box
        ([said("ignore")], [high(4.9)], ["unreviewed"]),  # just another
        ([said("ignore")], [high(6), high(9)], ["unreviewed", "ignore"]),  # one to one, the closer one
        ([said("ignore"), said("hard_negative", high(8))], [high(9), high(8)], ["ignore", "hard_negative"]),
        ([said("ignore", high(8)), said("wrong_label", (0, 2, 10, 10))], [HERE], ["wrong_label"]),  # a tie: the newer
        ([said("ignore", (5, 5, 5, 9))], [(5, 5, 5, 9)], ["ignore"]),  # no area, found again
        ([said("ignore", **{"class": "dog"})], [HERE], ["unreviewed"]),
        ([said("ignore", image="b")], [HERE], ["unreviewed"]),
        ([said("ignore", side="truth")], [HERE], ["unreviewed"]),
        ([], [HERE], ["unreviewed"]),
        ([said("ignore")], [], []),
    ],
)
def test_a_box_inherits(entries: list[dict[str, Any]], boxes: list[tuple[float, ...]], expected: list[str]) -> None:
    assert states_after(entries, *boxes) == expected


def test_a_truth_inherits_what_was_said_of_a_truth() -> None:
    tables = scene([("a", "cat", 0.9, HERE)], [("a", "cat", HERE)])
    found, truth = inherit_reviews(Reviews.of([said("wrong_label", side="truth")]), *tables)
    assert (found.tolist(), [STATES[code] for code in truth]) == ([0], ["wrong_label"])


@pytest.mark.parametrize("seed", range(20))
def test_it_is_the_greedy_matching_that_one_would_write_down(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def boxes(n: int) -> np.ndarray:
        corner = rng.integers(0, 6, (n, 2))
        return np.concatenate([corner, corner + rng.integers(4, 8, (n, 2))], axis=1).astype(float)

    n, k = 40, 30
    world = {"images": ["a", "b"], "classes": ["cat", "dog"]}
    table = Detections(rng.integers(0, 2, n), boxes(n), rng.integers(0, 2, n), rng.random(n), **world)
    of = [
        (int(i), int(c), box) for i, c, box in zip(rng.integers(0, 2, k), rng.integers(0, 2, k), boxes(k), strict=True)
    ]
    entries = [
        said(str(rng.choice(STATES[1:6])), tuple(box), image=world["images"][i], **{"class": world["classes"][c]})
        for i, c, box in of
    ]
    reviews = Reviews.of(entries)
    pairs = []
    for r in range(len(reviews)):
        for row in range(n):
            same = reviews.images[reviews.image[r]] == table.images[table.image[row]]
            same &= reviews.classes[reviews.label[r]] == table.classes[table.label[row]]
            _, _, iou = overlapping(table.xyxy, reviews.xyxy, np.array([row]), np.array([r]))
            if same and iou.size and iou[0] >= 0.5:
                pairs.append((-iou[0], -r, -table.score[row], row, r))
    expected, used = np.zeros(n, dtype=int), set()
    for *_, row, r in sorted(pairs):
        if not {("row", row), ("review", r)} & used:
            used |= {("row", row), ("review", r)}
            expected[row] = reviews.state[r]
    assert len(pairs) > 10
    assert inherit_reviews(reviews, table, Detections.empty(**world))[0].tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"image": "a"}, "review 0 has no side, class, bbox, state; an entry needs image, side, class, bbox, state"),
        (said("doubtful"), "review 0 has state 'doubtful', expected one of unreviewed, hard_negative"),
        (said("ignore", side="both"), "review 0 has side 'both', expected one of prediction, truth"),
        (said("ignore", (5, 5, 1, 9)), "review 0 has bbox [5, 5, 1, 9], expected [x0, y0, x1, y1] with x0 ≤ x1"),
        (said("ignore", (1, 2)), "review 0 has bbox [1, 2], expected"),
        (said("ignore", bbox="box"), "review 0 has bbox 'box', expected"),
        (said("ignore", (0, 0, float("nan"), 1)), "review 0 has bbox"),
        (said("ignore", refused="wrong_box"), "review 0 is 'ignore' and has refused 'wrong_box': only what is left"),
        (
            said("unreviewed", refused="no"),
            "review 0 is 'unreviewed' and has refused 'no': only what",
        ),
        ("ignore", "review 0 has no image, side, class, bbox, state"),
    ],
)
def test_what_is_no_review_is_refused(entry: Any, text: str) -> None:
    with pytest.raises(ValueError, match="review 0") as caught:
        Reviews.of([entry])
    assert text in str(caught.value)


def test_states_are_names_or_numbers() -> None:
    assert state_codes(["", *STATES]).tolist() == [0, *range(7)]
    assert state_codes(np.array(["ignore"])).tolist() == [4]
    assert state_codes([]).tolist() == []
    with pytest.raises(ValueError, match="no such review state: 'maybe'; states are unreviewed, "):
        state_codes(["ignore", "maybe"])
    with pytest.raises(ValueError, match="numbers from 0 to 6"):
        state_codes(np.array([7, -1]))


def test_a_hundred_thousand_reviews_find_their_boxes_among_a_million() -> None:
    rng = np.random.default_rng(0)
    n, images = 1_000_000, 100_000
    corner = rng.random((n, 2)) * 100
    image, label = rng.integers(0, images, n), rng.integers(0, 10, n)
    world = {"images": [f"{i}.jpg" for i in range(images)], "classes": list("abcdefghij")}
    table = Detections(image, np.concatenate([corner, corner + 10], axis=1), label, rng.random(n), **world)
    rows = rng.permutation(n)[:100_000]
    state = rng.integers(1, 5, len(rows)).astype(np.int8)
    of_truth = np.zeros(len(rows), dtype=bool)
    reviews = Reviews(image[rows], table.xyxy[rows] + 1e-3, label[rows], of_truth, state, table.images, table.classes)
    found, _ = inherit_reviews(reviews, table, Detections.empty(**world))  # in steps of pairs it would take hours
    assert (found[rows] == state).mean() > 0.999  # twins on the same spot apart
    assert (found > 0).sum() == len(rows)


def test_far_apart_boxes_do_not_disturb_each_other() -> None:
    boxes = [apart(i) for i in range(50)]
    entries = [said(STATES[1 + i % 4], box) for i, box in enumerate(boxes)]
    assert states_after(entries, *boxes[::-1]) == [STATES[1 + i % 4] for i in range(50)][::-1]


def test_the_label_of_a_truth_cannot_be_missing() -> None:
    entry = {"image": "a", "side": "truth", "class": "cat", "bbox": [0, 0, 9, 9], "state": "missing_label"}
    with pytest.raises(
        ValueError, match="review 0 is missing_label on a truth: a truth has its label: say wrong_label"
    ):
        Reviews.of([entry])


def test_only_a_label_can_stand_on_nothing() -> None:
    entry = {"image": "a", "side": "prediction", "class": "cat", "bbox": [0, 0, 9, 9], "state": "bogus_label"}
    with pytest.raises(ValueError, match="review 0 is bogus_label on a prediction: a prediction is no label"):
        Reviews.of([entry])
    assert len(Reviews.of([entry | {"side": "truth"}])) == 1
