"""`python -m components.clients`, on folders that stand for a machine."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from components.clients import main
from components.reach import explain
from components.render.clients import CLIENTS, Place, UnknownVersion
from components.render.endpoint import Endpoint

HOST = "registry.registry.svc.cluster.local"
PLAIN = Endpoint(host=HOST, address="10.96.0.50")
TLS = Endpoint(host=HOST, address="10.96.0.50", https=True, ca="PEM\n", verifies_address=True)
WORD = "unlikely-word-of-a-test"


@pytest.fixture
def clients(tmp_path, monkeypatch, capsys):
    """Runs the command on a machine of its own; gives its exit status and all that it printed."""
    root = tmp_path / "root"
    root.mkdir()

    def run(command: str, *arguments: str, endpoint: Endpoint = PLAIN) -> tuple[int, str]:
        outputs = tmp_path / "outputs.json"
        accounts = {"ci": {"username": "ci", "password": WORD}}
        outputs.write_text(json.dumps({"endpoint": endpoint.output, "accounts": accounts}))
        where = ["--root", str(root), "--home", "/home/me"] if command in ("install", "remove") else []
        words = ["clients", command, *arguments, "--outputs", str(outputs), *where]
        monkeypatch.setattr(sys, "argv", words)
        status = main()
        told = capsys.readouterr()
        return status, told.out + told.err

    run.root = root
    return run


def tree(root: Path) -> dict[str, str]:
    return {f"/{path.relative_to(root)}": path.read_text() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("name", CLIENTS)
def test_what_is_installed_is_what_the_output_has(clients, name):
    status, _ = clients("install", name)
    assert status == 0
    written = tree(clients.root)
    for path, content in CLIENTS[name].files(PLAIN).items():
        there = written[path.replace("~", "/home/me") if path.startswith(("/", "~")) else f"/{path}"]
        assert path in CLIENTS[name].shared or there == content


@pytest.mark.parametrize("name", CLIENTS)
def test_installing_again_changes_nothing(clients, name):
    clients("install", name)
    before = {path: path.stat().st_mtime_ns for path in clients.root.rglob("*")}
    status, told = clients("install", name)
    assert (status, told) == (0, f"{name}: nothing to change\n")
    assert {path: path.stat().st_mtime_ns for path in clients.root.rglob("*")} == before


@pytest.mark.parametrize("name", CLIENTS)
def test_after_a_change_of_the_mode_nothing_is_left_of_the_one_before(clients, name):
    clients("install", name)
    plain = tree(clients.root)
    clients("install", name, endpoint=TLS)
    assert not [text for text in tree(clients.root).values() if "insecure = true" in text or "plain-http" in text]
    clients("install", name)
    assert tree(clients.root) == plain, "the CA went again with TLS"


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize("endpoint", [PLAIN, TLS])
def test_removing_leaves_what_was_there_before(clients, name, endpoint):
    (clients.root / "etc/docker").mkdir(parents=True)
    (clients.root / "etc/docker/daemon.json").write_text('{\n  "debug": true\n}\n')
    before = tree(clients.root)
    clients("install", name, endpoint=endpoint)
    status, _ = clients("remove", name, endpoint=endpoint)
    assert status == 0
    lasting = {path for path in tree(clients.root) if path in CLIENTS[name].lasting}
    assert {path: text for path, text in tree(clients.root).items() if path not in lasting} == before


def test_an_existing_file_keeps_its_keys_its_mode_and_its_link(clients):
    kept = clients.root / "srv" / "docker.json"
    kept.parent.mkdir()
    kept.write_text('{"debug": true}')
    kept.chmod(0o640)
    (clients.root / "etc/docker").mkdir(parents=True)
    (clients.root / "etc/docker/daemon.json").symlink_to("../../srv/docker.json")
    assert clients("install", "docker")[0] == 0
    assert json.loads(kept.read_text()) == {"debug": True, "insecure-registries": [HOST]}
    assert kept.stat().st_mode & 0o777 == 0o640
    assert (clients.root / "etc/docker/daemon.json").is_symlink()


def test_a_diff_is_printed_and_a_dry_run_writes_nothing(clients):
    status, told = clients("install", "podman", "--dry-run")
    assert status == 0
    assert f'+location = "{HOST}"' in told
    assert "Nothing was written" in told
    assert tree(clients.root) == {}


def test_credentials_are_written_only_when_they_are_asked_for_and_never_printed(clients):
    _, told = clients("install", "docker")
    assert not (clients.root / "home").exists()
    _, again = clients("install", "docker", "--with-credentials", "ci")
    file = clients.root / "home/me/.docker/config.json"
    assert list(json.loads(file.read_text())["auths"]) == [HOST]
    assert file.stat().st_mode & 0o777 == 0o600
    encoded = json.loads(file.read_text())["auths"][HOST]["auth"]
    assert not [text for text in (told, again) if WORD in text or encoded in text]


def test_credentials_are_merged_with_those_for_others(clients):
    file = clients.root / "home/me/.config/containers/auth.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"auths": {"quay.io": {"auth": "eDp5"}}}')
    clients("install", "skopeo", "--with-credentials", "ci")
    assert sorted(json.loads(file.read_text())["auths"]) == ["quay.io", HOST]


def test_containerd_is_given_the_table_of_the_version_that_its_config_has(clients):
    config = clients.root / "etc/containerd/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("# mine\nversion = 2\n")
    clients("install", "containerd")
    assert config.read_text().startswith("# mine\nversion = 2\n")
    assert "io.containerd.grpc.v1.cri" in config.read_text(), "containerd 2.x reads version 2 as well"


def test_a_folder_that_containerd_looks_in_already_is_used(clients):
    config = clients.root / "etc/containerd/config.toml"
    config.parent.mkdir(parents=True)
    text = 'version = 3\n[plugins."io.containerd.cri.v1.images".registry]\nconfig_path = "/etc/elsewhere"\n'
    config.write_text(text)
    clients("install", "containerd")
    assert config.read_text() == text
    assert (clients.root / "etc/elsewhere" / HOST / "hosts.toml").exists()


def test_a_list_of_folders_which_does_not_work_is_made_one(clients):
    config = clients.root / "etc/containerd/config.toml"
    config.parent.mkdir(parents=True)
    table = '[plugins."io.containerd.cri.v1.images".registry]\n'
    config.write_text(f'version = 3\n{table}config_path = "/etc/containerd/certs.d:/etc/docker/certs.d"\n')
    clients("install", "containerd")
    assert config.read_text() == f'version = 3\n{table}config_path = "/etc/containerd/certs.d"\n'


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("dokcer",), 2, "no client 'dokcer'; did you mean docker?; known: "),
        (("docker", "--place", "node", "--with-credentials", "nobody"), 2, "no account 'nobody'; known: ci"),
        (("containerd", "--with-credentials", "ci"), 2, "containerd keeps no credentials"),
        (("containerd", "--place", "pod"), 2, "containerd is not used there; allowed: node"),
        (("containerd", "--version", "1.4"), 2, "containerd 1.4 is too old; allowed: 1.5 or newer"),
        (("containerd", "--version", "latest"), 2, "'latest' is no version"),
        (("podman", "--place", "outside", "--host", "../../x"), 2, "is no name of a registry"),
    ],
)
def test_a_wrong_argument_is_refused_with_what_is_allowed(clients, arguments, status, says):
    given, told = clients("install", *arguments)
    assert given == status
    assert says in told
    assert tree(clients.root) == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [('{\n"debug": tru\n}', ", line 2: "), ("[1]", ", line 1: not a mapping"), (b"\xff\xfe", "is no text")],
)
def test_a_malformed_file_is_left_as_it_is(clients, text, says):
    file = clients.root / "etc/docker/daemon.json"
    file.parent.mkdir(parents=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    before = file.read_bytes()
    status, told = clients("install", "docker", "--with-credentials", "ci")
    assert status == 1
    assert says in told
    assert file.read_bytes() == before
    assert not (clients.root / "home").exists(), "nothing was written at all"


def test_a_link_out_of_the_root_is_not_followed(clients, tmp_path):
    (tmp_path / "outside").mkdir()
    (clients.root / "etc").mkdir()
    (clients.root / "etc/docker").symlink_to(tmp_path / "outside")
    status, told = clients("install", "docker")
    assert status == 1
    assert "out of" in told
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize("host", ["../../etc/x", "a b", "a;reboot", "a\nb", "$(x)", ""])
def test_a_name_that_is_none_is_refused_before_it_is_in_any_path(clients, host):
    endpoint = Endpoint(host=host, address="10.96.0.50")
    status, told = clients("install", "crane", endpoint=endpoint)
    assert status == 2
    assert "is no name of a registry" in told


def test_a_stack_without_the_output_is_told_to_go_up(tmp_path):
    (tmp_path / "o.json").write_text("{}")
    command = [sys.executable, "-m", "components.clients", "show", "podman", "--outputs", str(tmp_path / "o.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: the stack has no output endpoint: run `pulumi up` first\n"


def test_one_file_is_shown_as_it_is(clients):
    [path] = CLIENTS["podman"].files(PLAIN)
    assert clients("show", "podman", path) == (0, CLIENTS["podman"].files(PLAIN)[path])


def test_a_version_picks_the_format_that_it_reads():
    containerd = CLIENTS["containerd"]
    assert [containerd.format(each) for each in (None, "2.4.2", "v2.0.0-rc.1", "1.7.30", "1.6")] == [
        "2.0", "2.0", "2.0", "1.5", "1.5",
    ]  # fmt: skip
    with pytest.raises(UnknownVersion):
        containerd.format("1.4.13")


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("dial tcp: lookup registry on 10.0.0.1:53: no such host", "no DNS knows the name"),
        ("dial tcp 10.96.0.50:80: connect: connection refused", "nothing listens there"),
        ("dial tcp 10.96.0.50:443: i/o timeout", "no answer in time"),
        ("net/http: request canceled (Client.Timeout exceeded while awaiting headers)", "no answer in time"),
        (
            "tls: failed to verify certificate: x509: certificate signed by unknown authority",
            "the client does not trust the CA",
        ),
        ("x509: certificate is valid for a, not b", "the certificate is for another name"),
        ("http: server gave HTTP response to HTTPS client", "plain HTTP, and the client was not told"),
        ("unauthorized: authentication required", "credentials are missing or wrong"),
        (
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock.",
            "the client's own daemon does not answer",
        ),
        ("manifest unknown: manifest unknown", None),
        ("Error response from daemon: manifest for r/x:absent not found: manifest unknown", None),
        ("a word of its own", "something else"),
    ],
)
def test_what_a_client_says_is_explained_with_a_remedy(said, cause):
    finding = explain(False, said, 0.1, CLIENTS["docker"], PLAIN, Place.NODE)
    assert finding.cause == cause
    assert bool(finding.remedy) == (cause is not None)
    assert "{" not in finding.remedy
