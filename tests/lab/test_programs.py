"""Finding and building programs: recipes, atomic builds, errors of one line."""

import shutil
from pathlib import Path

import pytest

from lab import build, packages, paths, programs
from lab.build import Go
from lab.errors import Missing


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A Go module of its own, and an empty cache."""
    (tmp_path / "go" / "hi").mkdir(parents=True)
    (tmp_path / "go" / "hi" / "go.mod").write_text("module hi\n\ngo 1.24\n")
    (tmp_path / "go" / "hi" / "main.go").write_text('package main\n\nfunc main() { println("hi") }\n')
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    return Go("hi", version="1", sources=tmp_path / "go")


def test_the_recipe_changes_with_the_sources_and_with_the_flags(module):
    before = module.recipe()
    assert module.recipe() == before
    assert Go("hi", version="1", sources=module.sources, tags="x").recipe() != before
    (module.folder / "main.go").write_text("package main\n\nfunc main() {}\n")
    assert module.recipe() != before


def test_a_failed_build_leaves_no_half_program_and_shows_the_compilers_words(module):
    (module.folder / "main.go").write_text("package main\n\nfunc main() { nowhere() }\n")
    with pytest.raises(Missing, match="undefined: nowhere"):
        build.make(module, ["hi"])
    assert build.built(module, "hi") is None
    assert not list((paths.CACHE / "hi").iterdir())


@pytest.mark.skipif(not shutil.which("go"), reason="no Go on PATH")
def test_a_build_is_found_again_under_each_of_its_names(module):
    build.make(module, ["hi", "ho"])
    assert build.built(module, "ho").resolve().name == "hi"


def test_too_little_room_is_one_line_with_a_remedy(module, monkeypatch):
    monkeypatch.setattr(build, "ROOM", 1 << 60)
    with pytest.raises(Missing) as caught:
        build.check_room(1)
    assert "\n" not in str(caught.value)
    assert "XDG_CACHE_HOME" in caught.value.remedy


def test_a_machine_without_apt_is_told_so_in_one_line(module, monkeypatch):
    monkeypatch.setattr(packages.shutil, "which", lambda name: None)
    with pytest.raises(Missing) as caught:
        packages.install(["containerd"])
    assert (
        str(caught.value) == "not installed: containerd, and this is no Debian: install them with your package manager"
    )


def test_an_own_policy_rc_d_comes_back_after_an_install(tmp_path, monkeypatch):
    policy = tmp_path / "policy-rc.d"
    policy.write_text("mine")
    monkeypatch.setattr(packages, "POLICY", policy)
    with packages.no_services():
        assert "exit 101" in policy.read_text()
    assert policy.read_text() == "mine"


def test_an_unknown_program_is_refused_with_the_known_ones():
    with pytest.raises(Missing, match="registry"):
        programs.find("regstry")


@pytest.mark.parametrize(
    ("told", "accepted"), [("v3.259.0", True), ("v3.230.9", False), ("Client Version: v4.0", True), ("", False)]
)
def test_a_program_on_path_must_be_new_enough(tmp_path: Path, told, accepted):
    program = tmp_path / "p"
    program.write_text(f"#!/bin/sh\necho '{told}'\n")
    program.chmod(0o755)
    assert programs.at_least("3.231", "version")(program) is accepted
