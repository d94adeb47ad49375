"""The Pulumi workspace: committed files stay as they are, local values stay on top."""

import pytest
import yaml

from lab import paths, serve, workspace
from lab.errors import Missing

COMMITTED = "config:\n  registry:storage: {size: 1Gi}\n  registry:tls: off\n"


def merged(committed: str, mine: str, base: str) -> dict:
    return yaml.safe_load(workspace.merge(committed, mine, base))


def test_a_stack_file_keeps_its_salt_and_its_own_values_and_follows_the_committed_ones():
    mine = "encryptionsalt: v1:abc\nconfig:\n  registry:storage: {size: 1Gi}\n  registry:tls: internal\n"
    found = merged(COMMITTED.replace("1Gi", "2Gi"), mine, COMMITTED)
    assert found == {
        "encryptionsalt": "v1:abc",
        "config": {"registry:storage": {"size": "2Gi"}, "registry:tls": "internal"},
    }


def test_a_value_removed_in_the_workspace_stays_removed():
    assert "registry:tls" not in merged(COMMITTED, "config:\n  registry:storage: {size: 1Gi}\n", COMMITTED)["config"]


def test_a_first_copy_is_the_committed_file():
    assert merged(COMMITTED, "", "") == yaml.safe_load(COMMITTED)


def test_what_was_encrypted_for_another_passphrase_is_left_out():
    foreign = (
        "encryptionsalt: v1:other\nconfig:\n  registry:tls: internal\n  registry:accounts: [{p: {secure: v1:x}}]\n"
    )
    assert merged(foreign, "encryptionsalt: v1:mine\n", "") == {
        "config": {"registry:tls": "internal"},
        "encryptionsalt": "v1:mine",
    }


def test_a_word_that_old_yaml_takes_for_a_boolean_stays_a_word(tmp_path):
    assert "mode: off\n" in workspace.merge("config:\n  registry:tls:\n    mode: off\n", "", "")
    assert "default: off\n" in workspace.project("name: r\nconfig:\n  tls:\n    default: off\n", tmp_path)
    assert "registry:tls: internal" in workspace.merge(COMMITTED, "config:\n  registry:tls: internal\n", COMMITTED)


def test_the_project_file_points_back_at_program_and_virtual_environment(tmp_path):
    found = yaml.safe_load(
        workspace.project("name: r\nruntime: {name: python, options: {virtualenv: .venv}}\n", tmp_path)
    )
    assert found["main"] == str(tmp_path)
    assert found["runtime"]["options"]["virtualenv"] == str(tmp_path / ".venv")


def test_no_committed_file_changes_when_the_workspace_is_refreshed(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setattr(paths, "STATE", tmp_path / ".lab")
    (tmp_path / "Pulumi.yaml").write_text("name: r\nruntime: python\n")
    (tmp_path / "Pulumi.dev.yaml").write_text(COMMITTED)
    home = workspace.refresh()
    (home / "Pulumi.dev.yaml").write_text("encryptionsalt: v1:abc\n" + COMMITTED)
    workspace.refresh()
    assert yaml.safe_load((home / "Pulumi.dev.yaml").read_text())["encryptionsalt"] == "v1:abc"
    assert (tmp_path / "Pulumi.dev.yaml").read_text() == COMMITTED
    assert (home / "Pulumi.dev.yaml").stat().st_mode & 0o777 == 0o600


def test_serve_names_the_file_that_is_missing(tmp_path):
    with pytest.raises(Missing, match=r"config\.yml"):
        serve.commands(tmp_path)


def test_serve_knows_the_ports_that_the_files_name(tmp_path):
    (tmp_path / "config.yml").write_text("http:\n  addr: 127.0.0.1:5001\n")
    (tmp_path / "Caddyfile").write_text(
        "http://:8080, http://127.0.0.1:8081 {\n  reverse_proxy 127.0.0.1:5001\n}\n:9180 {\n}\n"
    )
    assert serve.listened(tmp_path) >= {5001, 8080, 9180}
