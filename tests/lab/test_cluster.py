"""The parts of the cluster that need none: processes, addresses, volumes, images, rights."""

import os
import subprocess
import tarfile
import tomllib

import pytest

from lab import checks, configs, facts, images, network, paths, process, second, storage
from lab.errors import CannotRun, Missing


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "STATE", tmp_path)
    return tmp_path


def test_a_reused_process_id_is_not_taken_for_ours_and_not_killed(state):
    child = subprocess.Popen(["sleep", "60"])
    try:
        (state / "run").mkdir()
        process.record("etcd").write_text(f"{child.pid} 1 {process.boot()}\n")
        assert not process.alive("etcd")
        process.stop([process.known("etcd")], 0.1)
        assert child.poll() is None
    finally:
        child.kill()
        child.wait()


def test_a_process_is_known_by_its_start_and_stopped():
    started = process.start("sleeper", ["sleep", "60"])
    assert process.alive("sleeper")
    process.stop([started], 2)
    assert not started.alive
    assert process.known("sleeper") is None


def test_two_labs_on_a_machine_share_no_address():
    first, second = facts.named("lab"), facts.named("lab1")
    for kind in ("services", "pods", "node_network"):
        assert not getattr(first, kind).overlaps(getattr(second, kind))
    assert str(first.dns) == "10.96.0.53"
    assert first.node == "10.99.0.10"


@pytest.mark.parametrize("name", ["", "Lab", "lab10", "a-b"])
def test_a_bad_name_is_refused_with_an_example(name):
    with pytest.raises(Missing, match="lab1"):
        facts.named(name)


def test_a_network_that_is_taken_is_named_with_its_interface(monkeypatch):
    monkeypatch.setattr(network, "run", lambda *a, **k: '[{"dst": "10.96.4.0/24", "dev": "tun7"}]')
    with pytest.raises(
        Missing, match=r"10\.96\.0\.0/16 overlaps 10\.96\.4\.0/24, which this machine has at tun7.*--name lab1"
    ):
        network.free()


def test_a_missing_right_is_one_line_with_a_remedy(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(CannotRun) as caught:
        checks.require()
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)
    assert "not root" in str(caught.value)
    assert "make local" in str(caught.value)


@pytest.mark.parametrize(("small", "large"), [("1Gi", "1100Mi"), ("1G", "1Gi"), ("500m", "1"), ("999999k", "1e9")])
def test_quantities_compare_by_amount(small, large):
    assert storage.amount(small) < storage.amount(large)


def claim(**status):
    return {
        "metadata": {"name": "data", "namespace": "registry", "uid": "u-1", "annotations": {storage.SELECTED: "lab"}},
        "spec": {
            "storageClassName": "lab-local",
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "2Gi"}},
            **({"volumeName": "pvc-u-1"} if status else {}),
        },
        "status": status,
    }


class Api:
    """Records what is asked for."""

    def __init__(self, volume=None):
        self.volume, self.done = volume, []

    def get(self, kind, name):
        return (
            {"provisioner": facts.PROVISIONER, "reclaimPolicy": "Delete", "volumeBindingMode": "WaitForFirstConsumer"}
            if kind == "StorageClass"
            else self.volume
        )

    def apply(self, manifest):
        self.done.append(manifest)

    def patch(self, kind, name, change, *rest):
        self.done.append((kind, change))

    def delete(self, kind, name):
        self.done.append(("delete", name))


def test_a_placed_claim_gets_a_local_volume_of_its_size_on_its_node(state):
    api = Api()
    storage.serve_claim(api, claim())
    [volume] = api.done
    assert volume["spec"]["capacity"]["storage"] == "2Gi"
    assert volume["spec"]["claimRef"]["uid"] == "u-1"
    assert (state / "volumes" / "registry-data-u-1").is_dir()


def test_a_claim_that_asks_for_more_grows_volume_and_claim():
    api = Api({"spec": {"capacity": {"storage": "1Gi"}}})
    storage.serve_claim(api, claim(capacity={"storage": "1Gi"}))
    assert [kind for kind, _ in api.done] == ["PersistentVolume", "PersistentVolumeClaim"]


def test_a_claim_that_has_its_size_is_left_alone():
    api = Api({"spec": {"capacity": {"storage": "2Gi"}}})
    storage.serve_claim(api, claim(capacity={"storage": "2Gi"}))
    assert api.done == []


@pytest.mark.parametrize(("policy", "removed"), [("Delete", True), ("Retain", False)])
def test_a_released_volume_goes_with_its_folder_only_where_its_policy_says_so(state, policy, removed):
    volume = storage.volume_for(claim(), "lab", policy) | {"status": {"phase": "Released"}}
    folder = state / "volumes" / "registry-data-u-1"
    folder.mkdir(parents=True)
    storage.serve_volume(api := Api(), volume)
    assert bool(api.done) is removed
    assert folder.exists() is not removed


def test_the_caddy_image_carries_the_file_capability_of_the_published_one(state, monkeypatch):
    monkeypatch.setattr(images, "contents", lambda image: {"usr/bin/caddy": "x", "etc/image": image.name})
    caddy = next(image for image in images.IMAGES if image.name == facts.CADDY_IMAGE)
    images.assemble(caddy, state / "caddy.tar")
    with tarfile.open(state / "caddy.tar") as archive, tarfile.open(fileobj=archive.extractfile("layer.tar")) as layer:
        pax = layer.getmember("usr/bin/caddy").pax_headers
    assert pax["SCHILY.xattr.security.capability"].encode("utf-8", "surrogateescape") == images.NET_BIND_SERVICE


def test_containerd_reads_the_nodes_own_registry_files(monkeypatch, tmp_path):
    monkeypatch.setattr(configs.programs, "path", lambda name: tmp_path / name)
    assert 'config_path = "/etc/containerd/certs.d"' in configs.containerd("native")


def test_the_second_nodes_containerd_reads_drop_ins_and_has_no_folder_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setattr(second.programs, "path", lambda name: tmp_path / name)
    text = second.containerd("overlayfs")
    assert tomllib.loads(text)["imports"] == ["/etc/k0s/containerd.d/*.toml"]
    assert text.startswith("# k0s_managed=true\n")
    assert "config_path" not in text, "as k0s: somebody has to say it"
