from pathlib import Path

import pytest
import yaml

from unweave.config import EvaluationEntry, validated
from unweave.evaluations.evaluation import evaluation_module

ENTRIES = yaml.safe_load((Path(__file__).parents[2] / "config" / "evaluations.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ENTRIES)
def test_every_registered_evaluation_exists_and_takes_its_settings(name):
    entry = validated(EvaluationEntry, ENTRIES[name], name)
    validated(evaluation_module(entry.evaluation).Settings, entry.settings, name)


@pytest.mark.parametrize("name", ENTRIES)
def test_every_setting_is_described(name):
    properties = evaluation_module(ENTRIES[name]["evaluation"]).Settings.model_json_schema()["properties"]
    assert all("description" in setting for setting in properties.values())
