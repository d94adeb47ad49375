"""Which part may know which."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PURE_NAMES = ["settings", "reader", "resolve", "resolve_tls", "certificates", "names", "protocol", "smoke"]
PURE = [
    *(ROOT / "components" / f"{name}.py" for name in PURE_NAMES),
    *(ROOT / "components/render").rglob("*.py"),
]


def imported(path: Path) -> set[str]:
    """First names of what a file imports by absolute names."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("path", sorted(PURE), ids=lambda p: str(p.relative_to(ROOT)))
def test_what_is_pure_knows_nothing_of_pulumi(path):
    assert not {name for name in imported(path) if name.startswith("pulumi")}


@pytest.mark.parametrize("path", sorted((ROOT / "components").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_the_components_know_nothing_of_the_lab_or_the_program(path):
    assert not imported(path) & {"lab", "tests", "__main__", "components"}, "they are imported under another name too"


@pytest.mark.parametrize("path", sorted((ROOT / "lab").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_the_lab_knows_nothing_of_the_components(path):
    assert "components" not in imported(path)


def test_the_program_is_short():
    assert len((ROOT / "__main__.py").read_text().splitlines()) < 60


def test_the_arguments_keep_their_annotations_as_types():
    assert "__future__" not in imported(ROOT / "components/args.py"), "Pulumi's schema inference reads them"
