"""The report: its numbers, its dict, its text, and that reports add up."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hnm_core import MiningReport, MiningSettings, mine
from hnm_core.report import Counts, Weighting, ratio, rules
from tests.scenes import HERE, everything_at_once, high, patient, random_scene, scene

HALF = MiningSettings(hard_negative_ratio=0.5)

TEXT = """\
Hard-negative mining
  images                      10
  predictions                  9  7 confident, 1 ignored
  false positives              5  0.50 per image
  false negatives              6  75.0 % of the truths missed
  true positives               2
  hard negatives               7  11 candidates, cap 7, 4 left out

  precision               28.6 %
  recall                  25.0 %
  false-alarm rate        71.4 %  of confident predictions

  error             false pos.  false neg.   mined
  localization               1           1       1
  classification             1           1       1
  duplicate                  1           0       1
  background                 1           0       1
  both                       1           0       1
  missed                     0           4       2
  confused classes: cat taken for dog 1

  Of the 7 hard negatives about 2 are expected to be label errors: a prior
  by error type, not reviewed yet. Suspicion lowers their weight until then.

  hard images                  3  30.0 %
  mean weight              1.200
  effective sample         92.6%  90.0% of repeats
  extra weight by error: both 39%, classification 33%, localization 17%,
  misses 11%
  note: 1 truth is a crowd: predictions on it are ignored (1 confident
  prediction)"""


def test_the_text() -> None:
    assert str(mine(*everything_at_once(), HALF).report) == TEXT


def test_where_there_is_nothing_to_divide_by_text_has_a_dash_and_numbers_are_zero() -> None:
    report = mine(*scene()).report
    lines = str(report).splitlines()
    for line in (
        "  false positives              0  – per image",
        "  false negatives              0  – of the truths missed",
        "  precision                    –",
        "  recall                       –",
        "  false-alarm rate             –  of confident predictions",
    ):
        assert line in lines
    assert "label errors" not in str(report)
    assert "weight" not in str(report)
    values = report.as_dict()
    assert set(values["metrics"].values()) == set(values["rates"].values()) == {0}


def test_the_text_says_when_suspicion_is_off_and_counts_lucky_hits_apart() -> None:
    tables = scene([("a", "cat", 0.9, high(5.5)), ("b", "cat", 0.9, HERE)], [("a", "cat", HERE)])
    chosen = MiningSettings(strategy="iou_based", use_suspicion=False)
    report = mine(*tables, chosen).report
    assert "  lucky hits                   1  matched, but near the IoU threshold" in str(report).splitlines()
    assert report.weighting is not None
    assert report.weighting.extra_by_error == {"lucky_hit": 1.0}
    plain = mine(*scene([("a", "cat", 0.9, HERE)]), MiningSettings(use_suspicion=False)).report
    assert "use_suspicion is off: this does not lower their weight." in " ".join(str(plain).split())
    assert "prior" not in str(plain)


def test_the_dict_has_the_guides_keys_and_ours_beside_them() -> None:
    values = mine(*everything_at_once(), HALF).report.as_dict()
    assert list(values) == [
        *("statistics", "metrics"),  # the guide's
        *("rates", "mining", "errors", "classes", "sizes", "confusions", "weights", "rules", "label_suspects", "notes"),
    ]
    assert values["statistics"] == {
        "total_predictions": 9,
        "hard_negatives": 7,
        "false_positives": 5,
        "false_negatives": 6,
        "true_positives": 2,
    }
    assert values["metrics"] == pytest.approx(
        {"precision": 2 / 7, "recall": 2 / 8, "f1_score": 4 / 15, "hard_negative_rate": 7 / 9}
    )
    assert values["rates"] == pytest.approx({"false_alarm_rate": 5 / 7, "fppi": 5 / 10, "miss_rate": 6 / 8})
    assert values["mining"].pop("reviewed") == values["mining"].pop("evidence") == {}
    assert values["mining"] == pytest.approx(
        {
            **{"images": 10, "counted_predictions": 7, "ignored": 1, "lucky_hits": 0},
            **{"candidates": 11, "cap": 7, "left_out": 4, "suspicion_used": True},
            **{"expected_label_errors": 0.8 + 0.5 + 2 * 0.2 + 0.1 + 2 * 0.2, "review_count": 0},
            "expected_label_errors_interval": None,
        }
    )
    assert values["errors"]["classification"] == {"false_positives": 1, "false_negatives": 1, "hard_negatives": 1}
    assert values["classes"]["dog"] == {
        **{"total_predictions": 2, "counted_predictions": 2, "true_positives": 0, "false_positives": 2},
        **{"false_negatives": 0, "ignored": 0, "hard_negatives": 2, "lucky_hits": 0},
    }
    assert values["weights"]["hard_images"] == 3
    assert values["rules"] == {"crowd": {"truths": 1, "predictions": 1}}
    assert values["notes"] == ["1 truth is a crowd: predictions on it are ignored (1 confident prediction)"]


def plain(value: Any) -> bool:
    """Whether JSON knows the value as it is: no numpy, no tuples, no NaN."""
    if type(value) is dict:
        return all(type(key) is str and plain(inner) for key, inner in value.items())
    if type(value) is list:
        return all(map(plain, value))
    return type(value) in (int, float, str, bool, type(None))


@pytest.mark.parametrize("strategy", ["confidence_based", "iou_based", "loss_based"])
@pytest.mark.parametrize("seed", range(5))
def test_the_dict_is_clean_json(seed: int, strategy: str) -> None:
    settings = MiningSettings(strategy=strategy, repeat_threshold=0.5, background_share=0.01)
    values = mine(*random_scene(seed, images=12), settings).report.as_dict()
    assert plain(values)
    assert json.loads(json.dumps(values, allow_nan=False)) == values


def test_the_dict_is_a_copy() -> None:
    report = mine(*everything_at_once(), HALF).report
    report.as_dict()["errors"]["both"]["false_positives"] = 99
    report.as_dict()["notes"].append("mine")
    assert report.errors["both"]["false_positives"] == 1
    assert report.notes == ()


def test_counts_add_up_field_by_field() -> None:
    numbers = range(1, len(fields(Counts)) + 1)
    assert Counts(*numbers) + Counts(*numbers) == Counts(*(2 * n for n in numbers))
    assert Counts().precision == Counts().recall == Counts().f1_score == 0
    counts = Counts(true_positives=3, false_positives=1, false_negatives=3, ignored=5)
    assert (counts.precision, counts.recall, counts.f1_score) == (0.75, 0.5, 0.6)


def test_reports_add_up_to_the_report_of_all_images() -> None:
    """Image by image and all at once count alike, as long as the cap does not cut."""
    predictions, truth = random_scene(2, images=8, classes=3)
    settings = MiningSettings(hard_negative_ratio=1)
    parts = [
        mine(predictions.take(predictions.image == i), truth.take(truth.image == i), settings).report for i in range(8)
    ]
    whole, total = mine(predictions, truth, settings).report, sum(parts, MiningReport())
    assert (total.counts, total.classes, total.errors) == (whole.counts, whole.classes, whole.errors)
    assert total.candidates == whole.candidates
    assert total.left_out == whole.left_out == 0
    assert total.expected_label_errors == pytest.approx(whole.expected_label_errors)
    assert total.weighting is None  # weights are no thing to add up
    assert "mean weight" not in str(total)


def test_adding_keeps_what_only_one_side_knows() -> None:
    first = MiningReport(images=1, errors={"both": {"n": 1}}, classes={"cat": Counts(1)}, notes=("a", "b"), cap=1)
    second = MiningReport(
        images=2, classes={"dog": Counts(2), "cat": Counts(3)}, notes=("b", "c"), suspicion_used=False
    )
    total = first + second
    assert (total.images, total.cap, total.errors) == (3, 1, {"both": {"n": 1}})
    assert total.classes == {"cat": Counts(4), "dog": Counts(2)}
    assert total.notes == ("a", "b", "c")
    assert not total.suspicion_used
    assert first.classes == {"cat": Counts(1)}


def test_ratio_of_nothing_is_zero() -> None:
    assert ratio(1, 0) == ratio(0, 0) == 0
    assert ratio(1, 4) == 0.25


numbers, shares, names = st.integers(0, 10**9), st.floats(0, 1e9), st.text(max_size=9)
reports = st.builds(
    MiningReport,
    images=numbers,
    counts=st.builds(Counts, **{f.name: numbers for f in fields(Counts)}),
    errors=st.dictionaries(names, st.dictionaries(names, numbers, max_size=3), max_size=3),
    classes=st.dictionaries(names, st.builds(Counts, numbers), max_size=3),
    sizes=st.dictionaries(names, st.builds(Counts, numbers), max_size=3),
    candidates=numbers,
    cap=numbers,
    expected_label_errors=shares,
    expected_interval=st.none() | st.tuples(shares, shares),
    review_count=numbers,
    evidence=st.dictionaries(names, shares, max_size=3),
    reviewed=st.dictionaries(names, numbers, max_size=3),
    suspicion_used=st.booleans(),
    weighting=st.none()
    | st.builds(
        Weighting,
        *(numbers, shares, shares, shares, shares, st.dictionaries(names, shares, max_size=3), shares, shares),
        st.dictionaries(names, shares, max_size=3),
    ),
    confusions=st.dictionaries(names, st.dictionaries(names, numbers, max_size=3), max_size=3),
    notes=st.lists(names, max_size=3).map(tuple),
)


@patient
@given(report=reports)
def test_a_report_read_back_from_json_is_the_same(report: MiningReport) -> None:
    assert MiningReport.from_dict(json.loads(json.dumps(report.as_dict()))) == report


@pytest.mark.parametrize(
    ("rule", "truths"),
    [
        *((rule, n) for rule in rules.TRUTHS for n in (1, 2)),
        *((rule, 0) for rule in (*rules.PREDICTIONS, rules.COPIES)),
    ],
)
def test_number_and_noun_agree_in_what_does_not_count(rule: str, truths: int) -> None:
    for predictions in (1, 2):
        text = " ".join(rules.rule_notes({rule: {"truths": truths, "predictions": predictions}}))
        assert not re.search(r"\b1 (confident )?(truths|predictions)\b|\b1 \w+ (are|have|repeat) ", text), text
        assert not re.search(r"\b2 (confident )?(truth|prediction)\b|\b2 \w+ (is|has|repeats) ", text), text
        assert text
