"""Every other rendered file, parsed back."""

import json
import tomllib

import pytest
import yaml

from components.render import clients, distribution
from components.render.clients import containerd, k0s
from components.render.endpoint import Endpoint
from components.render.front import Listen

ENDPOINT = Endpoint(host="registry.registry.svc.cluster.local", address="10.96.0.50")
HOSTS = "/etc/containerd/certs.d/registry.registry.svc.cluster.local/hosts.toml"


def test_the_registry_listens_on_loopback_alone():
    config = yaml.safe_load(distribution.config())
    assert config["http"]["addr"] == "127.0.0.1:5000"
    assert config["http"]["debug"]["addr"] == "127.0.0.1:5001", "its debug server has pprof and no accounts"


def test_the_registry_config_has_what_the_registry_panics_without():
    purging = yaml.safe_load(distribution.config())["storage"]["maintenance"]["uploadpurging"]
    assert set(purging) == {"enabled", "age", "interval", "dryrun"}


def test_the_registry_config_answers_with_relative_addresses_and_holds_no_secret():
    http = yaml.safe_load(distribution.config(Listen(registry=1), "/d"))["http"]
    assert http["relativeurls"] is True
    assert "secret" not in http


def test_podman_is_told_that_the_registry_is_insecure():
    [(path, content)] = clients.files(ENDPOINT)["podman"].items()
    assert path == "/etc/containers/registries.conf.d/50-registry.registry.svc.cluster.local.conf"
    assert tomllib.loads(content) == {"registry": [{"location": ENDPOINT.host, "insecure": True}]}


def test_containerd_finds_the_name_at_the_services_address():
    hosts = tomllib.loads(clients.files(ENDPOINT)["containerd"][HOSTS])
    url = "http://10.96.0.50:80"
    assert hosts == {"server": url, "host": {url: {"capabilities": ["pull", "resolve", "push"]}}}


def test_an_http_host_of_containerd_never_skips_verification_and_names_its_port():
    content = clients.files(ENDPOINT)["containerd"][HOSTS]
    assert "skip_verify" not in content, "with it containerd tries https first"
    assert ":80" in content


def test_an_ipv6_address_stands_in_brackets():
    assert Endpoint(host="h", address="fd00::50").node_url == "http://[fd00::50]:80"


TLS = Endpoint(host=ENDPOINT.host, address=ENDPOINT.address, https=True, ca="PEM\n", verifies_address=True)


def test_with_tls_podman_is_given_the_ca_and_told_that_nothing_is_insecure():
    files = clients.files(TLS)["podman"]
    conf = tomllib.loads(files["/etc/containers/registries.conf.d/50-registry.registry.svc.cluster.local.conf"])
    assert conf["registry"][0]["insecure"] is False, "the same file as before, or the old one would stay"
    assert files["/etc/containers/certs.d/registry.registry.svc.cluster.local/ca.crt"] == "PEM\n"


def test_with_tls_containerd_verifies_the_services_address():
    files = clients.files(TLS)["containerd"]
    url = "https://10.96.0.50:443"
    assert tomllib.loads(files[HOSTS]) == {
        "server": url,
        "ca": "ca.crt",
        "host": {url: {"capabilities": ["pull", "resolve", "push"], "ca": "ca.crt"}},
    }
    assert files[HOSTS.replace("hosts.toml", "ca.crt")] == "PEM\n"


@pytest.mark.parametrize(
    ("http", "url"), [(True, "http://10.96.0.50:80"), (False, "https://registry.registry.svc.cluster.local:443")]
)
def test_where_the_certificate_is_not_for_the_address_nodes_take_plain_http_if_there_is_one(http, url):
    endpoint = Endpoint(host=ENDPOINT.host, address=ENDPOINT.address, https=True, ca="PEM\n", http=http)
    hosts = tomllib.loads(clients.files(endpoint)["containerd"][HOSTS])
    assert hosts["server"] == url
    assert "skip_verify" not in str(hosts)


def test_docker_is_told_of_an_insecure_registry_or_given_the_ca_but_never_both():
    [(path, content)] = clients.files(ENDPOINT)["docker"].items()
    assert path == "/etc/docker/daemon.json"
    assert json.loads(content) == {"insecure-registries": [ENDPOINT.host]}
    assert clients.files(TLS)["docker"] == {f"/etc/docker/certs.d/{ENDPOINT.host}/ca.crt": "PEM\n"}


def test_a_public_ca_needs_no_file():
    public = Endpoint(host="r.example.com", address="10.96.0.50", https=True)
    assert clients.files(public)["docker"] == {}
    assert len(clients.files(public)["podman"]) == 1


@pytest.mark.parametrize(("version", "table"), [(2, "io.containerd.grpc.v1.cri"), (3, "io.containerd.cri.v1.images")])
def test_a_drop_in_names_one_directory_in_the_table_of_its_version(version, table):
    parsed = tomllib.loads(containerd.drop_in(version))
    assert parsed == {"version": version, "plugins": {table: {"registry": {"config_path": "/etc/containerd/certs.d"}}}}
    assert ":" not in parsed["plugins"][table]["registry"]["config_path"], "a list of folders does not work"


@pytest.mark.parametrize(("version", "format_"), [("upTo1.35", 2), ("from1.36", 3)])
def test_k0s_gets_a_drop_in_of_its_containerds_version_and_hosts_toml(version, format_):
    files = k0s.outputs(ENDPOINT)[version]
    assert list(files) == ["/etc/k0s/containerd.d/registry.toml", HOSTS]
    assert tomllib.loads(files["/etc/k0s/containerd.d/registry.toml"])["version"] == format_


@pytest.mark.parametrize("version", ["upTo1.35", "from1.36"])
def test_k0sctl_writes_the_same_files_with_a_mode(version):
    outputs = k0s.outputs(ENDPOINT)
    listed = yaml.safe_load(outputs["k0sctl"][version])["files"]
    assert {entry["dst"]: entry["data"] for entry in listed} == outputs[version]
    assert {entry["perm"] for entry in listed} == {"0644"}, "without perm k0sctl writes files of mode 0"


def test_the_cluster_config_has_only_keys_that_k0s_knows():
    config = yaml.safe_load(k0s.outputs(ENDPOINT)["clusterConfig"])
    assert config["apiVersion"] == "k0s.k0sproject.io/v1beta1"
    assert config["kind"] == "ClusterConfig"
    assert config["spec"] == {}, "none of its keys is about registries"


def test_nothing_that_is_emitted_touches_the_clusters_own_ca():
    emitted = yaml.safe_dump([clients.files(ENDPOINT), k0s.outputs(ENDPOINT)])
    for mistake in ("root-ca-file", "controllerProfiles", "extraArgs", ".conf.toml"):
        assert mistake not in emitted
