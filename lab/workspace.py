"""A Pulumi workspace in STATE, so that no committed file is ever changed.

The engine writes into a stack's file (`pulumi stack init` its encryption salt, `pulumi config set` a value). So it
works on copies: STATE/workspace holds Pulumi.yaml, which points back at the program, and the stack files. A copy
follows the committed file; what was set in the copy alone (its salt, a value) stays on top of it.
"""

import os
import re
import secrets
import sys
from pathlib import Path

import yaml

from lab import paths, programs

LOCAL_KEYS = ("encryptionsalt", "encryptedkey", "secretsprovider")  # how the copy, and it alone, keeps its secrets


def folder() -> Path:
    return paths.STATE / "workspace"


def refresh() -> Path:
    """Bring the copies up to date with the committed files."""
    home = paths.state("workspace")
    if (paths.ROOT / "Pulumi.yaml").exists():
        paths.write(home / "Pulumi.yaml", project((paths.ROOT / "Pulumi.yaml").read_text(), paths.ROOT))
    for file in sorted(paths.ROOT.glob("Pulumi.*.yaml")):
        mine, base = home / file.name, paths.state("workspace", ".base") / file.name
        committed = file.read_text()
        merged = merge(committed, mine.read_text() if mine.exists() else "", base.read_text() if base.exists() else "")
        if not mine.exists() or _plain(_compose(mine.read_text())) != _plain(_compose(merged)):
            paths.write(mine, merged, 0o600)
        paths.write(base, committed, 0o600)
    return home


def project(text: str, root: Path) -> str:
    """The project file for the workspace: the program and its virtual environment are at `root`."""
    held = _compose(text)
    main = _get(held, "main")
    _put(held, "main", yaml.ScalarNode(STRING, str((root / (main.value if main else ".")).resolve())))
    _drop(held, "stackConfigDir")
    options = _get(_get(held, "runtime"), "options")
    if (virtualenv := _get(options, "virtualenv")) is not None:
        virtualenv.value = str(root / virtualenv.value)
    return "# Made by `python -m lab` from the committed Pulumi.yaml.\n" + _text(held)


def merge(committed: str, mine: str, base: str) -> str:
    """The committed stack file, with what differs between `mine` and `base` (the committed file that `mine` began
    with) on top. A secret that was encrypted for another passphrase is left out."""
    result, local, old = _compose(committed), _compose(mine), _compose(base)
    for key in LOCAL_KEYS:
        _drop(result, key)
        if (held := _get(local, key)) is not None:
            _put(result, key, held)
    config = yaml.MappingNode(MAP, [pair for pair in _pairs(_get(result, "config")) if not _secret(pair[1])])
    before = {key.value: value for key, value in _pairs(_get(old, "config")) if not _secret(value)}
    if local.value:
        now = _get(local, "config")
        for key, value in _pairs(now):
            if key.value not in before or _plain(value) != _plain(before[key.value]):
                _put(config, key.value, value)
        for key in before:
            if _get(now, key) is None:
                _drop(config, key)
    _drop(result, "config")
    if config.value:
        _put(result, "config", config)
    return _text(result) if result.value else ""


# Scalars keep the form they are written in: to Pulumi `off` is a word, while YAML 1.1, which PyYAML speaks, makes it
# a boolean. So the files are worked on as nodes, and never turned into Python values.
STRING, MAP = "tag:yaml.org,2002:str", "tag:yaml.org,2002:map"


def _compose(text: str) -> yaml.MappingNode:
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    return node if isinstance(node, yaml.MappingNode) else yaml.MappingNode(MAP, [])


def _text(node: yaml.MappingNode) -> str:
    return yaml.serialize(node, Dumper=yaml.SafeDumper, width=1000)


def _pairs(node: yaml.Node | None) -> list[tuple[yaml.Node, yaml.Node]]:
    return node.value if isinstance(node, yaml.MappingNode) else []


def _get(node: yaml.Node | None, key: str) -> yaml.Node | None:
    return next((value for name, value in _pairs(node) if name.value == key), None)


def _drop(node: yaml.MappingNode, key: str) -> None:
    node.value = [pair for pair in node.value if pair[0].value != key]


def _put(node: yaml.MappingNode, key: str, value: yaml.Node) -> None:
    for number, (name, _) in enumerate(node.value):
        if name.value == key:
            node.value[number] = (name, value)
            return
    node.value.append((yaml.ScalarNode(STRING, key), value))


def _plain(node: yaml.Node) -> object:
    """Nested tuples that are equal where two nodes say the same."""
    if isinstance(node, yaml.MappingNode):
        return tuple(sorted((key.value, _plain(value)) for key, value in node.value))
    return tuple(map(_plain, node.value)) if isinstance(node, yaml.SequenceNode) else node.value


def _secret(node: yaml.Node) -> bool:
    """True where the value holds something encrypted."""
    if isinstance(node, yaml.MappingNode):
        return [key.value for key, _ in node.value] == ["secure"] or any(_secret(value) for _, value in node.value)
    return isinstance(node, yaml.SequenceNode) and any(map(_secret, node.value))


def local_changes() -> list[str]:
    """The config keys whose value in the workspace differs from the committed file, as stack: key."""
    found = []
    for file in sorted(paths.ROOT.glob("Pulumi.*.yaml")):
        mine = folder() / file.name
        if mine.exists():
            now, committed = (
                {key.value: value for key, value in _pairs(_get(_compose(each.read_text()), "config"))}
                for each in (mine, file)
            )
            stack = re.sub(r"^Pulumi\.|\.yaml$", "", file.name)
            found += [
                f"{stack}: {key}"
                for key in sorted(now.keys() | committed.keys())
                if key not in now or key not in committed or _plain(now[key]) != _plain(committed[key])
            ]
    return found


def passphrase() -> Path:
    """The file with this lab's passphrase, made once."""
    file = paths.state() / "passphrase"
    if not file.exists():
        paths.write(file, secrets.token_urlsafe(32), 0o600)
    return file


def environment() -> dict[str, str]:
    """What a command of `lab run` finds: the lab's programs, its cluster, its Pulumi backend and workspace."""
    refresh()
    binaries = programs.link_all()
    paths.state("pulumi")
    _launchers(binaries)
    return {
        **os.environ,
        "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', '')}",
        "LAB_STATE": str(paths.STATE),
        "KUBECONFIG": str(paths.STATE / "kubeconfig"),
        "PULUMI_BACKEND_URL": f"file://{paths.STATE / 'pulumi'}",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(passphrase()),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_HOME": os.environ.get("PULUMI_HOME") or str(paths.STATE / "pulumi-home"),
        # the kubernetes provider leaves a copy of the kubeconfig in the temporary folder at each run
        "TMPDIR": str(paths.state("tmp")),
    }


def _launchers(binaries: Path) -> None:
    """`pulumi`, which turns to the workspace when it is started in the repository; and, where none is installed,
    the language host."""
    real = programs.find("pulumi")
    if real:
        paths.write(
            binaries / "pulumi",
            f"""\
#!{sys.executable}
import os, sys
sys.path.insert(0, {str(paths.ROOT)!r})
from lab import paths, workspace
paths.use({str(paths.STATE)!r})
workspace.become_pulumi({str(real)!r}, sys.argv[1:])
""",
            0o755,
        )
    beside = real and real.resolve().parent / "pulumi-language-python"
    host = binaries / "pulumi-language-python"
    if programs.on_path("pulumi-language-python") or (beside and beside.exists()):
        host.unlink(missing_ok=True)
    else:
        own = Path(__file__).resolve().parent / "language-host" / "pulumi-language-python"
        paths.write(host, f'#!/bin/sh\nexec "{sys.executable}" "{own}" "$@"\n', 0o755)


def become_pulumi(program: str, arguments: list[str]) -> None:
    """Run the real pulumi: in the workspace when started at the root of the repository, else where it stands.
    A --cwd of the caller comes later on the line, and wins."""
    if Path.cwd() == paths.ROOT and (paths.ROOT / "Pulumi.yaml").exists():
        arguments = ["--cwd", str(refresh()), *arguments]
    os.execv(program, [program, *arguments])
