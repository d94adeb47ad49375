"""The program itself, once for each stack file and each example."""

import json
import runpy
from pathlib import Path

import pulumi
import pytest
import yaml

from tests.component.engine import build

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*/__main__.py"))


def run_program(config: dict) -> tuple:
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}

    def program():
        pulumi.runtime.set_all_config(texts)
        runpy.run_path(str(ROOT / "__main__.py"))

    try:
        return build(program)
    finally:
        pulumi.runtime.set_all_config({})


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_a_stack_file_deploys(stack):
    engine, _ = run_program(yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"])
    assert engine.one("Registry").name == "registry"
    assert engine.one("Namespace").protect, "with the namespace the volume would go"
    assert {r.provider.split("::")[-2] for r in engine.resources if r.type.startswith("kubernetes:")} == {"cluster"}


def test_the_namespace_enforces_the_restricted_level():
    engine, _ = run_program({})
    labels = engine.one("Namespace").inputs["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_secrets_and_config_maps_are_updated_in_place():
    engine, _ = run_program({})
    assert engine.one("kubernetes").inputs["enableSecretMutable"] == "true", "or the front's Secret would be replaced"
    assert engine.one("kubernetes").inputs["enableConfigMapMutable"] == "true", "or that with the nodes' files"


def test_a_second_stack_in_another_namespace_shares_no_object_with_the_first():
    first, _ = run_program({})
    second, _ = run_program({"registry:namespace": "other"})

    def objects(engine):
        return {
            (r.kind, r.inputs["metadata"].get("namespace"), r.inputs["metadata"]["name"])
            for r in engine.resources
            if "name" in r.inputs.get("metadata", {})
        }

    assert not objects(first) & objects(second)


def test_every_mistake_is_said_before_anything_is_registered():
    kept = []

    def program():
        pulumi.runtime.set_all_config({"registry:replicas": "0", "registry:anonymus": "none"})
        with pytest.raises(pulumi.RunError) as caught:
            runpy.run_path(str(ROOT / "__main__.py"))
        kept.append(str(caught.value))

    engine, _ = build(program)
    pulumi.runtime.set_all_config({})
    assert engine.resources == []
    assert "2 problems" in kept[0]
    assert "did you mean anonymous?" in kept[0]
    assert "registry:replicas: given 0" in kept[0]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_an_example_deploys(path):
    engine, _ = build(lambda: runpy.run_path(str(path)))
    assert engine.of("Registry")
