"""The colours of a view: by error, without touching what the user stored."""

from __future__ import annotations

import fiftyone as fo

from fiftyone_plugin.app import colors
from fiftyone_plugin.panel import picks
from fiftyone_plugin.runs import records
from hnm_core.reporting.chart_data import COLORS
from tests.core.reporting.test_chart_data import contrast
from tests.datasets import VIEW, dataset_of
from tests.plugin.operators.test_operators import in_the_app
from tests.plugin.panels import event, mined


def test_a_view_sets_colours_and_the_stored_scheme_stays() -> None:
    made = mined(dataset=dataset_of())
    own = [{"path": "predictions", "fieldColor": "#123456"}, {"path": "other", "fieldColor": "#abcdef"}]
    made.app_config.color_scheme = fo.ColorScheme(color_by="field", color_pool=["#ff0000"], fields=own)
    made.save()
    before = made.app_config.color_scheme.to_dict()
    for asked in (
        in_the_app(made, VIEW, run_key="run")[1],
        event(made, "pick", event(made, "on_load").state, id=picks.of_error("false_positives", "both")).requests,
    ):
        set_to = asked["set_color_scheme"]
        assert set(set_to) == {"color_by", "fields"}, "the user's opacity, pool and scales stay"
        fields = {each["path"]: each for each in set_to["fields"]}
        assert fields["other"] == own[1]
        of_value = {each["value"]: each["color"] for each in fields["predictions"]["valueColors"]}
        assert fields["predictions"]["colorByAttribute"] == "run_error"
        assert of_value["background"] == COLORS["background"]
    made.reload()
    assert made.app_config.color_scheme.to_dict() == before
    assert "reset_color_scheme" in event(made, "show_all", event(made, "on_load").state).requests


def test_truths_contrast_with_predictions_and_all_with_dark_images() -> None:
    made = mined(dataset=dataset_of())
    predictions, truths = colors.scheme(made, records.settings_of(made, "run"))["fields"]
    of_predictions, of_truths = ({each["color"] for each in field["valueColors"]} for field in (predictions, truths))
    assert not of_predictions & of_truths
    assert all(contrast(color, "#000000") >= 3 for color in of_predictions | of_truths)
