"""The script on a node: run for real, by dash and by busybox, with folders that stand for the node's."""

import shutil
import signal
import subprocess
import time
import tomllib
from pathlib import Path

import pytest

from components.render import node_config
from components.render.clients import containerd
from components.render.endpoint import Endpoint
from components.settings import NodeKind
from lab import images

TOOLS = ["sh", "awk", "cat", "chmod", "cmp", "cp", "grep", "head", "ls", "mkdir", "mv", "rm", "rmdir", "sed", "sleep"]
SHELLS = [name for name in ("dash", "busybox") if shutil.which(name)]
HOST = "registry.registry.svc.cluster.local"
PLAIN = Endpoint(host=HOST, address="10.96.0.50")
TLS = Endpoint(host=HOST, address="10.96.0.50", https=True, ca="PEM\n", verifies_address=True)
CERTS = f"etc/containerd/certs.d/{HOST}"
HOSTS, CA, OWNER = f"{CERTS}/hosts.toml", f"{CERTS}/ca.crt", f"{CERTS}/.owner"
K0S = "etc/k0s/containerd.d"
DROP_IN = f"{K0S}/registry.toml"
CONFIG = "etc/containerd/config.toml"
CONF_D = "etc/containerd/conf.d/registry.toml"
CONFIG_D = "etc/containerd/config.d/registry.toml"
CRI2 = '[plugins."io.containerd.grpc.v1.cri"'
CRI3 = '[plugins."io.containerd.cri.v1.images"'


def until(get, seconds=10):
    end = time.monotonic() + seconds
    while not (value := get()):
        assert time.monotonic() < end, "not within the time"
        time.sleep(0.01)
    return value


class Node:
    """A node's folders, and the pods on it."""

    def __init__(self, folder: Path, shell: str) -> None:
        self.root, self.wanted, self.folder = folder / "node", folder / "wanted", folder
        (folder / "bin").mkdir()
        for tool in TOOLS:  # nothing else can be called
            program = shell if tool == "sh" or shell == "busybox" else tool
            (folder / "bin" / tool).symlink_to(shutil.which(program))
        self.pods: list[subprocess.Popen] = []
        self.want(PLAIN)

    @property
    def asked(self) -> int:
        """How often containerd was asked for its version."""
        return len((self.text("var/calls") or "").splitlines())

    def want(self, endpoint: Endpoint, without: str = "") -> None:
        """In one step, as kubelet does it."""
        files = node_config.files(endpoint)
        fresh = self.folder / f"wanted-{time.monotonic_ns()}"
        fresh.mkdir()
        for name, content in files.items():
            if name != without:
                (fresh / name).write_text(content)
        link = self.folder / "new"
        link.symlink_to(fresh)
        link.replace(self.wanted)

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def containerd(self, version: str) -> None:
        told = f"containerd github.com/containerd/x {version} 1"
        fresh = self.write("var/lib/k0s/bin/new", f"#!/bin/sh\necho >>{self.root}/var/calls\necho {told}\n")
        fresh.chmod(0o755)
        fresh.replace(self.root / "var/lib/k0s/bin/containerd")

    def run(self, kind: NodeKind = NodeKind.K0S, uid: str = "one", host: str = HOST) -> "Pod":
        if kind is NodeKind.K0S:
            (self.root / K0S).mkdir(parents=True, exist_ok=True)
            if not (self.root / "var").exists():
                self.containerd("v2.3.3")
        pod = Pod(self, kind, uid, host)
        self.pods.append(pod.process)
        return pod

    def text(self, path: str) -> str | None:
        return (self.root / path).read_text() if (self.root / path).is_file() else None

    def files(self) -> set[str]:
        return {str(f.relative_to(self.root)) for f in self.root.rglob("*") if f.is_file() and "var" not in f.parts}


class Pod:
    def __init__(self, node: Node, kind: NodeKind, uid: str, host: str) -> None:
        self.state = node.folder / f"state-{uid}-{host.replace('/', '_')}"[:200]
        self.state.mkdir(exist_ok=True)
        self.log_file = self.state / "log"
        environment = {
            **node_config.environment(kind), "HOST": host, "POD_UID": uid, "PATH": str(node.folder / "bin"),
            "ROOT": str(node.root), "WANTED": str(node.wanted), "STATE": str(self.state), "PERIOD": "0.05",
        }  # fmt: skip
        (node.folder / "script").write_text(node_config.SCRIPT)
        with self.log_file.open("w") as log:
            self.process = subprocess.Popen(
                [node.folder / "bin" / "sh", node.folder / "script"], env=environment, cwd=node.folder, stdout=log,
                stderr=subprocess.STDOUT,
            )  # fmt: skip

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    @property
    def is_ready(self) -> bool:
        return (self.state / "ready").exists()

    def ready(self) -> "Pod":
        until(lambda: self.is_ready or self.process.poll() is not None)
        assert self.is_ready, self.log
        return self

    def refused(self) -> str:
        """The reason why it is not ready."""
        until(lambda: "not ready" in self.log)
        assert not self.is_ready, self.log
        return self.log

    def end(self, sign: int = signal.SIGTERM) -> str:
        began = time.monotonic()
        self.process.send_signal(sign)
        self.process.wait(10)
        assert time.monotonic() - began < 5, "within the pod's grace period"
        return self.log


@pytest.fixture(params=SHELLS)
def node(tmp_path, request):
    node = Node(tmp_path, request.param)
    yield node
    for pod in node.pods:
        pod.kill()
        pod.wait()


def test_the_tools_are_in_the_image_that_stands_for_the_published_one():
    assert set(TOOLS) <= set(images.SHELL.split())


@pytest.mark.parametrize(("told", "version"), [("v1.7.34", 2), ("v2.3.3", 3), ("2.4.2+unknown", 3)])
def test_k0s_gets_hosts_toml_and_the_drop_in_of_its_containerds_version(node, told, version):
    node.containerd(told)
    node.run().ready()
    assert tomllib.loads(node.text(DROP_IN)) == tomllib.loads(containerd.drop_in(version))
    assert tomllib.loads(node.text(HOSTS))["server"] == "http://10.96.0.50:80"
    assert {(node.root / f).stat().st_mode & 0o777 for f in (DROP_IN, HOSTS)} == {0o644}
    assert node.files() == {DROP_IN, HOSTS, OWNER}


def test_what_is_as_wanted_is_not_written_again_and_what_changes_is(node):
    node.run().ready()
    before = (node.root / DROP_IN).stat()
    node.want(TLS)
    until(lambda: "https" in node.text(HOSTS))
    hosts = (node.root / HOSTS).stat()
    node.want(PLAIN)
    until(lambda: "https" not in node.text(HOSTS))
    after = (node.root / DROP_IN).stat()
    assert node.asked == 1, "its version is asked for when the program has changed"
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns), "each write restarts containerd"
    assert (node.root / HOSTS).stat().st_ino != hosts.st_ino, "in one step"


def test_a_restarted_container_finds_its_files_and_writes_none(node):
    node.run().ready().end(signal.SIGKILL)
    before = {file: (node.root / file).stat().st_ino for file in (DROP_IN, HOSTS)}
    pod = node.run().ready()
    assert {file: (node.root / file).stat().st_ino for file in (DROP_IN, HOSTS)} == before
    assert "wrote" not in pod.log


def test_another_version_of_containerd_replaces_the_drop_in(node):
    node.containerd("v1.7.34")
    node.run().ready()
    node.containerd("v2.3.3")
    until(lambda: tomllib.loads(node.text(DROP_IN))["version"] == 3)


@pytest.mark.parametrize("folder", ["/etc/k0s/containerd.d/certs.d", "/etc/containerd/certs.d/"])
def test_a_config_path_that_somebody_has_set_is_used(node, folder):
    other = node.write(f"{K0S}/mirror.toml", f"version = 3\n{CRI3}.registry]\n  config_path = '{folder}' # ours\n")
    node.run().ready()
    assert node.text(DROP_IN) is None
    assert node.text(f"{folder.strip('/')}/{HOST}/hosts.toml")
    assert "ours" in other.read_text()


def test_a_config_path_that_comes_later_takes_over_and_our_drop_in_goes(node):
    node.run().ready()
    node.write(f"{K0S}/a.toml", f'version = 3\n{CRI3}.registry]\nconfig_path = "/etc/k0s/containerd.d/hosts"\n')
    until(lambda: node.text(DROP_IN) is None)
    assert node.text(f"{K0S}/hosts/{HOST}/hosts.toml")
    assert node.text(HOSTS) is None


def test_a_config_path_out_of_reach_is_told_with_the_one_that_would_do(node):
    node.write(f"{K0S}/other.toml", f'{CRI3}.registry]\nconfig_path = "/opt/certs"\n')
    log = node.run().refused()
    assert "config_path is /opt/certs, which is not mounted here: give it /etc/containerd/certs.d" in log
    assert node.files() == {f"{K0S}/other.toml"}


def test_a_folder_beside_a_mounted_one_is_not_in_it(node):
    node.write(f"{K0S}/other.toml", f'{CRI3}.registry]\nconfig_path = "/etc/k0s/containerd.d/../x"\n')
    assert "not mounted" in node.run().refused()


LIST = "/etc/containerd/certs.d:/etc/docker/certs.d"


def test_a_list_of_folders_does_not_count_with_containerd_2(node):
    node.write(f"{K0S}/a.toml", f'version = 3\n{CRI3}.registry]\nconfig_path = "{LIST}"\n')
    node.run().ready()
    assert tomllib.loads(node.text(DROP_IN))["version"] == 3


def test_a_list_that_wins_over_our_drop_in_is_told(node):
    node.write(f"{K0S}/z.toml", f'version = 3\n{CRI3}.registry]\nconfig_path = "{LIST}"\n')
    pod = node.run()
    until(lambda: "/etc/k0s/containerd.d/z.toml gives config_path a list" in pod.log)
    until(lambda: not pod.is_ready)


def test_of_a_list_containerd_1_looks_in_the_first_folder(node):
    node.containerd("v1.7.34")
    node.write(f"{K0S}/a.toml", f'version = 2\n{CRI2}.registry]\nconfig_path = "{LIST}"\n')
    node.run().ready()
    assert node.text(DROP_IN) is None
    assert node.text(HOSTS)


def test_a_setting_that_is_none_does_not_count(node):
    node.write(f"{K0S}/a.toml", f'version = 3\n# {CRI3}.registry]\n{CRI3}.registry]\n# config_path = "/opt/certs"\n')
    node.write(f"{K0S}/b.toml", '[plugins."io.containerd.transfer.v1.local"]\nconfig_path = "/opt/certs"\n')
    node.write(f"{K0S}/c.conf", f'{CRI3}.registry]\nconfig_path = "/opt/certs"\n')
    node.run().ready()
    assert node.text(DROP_IN)


def test_a_version_that_cannot_be_told_is_a_reason(node):
    node.containerd("nightly")
    assert (
        "no version of /var/lib/k0s/bin/containerd: containerd github.com/containerd/x nightly" in node.run().refused()
    )


def test_a_reason_is_told_once_for_each_time(node):
    node.containerd("nightly")
    pod = node.run()
    until(lambda: node.asked > 3)
    assert pod.log.count("not ready") == 1
    node.containerd("v2.3.3")
    pod.ready()
    node.containerd("nightly")
    until(lambda: not pod.is_ready)
    assert pod.log.count("not ready") == 2, pod.log


@pytest.mark.parametrize("path", [HOSTS, DROP_IN])
def test_a_file_of_somebody_else_in_our_place_is_left_alone_and_told(node, path):
    mine = node.write(path, "# mine\n")
    pod = node.run()
    assert f"/{path} is there and was not written by this: remove it" in pod.refused()
    assert mine.read_text() == "# mine\n"
    mine.unlink()
    pod.ready()
    assert mine.read_text() != "# mine\n"


def test_what_somebody_has_written_just_the_same_stays_theirs(node):
    hosts = node.write(HOSTS, next(iter(containerd.files(PLAIN).values())))
    drop_in = node.write(DROP_IN, containerd.drop_in(3))
    pod = node.run().ready()
    assert "wrote" not in pod.log
    pod.end()
    assert hosts.exists()
    assert drop_in.exists()


def test_a_folder_that_cannot_be_written_is_a_reason(node):
    node.write(CERTS, "a file where a folder should be")
    assert f"cannot write to /{CERTS}" in node.run().refused()


def test_the_end_removes_what_was_written_and_nothing_else(node):
    node.want(TLS)
    node.write(f"{K0S}/other.toml", "# other\n")
    node.write("etc/containerd/certs.d/docker.io/hosts.toml", "# other\n")
    before = node.files()
    pod = node.run().ready()
    log = pod.end()
    assert node.files() == before
    assert not (node.root / CERTS).exists()
    assert [f"removed /{path}" in log for path in (HOSTS, CA, DROP_IN)] == [True] * 3


def test_the_end_keeps_a_folder_in_which_somebody_else_has_a_file(node):
    pod = node.run().ready()
    node.write(f"{CERTS}/client.cert", "theirs")
    node.write(HOSTS, "# edited by hand\n")
    until(lambda: not pod.is_ready)
    pod.end()
    assert node.files() == {f"{CERTS}/client.cert", HOSTS}


def test_an_end_while_another_pod_has_taken_over_removes_nothing(node):
    old = node.run(uid="old").ready()
    new = node.run(uid="new").ready()
    until(lambda: "pod new has taken over" in old.log)
    files = node.files()
    old.end()
    assert node.files() == files
    assert node.text(OWNER).strip() == "new"
    new.end()
    assert node.files() == set()


def test_a_pod_whose_successor_is_gone_takes_the_node_back(node):
    old = node.run(uid="old").ready()
    new = node.run(uid="new").ready()
    until(lambda: "taken over" in old.log)
    new.end()
    until(lambda: (node.text(OWNER) or "").strip() == "old" and node.text(DROP_IN))


def test_the_drop_in_stays_until_the_last_registry_goes(node):
    other = "registry.other.svc.cluster.local"
    first, second = node.run().ready(), node.run(uid="two", host=other).ready()
    inode = (node.root / DROP_IN).stat().st_ino
    first.end()
    assert (node.root / DROP_IN).stat().st_ino == inode
    second.end()
    assert node.files() == set()


def test_the_ca_comes_before_hosts_toml_and_goes_after_it(node):
    node.want(TLS, without="ca.crt")
    pod = node.run()
    pod.refused()
    assert node.text(HOSTS) is None, "it would name a file that is not there"
    node.want(TLS)
    pod.ready()
    assert pod.log.index(f"wrote /{CA}") < pod.log.index(f"wrote /{HOSTS}")
    assert node.text(CA).endswith("PEM\n")
    node.want(PLAIN)
    until(lambda: node.text(CA) is None)
    assert "https" not in node.text(HOSTS)
    assert pod.is_ready


def test_the_drop_in_comes_last(node):
    log = node.run().ready().log
    assert log.index("hosts.toml") < log.index("registry.toml"), "containerd restarts for it"


def test_wanted_files_that_are_gone_change_nothing(node):
    pod = node.run().ready()
    files = node.files()
    node.wanted.unlink()
    until(lambda: "the wanted files are not there" in pod.log)
    assert node.files() == files


IMPORTS = 'version = 3\nimports = ["/etc/containerd/conf.d/*.toml"]\n'
DEFAULT = f"{IMPORTS}{CRI3}.registry]\n      config_path = '{LIST}'\n"  # as `containerd config default` writes it
GIVEN = {
    "the default of 2.2": (DEFAULT, CONF_D, 3),
    "version 4": (IMPORTS.replace("3", "4"), CONF_D, 3),
    "imports on several lines": (
        "version = 3\nimports = [\n  # [mine]\n  'conf.d/*.toml',\n  \"/opt/*.toml\",\n]\n[plugins]\n",
        CONF_D,
        3,
    ),
    "another folder": ("imports = ['/etc/containerd/config.d/*.toml']\nversion = 3\n", CONFIG_D, 3),
    "version 2 without CRI settings": (IMPORTS.replace("3", "2"), CONF_D, 2),
    "a folder of version 2": (f'version = 2\n{CRI2}.registry]\nconfig_path = "/etc/containerd/certs.d"\n', None, 0),
    "a folder of version 3": (f'version = 3\n{CRI3}.registry]\nconfig_path = "/etc/containerd/certs.d"\n', None, 0),
    "dotted": (f'version = 3\n{CRI3}]\nregistry.config_path = "/etc/containerd/certs.d"\n', None, 0),
}  # fmt: skip


@pytest.mark.parametrize(("config", "drop_in", "version"), GIVEN.values(), ids=GIVEN)
def test_plain_containerd_gets_a_drop_in_where_it_reads_one_and_needs_it(node, config, drop_in, version):
    node.write(CONFIG, config)
    pod = node.run(NodeKind.CONTAINERD).ready()
    assert node.text(HOSTS)
    assert node.files() - {CONFIG, HOSTS, OWNER} == ({drop_in} if drop_in else set())
    assert (f"restart containerd once on this node: it reads /{drop_in}" in pod.log) is bool(drop_in)
    if drop_in:
        assert tomllib.loads(node.text(drop_in))["version"] == version
    pod.end()
    assert node.files() == {CONFIG}


REFUSED = {
    "no config.toml": (None, "there is no /etc/containerd/config.toml: make one with 'containerd config default'"),
    "version 1": ('[plugins.cri]\nx = "y"\n', "is of version 1: go over to version 2"),
    "no imports": (
        f"version = 3\n{CRI3}.registry]\nconfig_path = ''\n",
        "imports none for drop-ins: set config_path =",
    ),
    "imports from elsewhere": ("version = 3\nimports = ['/opt/*.toml']\n", "imports none for drop-ins"),
    "settings that a drop-in would replace": (
        f'{IMPORTS.replace("3", "2")}{CRI2}]\nsandbox_image = "x"\n',
        "a drop-in would replace the CRI settings in /etc/containerd/config.toml: set config_path =",
    ),
    "a folder elsewhere": (f'version = 3\n{CRI3}.registry]\nconfig_path = "/opt/c"\n', "config_path is /opt/c"),
}


@pytest.mark.parametrize(("config", "reason"), REFUSED.values(), ids=REFUSED)
def test_plain_containerd_that_would_not_read_a_drop_in_is_told(node, config, reason):
    (node.root / CONFIG).parent.mkdir(parents=True)
    if config:
        node.write(CONFIG, config)
    assert reason in node.run(NodeKind.CONTAINERD).refused()
    assert node.files() == ({CONFIG} if config else set())


def test_a_folder_of_an_imported_file_counts(node):
    node.write(CONFIG, DEFAULT)
    node.write(CONF_D.replace("registry", "z"), f'version = 3\n{CRI3}.registry]\nconfig_path = "/etc/containerd/c"\n')
    node.run(NodeKind.CONTAINERD).ready()
    assert node.text(CONF_D) is None
    assert node.text(f"etc/containerd/c/{HOST}/hosts.toml")


def test_k3s_that_remakes_its_folder_gets_the_file_again(node):
    home = "var/lib/rancher/k3s/agent/etc/containerd"
    node.write(f"{home}/config.toml", f'version = 3\n{CRI3}.registry]\nconfig_path = "/{home}/certs.d"\n')
    node.run(NodeKind.K3S).ready()
    shutil.rmtree(node.root / home / "certs.d")
    until(lambda: node.text(f"{home}/certs.d/{HOST}/hosts.toml"))


@pytest.mark.parametrize("host", ["$(touch hit)", "`touch hit`", "a; touch hit;", "a b* $HOME", "-rf", "'\"\\"])
def test_a_hosts_name_is_a_name_and_no_command(node, host):
    pod = node.run(host=host).ready()
    assert node.text(f"etc/containerd/certs.d/{host}/hosts.toml")
    pod.end()
    assert node.files() == set()
    assert not list(node.folder.rglob("hit"))


@pytest.mark.parametrize("host", ["", "..", "../x", "/etc", "a/b"])
def test_a_hosts_name_that_is_a_path_is_refused(node, host):
    pod = node.run(host=host)
    assert pod.process.wait(10) == 1
    assert "HOST is no host's name" in pod.log
    assert node.files() == set()


def test_an_end_in_the_middle_of_a_round_lets_it_finish_and_removes_everything(node):
    tool, here, go = (node.folder / name for name in ("bin/chmod", "here", "go"))
    program = f"{tool.resolve()} chmod" if tool.resolve().name == "busybox" else str(tool.resolve())
    tool.unlink()
    tool.write_text(f'#!/bin/sh\n: >{here}\nwhile ! [ -e {go} ]; do sleep 0.01; done\nexec {program} "$@"\n')
    tool.chmod(0o755)
    pod = node.run()
    until(here.exists)
    pod.process.terminate()
    go.touch()
    pod.process.wait(5)
    assert node.files() == set()
    assert f"wrote /{DROP_IN}" in pod.log


def test_what_a_configuration_says_is_no_command(node):
    node.write(f"{K0S}/a.toml", f"{CRI3}.registry]\nconfig_path = '/etc/k0s/containerd.d/$(touch hit)`touch hit`'\n")
    node.run().ready()
    assert node.text(f"{K0S}/$(touch hit)`touch hit`/{HOST}/hosts.toml")
    assert not list(node.folder.rglob("hit"))


def test_every_file_bears_the_mark_and_parses():
    files = node_config.files(TLS)
    assert set(files) == {"hosts.toml", "ca.crt", "drop-in-2.toml", "drop-in-3.toml"}
    for name, content in files.items():
        assert content.startswith("# written by the registry's NodeConfig")
        if name.endswith(".toml"):
            assert tomllib.loads(content)
