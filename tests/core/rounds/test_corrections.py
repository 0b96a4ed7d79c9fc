import json

import pytest
from hypothesis import given, settings

from hnm_core import Detections, MiningSettings, mine
from hnm_core.reporting.html import correction_tables
from hnm_core.rounds import KINDS, compare_corrections, compare_rounds, find_corrections
from tests.scenes import FAR, HERE, apart, high, patient, scene, scenes

WORLD = {"images": "abcd", "classes": ["cat", "dog"]}


def by_hand():
    """Cats: a missing label, a bogus one, and a real false alarm that the new model drops. Dogs: nothing changes."""
    old = [
        ("a", "cat", 0.9, HERE),
        ("b", "cat", 0.8, FAR),  # on an object that nobody labelled
        ("c", "cat", 0.85, apart(1)),  # on nothing
        ("d", "dog", 0.9, HERE),
        ("d", "dog", 0.7, FAR),  # on nothing
    ]
    new = [*old[:2], *old[3:], ("a", "cat", 0.6, apart(3))]  # one alarm less, another one more
    labels = [("a", "cat", HERE), ("c", "cat", apart(2)), ("d", "dog", HERE)]
    corrected = [("a", "cat", HERE), ("b", "cat", FAR), ("d", "dog", HERE)]
    return mine(*scene(old, labels, **WORLD)), mine(*scene(new, corrected, **WORLD))


def test_the_parts_by_hand():
    found = compare_corrections(*by_hand(), resamples=20).as_dict()
    assert found["labels"] == {
        **{"before": 3, "after": 3, "unchanged": 2},
        **{"added": 1, "removed": 1, "moved": 0, "relabelled": 0},
    }
    assert found["classes"] == {"affected": ["cat"], "unaffected": ["dog"]}
    none = {"vanished": 0, "appeared": 0}
    cats, dogs = found["errors"]["affected"], found["errors"]["unaffected"]
    assert cats["false_positives"] == {
        **{"before": 2, "between": 1, "after": 1},
        **{"labels": {"vanished": 1, "appeared": 0}, "model": {"vanished": 1, "appeared": 1}},
    }
    assert cats["false_negatives"] == {
        **{"before": 1, "between": 0, "after": 0},
        **{"labels": {"vanished": 1, "appeared": 0}, "model": none},
    }
    assert dogs["false_positives"] == {"before": 1, "between": 1, "after": 1, "labels": none, "model": none}
    at = found["at_recall"]["affected"]
    assert at["recall"] == 0.5  # of two cats the old model finds one
    assert at["false_positives"] == {"before": 0, "between": 0, "after": 0}
    at = found["at_recall"]["all"]
    assert at["recall"] == 2 / 3
    assert at["false_positives"] == {"before": 0, "between": 0, "after": 0}
    assert json.loads(json.dumps(found)) == found


def test_false_positives_at_equal_recall_by_hand():
    old = [("a", "cat", 0.9, FAR), ("b", "cat", 0.8, apart(1)), ("c", "cat", 0.7, HERE)]
    labels, corrected = [("c", "cat", HERE)], [("a", "cat", FAR), ("c", "cat", HERE)]
    new = [("a", "cat", 0.9, FAR), ("c", "cat", 0.8, HERE), ("b", "cat", 0.7, apart(1))]
    gains = compare_corrections(mine(*scene(old, labels, **WORLD)), mine(*scene(new, corrected, **WORLD)))
    at = gains.as_dict()["at_recall"]["all"]
    assert at["recall"] == 1.0
    assert at["false_positives"] == {"before": 2, "between": 1, "after": 0}
    assert at["fppi"] == {"before": 0.5, "between": 0.25, "after": 0.0}
    assert [at[name]["change"] for name in ("labels", "model", "both")] == [-1, -1, -2]
    for name in ("labels", "model", "both"):
        low, high_end = at[name]["interval"]
        assert low <= at[name]["change"] <= high_end
    text = str(gains)
    assert "labels 1 → 2: 1 added, 0 removed, 0 moved, 0 relabelled" in text
    assert "false positives per image at recall 1.000: 0.500 → 0.250 → 0.000" in text
    assert "by the labels −1 (" in text
    assert "−50 %" in text
    rows = [line.split() for line in text.splitlines()]
    assert ["false", "positives", "2", "−1", "+0", "−0", "+0", "1"] in rows  # at .5 the last alarm is still there


@settings(patient, max_examples=30)
@given(scenes(), scenes())
def test_the_parts_add_up(first, second):
    world = {"images": [f"{i}.jpg" for i in range(3)], "classes": ["class 0", "class 1"]}
    before, after = (
        mine(
            *(Detections(t.image, t.xyxy, t.label, t.score, **world, crowd=t.crowd) for t in tables),
            MiningSettings(confidence_threshold=0.25),
        )
        for tables in (first, second)
    )
    found = compare_corrections(before, after, resamples=5).as_dict()
    for kind in KINDS:
        whole, *parts = (found["errors"][group][kind] for group in ("all", "affected", "unaffected"))
        for row in (whole, *parts):
            assert row["before"] - row["labels"]["vanished"] + row["labels"]["appeared"] == row["between"]
            assert row["between"] - row["model"]["vanished"] + row["model"]["appeared"] == row["after"]
        for stage in ("before", "between", "after"):
            assert whole[stage] == sum(part[stage] for part in parts)
        for step in ("labels", "model"):
            for count in ("vanished", "appeared"):
                assert whole[step][count] == sum(part[step][count] for part in parts)
        assert whole["before"] == getattr(before.report.counts, kind)
        assert whole["after"] == getattr(after.report.counts, kind)
    for at in filter(None, found["at_recall"].values()):
        counts = at["false_positives"]
        assert at["labels"]["change"] + at["model"]["change"] == at["both"]["change"]
        assert counts["before"] + at["both"]["change"] == counts["after"]
        assert counts["before"] + at["labels"]["change"] == counts["between"]


def test_the_same_model_leaves_everything_to_the_labels_and_the_same_labels_everything_to_the_model():
    before, after = by_hand()
    same_model = compare_corrections(before, mine(before.predictions, after.truth), resamples=5).as_dict()
    same_labels = compare_corrections(before, mine(after.predictions, before.truth), resamples=5)
    for kind in KINDS:
        assert same_model["errors"]["all"][kind]["model"] == {"vanished": 0, "appeared": 0}
        assert same_labels.as_dict()["errors"]["all"][kind]["labels"] == {"vanished": 0, "appeared": 0}
    changes = compare_rounds(before, mine(after.predictions, before.truth)).as_dict()["false_positives"]
    step = same_labels.as_dict()["errors"]["all"]["false_positives"]["model"]
    assert (step["vanished"], step["appeared"]) == (changes["fixed"], changes["new"])


def test_rounds_meet_by_name_over_the_images_that_both_have():
    before, after = by_hand()
    predictions, truth = (table.take(table.image < 3) for table in (after.predictions, after.truth))
    names = {"images": ("c", "b", "a"), "classes": ("dog", "fox", "cat")}
    turned = [
        Detections(2 - table.image, table.xyxy, 2 - 2 * table.label, table.score, **names)
        for table in (predictions, truth)
    ]
    found = compare_corrections(before, mine(*turned), resamples=5).as_dict()
    assert found["images"] == 3
    assert found["labels"]["added"] == found["labels"]["removed"] == 1
    assert found["errors"]["all"]["false_positives"]["before"] == 2
    with pytest.raises(ValueError, match="no image in common: the earlier one has 4, the later one 1"):
        compare_corrections(before, mine(*scene(images="z", classes=["cat"])))


def test_only_other_labels_are_told_of():
    before, after = by_hand()
    assert find_corrections(before, mine(after.predictions, before.truth)) is None
    assert find_corrections(before, mine(*scene(images="z"))) is None
    found = find_corrections(before, after, resamples=5)
    assert found is not None
    assert found.as_dict()["labels"]["added"] == 1
    moved = mine(before.predictions, scene([], [("a", "cat", high(9))], **WORLD)[1])
    assert find_corrections(before, moved, resamples=5).as_dict()["labels"]["moved"] == 1


def test_without_truths_there_is_no_recall():
    before, after = mine(*scene([("a", "cat", 0.9, HERE)], [])), mine(*scene([], [("a", "cat", HERE)]))
    found = compare_corrections(before, after, resamples=5)
    assert found.as_dict()["at_recall"]["all"] is None
    assert "no truths, so no recall" in str(found)


def test_the_page_shows_the_parts():
    labels, errors, level = correction_tables(compare_corrections(*by_hand(), resamples=20))
    assert labels == ("What the corrections bought: labels", [tuple(labels[1][0]), (3, 3, 2, 1, 1, 0, 0)])
    assert ("affected", "false positives", 2, "−1 +0", "−1 +1", 1) in errors[1]
    assert [row[0] for row in level[1]] == ["classes", "all", "affected", "unaffected"]
    assert level[1][1][1:3] == ("0.667", 0)
    assert level[1][1][-1] == 0
    assert level[1][1][3].startswith("+0 (")
