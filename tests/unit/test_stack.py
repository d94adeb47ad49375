"""A stack's configuration, as the engine passes it."""

import json
from pathlib import Path

import pytest
import yaml

from components.args import RegistryArgs
from components.reader import ConfigError
from components.resolve import resolve
from components.settings import Settings
from components.stack import PROGRAM_KEYS, parse

ROOT = Path(__file__).parents[2]
PROJECT = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
KEYS = {key: value for key, value in PROJECT["config"].items() if not key.startswith("pulumi:")}


def engine_texts(values: dict) -> dict[str, str]:
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}


def test_an_empty_configuration_is_a_working_registry():
    assert parse({}).settings == Settings()


def test_the_defaults_of_the_project_file_are_the_defaults_of_the_settings():
    assert parse(engine_texts({key: declared["default"] for key, declared in KEYS.items()})).settings == Settings()


def test_the_project_file_describes_every_key():
    assert set(KEYS) == {*RegistryArgs.__annotations__, *PROGRAM_KEYS}
    kinds = {str: "Text", int: "Whole number", list: "List", dict: "Mapping"}
    for key, declared in KEYS.items():
        assert set(declared) == {"description", "default"}, (
            f"{key}: with `type` the CLI would refuse before the program"
        )
        assert declared["description"].startswith(f"{kinds[type(declared['default'])]}. "), key


def test_values_of_a_wrong_kind_are_told_all_at_once():
    values = {"replicas": "two", "storage": "20Gi", "accounts": "ci", "anonymous": ["pull"], "context": ["lab"]}
    with pytest.raises(ConfigError) as caught:
        parse(engine_texts({**values, "labels": 3, "service": "x", "clusterDomain": {"a": 1}}))
    told = [problem.key for problem in caught.value.problems]
    assert sorted(told) == sorted([*values, "labels", "service", "clusterDomain"])
    assert all(problem.given and problem.allowed and problem.repair for problem in caught.value.problems)


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_stack_files_resolve(stack):
    config = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]
    parse(engine_texts({key.removeprefix("registry:"): value for key, value in config.items()}))


def test_a_password_in_clear_text_is_refused_with_the_command_that_encrypts_it():
    accounts = json.dumps([{"name": "a"}, {"name": "b", "password": "x" * 12}])
    with pytest.raises(ConfigError) as caught:
        parse({"accounts": accounts})
    assert "registry:accounts[1].password: given in clear text" in str(caught.value)
    assert "pulumi config set --path --secret 'registry:accounts[1].password'" in str(caught.value)
    assert "x" * 12 not in str(caught.value)
    assert parse({"accounts": accounts}, {"accounts"}).settings.accounts[1].password == "x" * 12


def test_a_mistyped_key_of_the_program_gets_the_nearest():
    with pytest.raises(ConfigError, match="registry:contxt: not a key; did you mean context"):
        parse({"contxt": "lab"})


def test_an_empty_context_is_none():
    assert parse({"context": ""}).context is None
    assert parse({"context": "lab"}).context == "lab"


def test_nodes_are_left_alone_unless_their_kind_is_told():
    assert parse({}).nodes is None
    assert parse({"nodes": ""}).nodes is None
    assert parse({"nodes": "k0s"}).nodes == "k0s"
    with pytest.raises(ConfigError) as caught:
        parse({"nodes": "K0s", "replicas": "0"})
    assert 'registry:nodes: given "K0s"; allowed: containerd, k0s, k3s' in str(caught.value)
    assert "pulumi config set --path 'registry:nodes' k0s" in str(caught.value)
    assert str(caught.value).startswith("2 problems"), "every mistake at once"


def test_numbers_and_structures_come_as_text():
    stack = parse({"replicas": "2", "storage": '{"accessModes": ["ReadWriteMany"]}', "namespace": "123"})
    assert stack.settings == resolve(
        {"replicas": 2, "storage": {"accessModes": ["ReadWriteMany"]}, "namespace": "123"}
    ), "a namespace of digits stays a text"


def test_broken_structure_is_a_problem_and_not_a_trace():
    with pytest.raises(ConfigError, match="registry:storage: given a text; allowed: a mapping"):
        parse({"storage": "{size: 1"})
