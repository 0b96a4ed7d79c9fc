"""What agents are told: how risky every operator is, and how a round goes."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import fiftyone.operators as foo
import fiftyone.plugins as fop
import pytest
import yaml

from fiftyone_plugin.operators import OPERATORS

ROOT = Path(__file__).parents[2]
MANIFEST = yaml.safe_load((ROOT / "fiftyone.yml").read_text(encoding="utf-8"))
LOADS_CODE = {"predict_with_yolo", "train_on_hard_negatives"}
CANNOT_BE_UNDONE = {
    *("delete_mining_run", "mine_hard_negatives", "mine_without_truth", "export_weighted_subset"),
    *("accept_missing_labels", "fit_verifier"),
}
"""It deletes, replaces, imports a strategy by name, writes files, or sends images to an annotation tool."""

ONLY_LOOKS = {"view_hard_negatives"}


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.__name__)
def test_every_operator_declares_its_risk(operator: Any) -> None:
    (config,) = (
        node for node in ast.walk(ast.parse(inspect.getsource(inspect.getmodule(operator)))) if _is_config(node)
    )
    assert "risk_level" in {word.arg for word in config.keywords}, "else FiftyOne says dangerous"


def _is_config(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Config")


def test_the_risk_is_what_the_operator_does() -> None:
    risks = {operator().config.name: operator().config.risk_level.value for operator in OPERATORS}
    assert {name for name, risk in risks.items() if risk == "dangerous"} == LOADS_CODE
    assert {name for name, risk in risks.items() if risk == "high"} == CANNOT_BE_UNDONE
    assert {name for name, risk in risks.items() if risk == "low"} == ONLY_LOOKS
    assert set(risks) == set(MANIFEST["operators"])


def test_fiftyone_lists_the_skill() -> None:
    skills = {skill.name: skill for skill in fop.list_skills(plugin=MANIFEST["name"])}
    assert list(skills) == MANIFEST["skills"]
    (skill,) = skills.values()
    assert len(skill.description) > 50
    assert skill.category


def test_the_skill_names_what_there_is() -> None:
    (skill,) = fop.list_skills(plugin=MANIFEST["name"])
    calls = re.findall(r"`([a-z]+(?:_[a-z]+){1,})`", skill.content)
    named = {name for name in calls if name in MANIFEST["operators"]}
    assert named == set(MANIFEST["operators"]) - {
        "false_alarm_rate",
        "fppi",
        "find_similar_images",
        "rename_mining_run",
    }
    known = {*MANIFEST["operators"], *MANIFEST["panels"], *_parameters(), *_states(), "train_with"}
    assert sorted(set(calls) - known) == []


def _parameters() -> set[str]:
    from tools.reference import operators

    return {row[0].strip("`") for operator in OPERATORS for row in operators.rows(operator)}


def _states() -> set[str]:
    from hnm_core.labels.reviews import STATES

    return set(STATES)


def test_an_agent_sees_the_risk_where_it_asks() -> None:
    config = foo.get_operator(f"{MANIFEST['name']}/delete_mining_run").config.to_json()
    assert config["risk_level"] == "high"
