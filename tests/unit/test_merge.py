"""A piece of a configuration in somebody else's file."""

import json
import tomllib

import pytest
import yaml

from components.merge import Malformed, merged

DOCKER = '{"insecure-registries": ["registry:80"]}'


def test_a_missing_file_is_the_piece_itself():
    assert json.loads(merged("daemon.json", None, DOCKER)) == json.loads(DOCKER)
    assert json.loads(merged("daemon.json", "\n", DOCKER)) == json.loads(DOCKER), "an empty one too"


def test_no_key_and_no_item_is_lost():
    before = '{"debug": true, "insecure-registries": ["other:5000"], "log-opts": {"max-size": "1m"}}'
    after = json.loads(merged("daemon.json", before, DOCKER))
    assert after["insecure-registries"] == ["other:5000", "registry:80"]
    assert list(after) == ["debug", "insecure-registries", "log-opts"], "in their order"


def test_a_second_time_changes_nothing_not_even_a_space():
    for path, before in {
        "daemon.json": '{ "insecure-registries":["registry:80"] }',
        "registries.yaml": "mirrors:   {a: {endpoint: [x]}} # mine\n",
        "config.toml": 'version=2 # mine\n[plugins."a".registry]\nconfig_path="/c"\n',
        "hosts": "10.0.0.1\tregistry   # mine\n",
    }.items():
        piece = {
            "daemon.json": DOCKER,
            "registries.yaml": "mirrors: {a: {endpoint: [x]}}",
            "config.toml": 'version = 2\n[plugins."a".registry]\nconfig_path = "/c"\n',
            "hosts": "10.0.0.1 registry\n",
        }[path]
        assert merged(path, before, piece) == before, path


def test_the_comments_of_yaml_and_toml_stay():
    text = merged(
        "registries.yaml", "# mine\nmirrors:\n  a: {endpoint: [x]} # and this\n", "mirrors: {b: {endpoint: [y]}}"
    )
    assert "# mine" in text
    assert "# and this" in text
    assert yaml.safe_load(text) == {"mirrors": {"a": {"endpoint": ["x"]}, "b": {"endpoint": ["y"]}}}
    text = merged(
        "buildkitd.toml",
        '# mine\ndebug = true # yes\n[registry."a"]\n  http = true\n',
        '[registry."b.c"]\nhttp = true\n',
    )
    assert text.startswith("# mine\ndebug = true # yes\n")
    assert tomllib.loads(text)["registry"] == {"a": {"http": True}, "b.c": {"http": True}}


def test_what_is_not_wanted_any_more_goes_and_what_is_somebody_elses_stays():
    before = '{"debug": true, "insecure-registries": ["other:5000", "registry:80"]}'
    assert json.loads(merged("daemon.json", before, None, [DOCKER])) == {
        "debug": True,
        "insecure-registries": ["other:5000"],
    }
    assert json.loads(merged("daemon.json", '{"a": 1, "insecure-registries": ["registry:80"]}', None, [DOCKER])) == {
        "a": 1
    }
    assert merged("daemon.json", DOCKER, None, [DOCKER]) is None, "a file of nothing but ours goes as a whole"
    assert merged("daemon.json", None, None, [DOCKER]) is None


def test_what_is_both_stale_and_wanted_stays_where_it_is():
    before = '[registry."r"] # mine\nhttp = true\n'
    assert (
        merged("buildkitd.toml", before, '[registry."r"]\nhttp = true\n', ['[registry."r"]\nhttp = true\n']) == before
    )
    after = merged("buildkitd.toml", before, '[registry."r"]\nca = ["c"]\n', ['[registry."r"]\nhttp = true\n'])
    assert "http" not in after
    assert 'ca = ["c"]' in after


def test_a_hosts_line_with_another_address_is_replaced_and_one_with_further_names_stays():
    before = "127.0.0.1 localhost\n10.0.0.9 registry\n10.0.0.8 registry other\n"
    after = merged("/etc/hosts", before, "10.0.0.1 registry\n").splitlines()
    assert after == ["127.0.0.1 localhost", "10.0.0.8 registry other", "10.0.0.1 registry"]
    assert merged("/etc/hosts", "127.0.0.1 localhost\n", None, ["10.0.0.1 registry\n"]) == "127.0.0.1 localhost\n"


@pytest.mark.parametrize(
    ("path", "before", "line"),
    [
        ("daemon.json", '{\n  "debug": true,\n}', 3),
        ("daemon.json", "[]", 1),
        ("registries.yaml", "a: 1\nb: [\n", 3),
        ("registries.yaml", "- a\n", 1),
        ("config.toml", "a = 1\nb = \n", 2),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_the_line(path, before, line):
    with pytest.raises(Malformed) as caught:
        merged(path, before, "{}" if path.endswith("json") else "")
    assert caught.value.line == line
