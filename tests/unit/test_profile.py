"""Shell snippets of several registries in one shell."""

import subprocess

import pytest

from components.render.clients import CLIENTS
from components.render.endpoint import Endpoint

PLAIN = Endpoint(host="a.x.svc.cluster.local", address="10.96.0.50")
ANOTHER = Endpoint(host="b.x.svc.cluster.local", address="10.96.0.51")
TLS = Endpoint(host="c.x.svc.cluster.local", address="10.96.0.52", https=True, ca="PEM\n", verifies_address=True)


@pytest.fixture
def typed(tmp_path):
    """Types lines in a shell that has read every registry's snippet, twice; gives what the program was called with."""
    program = tmp_path / "crane"
    program.write_text('#!/bin/sh\necho "$@ ${SSL_CERT_DIR-}"\n')
    program.chmod(0o755)

    def type_(*lines: str) -> list[str]:
        files = [CLIENTS["crane"].files(endpoint) for endpoint in (PLAIN, ANOTHER, TLS)]
        snippets = [text for found in files for path, text in found.items() if path.endswith(".sh")]
        script = "\n".join(["set -eu", *snippets, *snippets, *lines])
        done = subprocess.run(
            ["sh", "-c", script], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, timeout=10
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return type_


def test_each_registry_is_spoken_to_in_its_own_way(typed):
    plain, another, encrypted = typed(*(f"crane pull {each.host}/app:1 x" for each in (PLAIN, ANOTHER, TLS)))
    assert plain == f"--insecure pull {PLAIN.host}/app:1 x "
    assert another == f"--insecure pull {ANOTHER.host}/app:1 x "
    assert encrypted.startswith(f"pull {TLS.host}/app:1 x ")
    assert encrypted.endswith(f"/etc/registry-ca/{TLS.host}")


def test_every_other_registry_is_left_alone(typed):
    assert typed("crane pull docker.io/library/alpine x") == ["pull docker.io/library/alpine x "]
