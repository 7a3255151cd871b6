"""The three examples of `config.yaml.example` load and route every task they declare."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from PIL import Image

from sekha_magics.errors import NoEligibleModel
from sekha_magics.registry import Registry

EXAMPLES = list(yaml.safe_load_all((Path(__file__).parents[2] / "config.yaml.example").read_text(encoding="utf-8")))
KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OPENROUTER_API_KEY")


@pytest.mark.parametrize("number", range(3))
def test_each_example_routes_every_task_it_declares(number, tmp_path, monkeypatch):
    for name in KEYS:
        monkeypatch.setenv(name, f"sk-recognisable-{name.lower()}")
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(EXAMPLES[number]), encoding="utf-8")
    with Registry.from_yaml(path) as reg:
        assert reg.tasks()
        for task in reg.tasks():
            wishes = {"task": task, "images": [Image.new("RGB", (4, 4))] if task == "vision" else ()}
            try:
                decision = reg.route("Hello", **wishes)
            except NoEligibleModel as error:
                pytest.fail(f"{task}: {error}")
            assert decision.task == task
            assert decision.reason
        assert "sk-recognisable" not in repr(reg) + repr(reg.state.loaded) + str(reg.models())


def test_there_are_three_examples():
    assert len(EXAMPLES) == 3
