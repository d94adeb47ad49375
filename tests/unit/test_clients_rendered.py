"""Every file of every client, in every mode, place and format: read back, and held against its documentation.

schemas/ has what each documentation allows; a schema names its source. The CA is one text for all.
"""

import base64
import dataclasses
import itertools
import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import jsonschema
import pytest
import referencing
import yaml

from components.render import clients
from components.render.clients import Client, Login, Place, k0s, kaniko, kubernetes
from components.render.clients.client import HOSTS
from components.render.endpoint import Endpoint
from tests.issuing import new_certificate, new_key

CA = new_certificate(new_key(), "test CA")
PLAIN = Endpoint(host="registry.registry.svc.cluster.local", address="10.96.0.50")
COVERED = dataclasses.replace(PLAIN, https=True, ca=CA, verifies_address=True)
NAMED = dataclasses.replace(COVERED, verifies_address=False, http=False)
MODES = {
    "plain": PLAIN,
    "plain, IPv6": dataclasses.replace(PLAIN, address="fd00::50"),
    "own CA": COVERED,
    "own CA, IPv6": dataclasses.replace(COVERED, address="fd00::50"),
    "own CA, for the name": dataclasses.replace(NAMED, http=True),
    "own CA, for the name, no HTTP": NAMED,
    "public CA": dataclasses.replace(NAMED, host="r.example.com", ca=None, http=True, internal=False),
    "public CA, no HTTP": dataclasses.replace(NAMED, host="r.example.com", ca=None, internal=False),
}

SCHEMAS = {path.name: json.loads(path.read_text()) for path in (Path(__file__).parent / "schemas").glob("*.json")}
REGISTRY = referencing.Registry().with_resources(
    (name, referencing.jsonschema.DRAFT202012.create_resource(schema)) for name, schema in SCHEMAS.items()
)


def documents(text: str) -> list[object]:
    return list(yaml.safe_load_all(text))


def toml(text: str) -> list[object]:
    return [tomllib.loads(text)]


def of_json(text: str) -> list[object]:
    return [json.loads(text)]


# what a path matches -> how it is read, and its schema. Every path is to match exactly one.
READ = {
    r".*/hosts\.toml": (toml, "hosts"),
    r"/etc/containerd/config\.toml|/etc/k0s/containerd\.d/registry\.toml": (toml, "containerd-config"),
    r".*/etc/containers/registries\.conf\.d/50-[^/]+\.conf": (toml, "registries-conf"),
    r"/etc/docker/daemon\.json": (of_json, "docker-daemon"),
    r"~/.*\.json": (of_json, "docker-config"),
    r"/etc/rancher/(k3s|rke2)/registries\.yaml": (documents, "k3s-registries"),
    r"talos-registry\.yaml": (documents, None),  # by format, below
    r"kind-registry\.yaml": (documents, "kind"),
    r"/etc/buildkit/buildkitd\.toml": (toml, "buildkitd"),
    r"registry-service-account\.yaml": (documents, "service-account"),
    r"registry-hosting\.yaml|kaniko-ca\.yaml": (documents, "config-map"),
    r"registry-credentials\.yaml": (documents, "pull-secret"),
    r"kaniko\.yaml": (documents, "kaniko-pod"),
    r".*/ca\.crt": (lambda text: [], None),
    r"/etc/profile\.d/50-[^/]+\.sh": (lambda text: [], None),
    r"/etc/hosts": (lambda text: [], None),
}


def read(path: str, text: str) -> list[object]:
    [reader] = [reader for pattern, (reader, _) in READ.items() if re.fullmatch(pattern, path)]
    return reader(text)


def check(path: str, text: str, format_: str = "") -> None:
    [schema] = [schema for pattern, (_, schema) in READ.items() if re.fullmatch(pattern, path)]
    if path == "talos-registry.yaml":
        schema = "talos-document" if format_ == "1.12" else "talos-keys"
    for document in read(path, text):
        jsonschema.Draft202012Validator(SCHEMAS[f"{schema}.json"], registry=REGISTRY).validate(document)


def walk(value: object) -> Iterator[tuple[str, object]]:
    """(key, value) of everything within; "" for the items of a list."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key), inner
            yield from walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield "", inner
            yield from walk(inner)


@dataclasses.dataclass(frozen=True)
class Case:
    client: Client
    place: Place
    format: str
    mode: str

    def __repr__(self) -> str:
        return f"{self.client.name} {self.format}, {self.place}, {self.mode}"

    def files(self) -> dict[str, str]:
        return self.client.files(MODES[self.mode], self.place, self.format)

    def read(self) -> dict[str, list[object]]:
        return {path: read(path, text) for path, text in self.files().items()}


every_client = pytest.mark.parametrize("client", clients.CLIENTS.values(), ids=lambda client: client.name)


def cases(client: Client, *places: Place) -> list[Case]:
    """Every one of the client's, or those of these places."""
    found = itertools.product(client.places, client.formats, MODES)
    return [Case(client, place, *rest) for place, *rest in found if not places or place in places]


@every_client
def test_every_file_is_what_its_documentation_allows(client):
    for case in cases(client):
        for path, text in case.files().items():
            check(path, text, case.format)
            assert text.endswith("\n"), (case, path)


@every_client
def test_a_ca_that_a_file_names_is_among_the_files_and_is_the_registrys(client):
    for case in cases(client):
        files = case.files()
        for path, found in case.read().items():
            for _, value in walk(found):
                if isinstance(value, str) and value.endswith("ca.crt") and not value.startswith("--"):
                    assert str(PurePosixPath(path).parent / value) in files, (case, path)
        assert all(text == CA for path, text in files.items() if path.endswith("/ca.crt")), case


@every_client
def test_no_file_holds_a_credential(client):
    for case in cases(client):
        keys = {key.lower() for found in case.read().values() for key, _ in walk(found)}
        assert not keys & {"auth", "auths", "username", "password", "identitytoken", "stringdata"}, case


@every_client
def test_plain_http_never_mentions_https_or_a_ca_and_tls_never_turns_verification_off(client):
    for case in cases(client):
        for path, text in case.files().items():
            if not MODES[case.mode].https:
                assert "https" not in text.replace(kubernetes.FORWARDING, ""), (case, path)
                assert not path.endswith("ca.crt"), (case, path)
            for mistake in ("skip_verify", "skipverify", "skip-verify", "root-ca-file", "certs.d:"):
                assert mistake not in text.lower(), (case, path)
            if path.endswith(".toml"):
                assert "[[registry]]" not in text, "containerd and BuildKit know no such table"


@every_client
def test_nodes_are_given_no_address_but_their_own(client):
    for case in cases(client, Place.NODE):
        texts = {
            text for found in case.read().values() for pair in walk(found) for text in pair if isinstance(text, str)
        }
        urls = {text for text in texts if text.startswith(("http://", "https://"))} - {kubernetes.FORWARDING}
        assert urls <= {MODES[case.mode].node_url}, case


@pytest.mark.parametrize("name", ["k3s", "rke2", "talos"])
@pytest.mark.parametrize("mode", MODES)
def test_what_is_known_of_an_endpoint_stands_under_its_host_and_port(name, mode):
    """Both look it up by the host of the endpoint's URL, the port with it where the URL has one."""
    client, endpoint = clients.CLIENTS[name], MODES[mode]
    for format_ in client.formats:
        text = next(text for path, text in client.files(endpoint, version=format_).items() if path.endswith(".yaml"))
        found = documents(text)
        keys = [key for key, value in walk(found) if isinstance(value, dict) and "tls" in value]
        keys += [each["name"] for each in found if each.get("kind") == "RegistryTLSConfig"]
        expected = [urlsplit(endpoint.node_url).netloc] if endpoint.node_https and endpoint.ca else []
        assert keys == expected


@pytest.mark.parametrize("name", ["k3s", "rke2", "microk8s", "talos"])
def test_nodes_are_told_the_name_only_where_the_certificate_is_for_that_alone(name):
    client = clients.CLIENTS[name]

    def told(mode, format_):
        files = client.files(MODES[mode], version=format_)
        extra = [value for path, text in files.items() for key, value in walk(read(path, text)) if key in KEYS]
        return HOSTS in files or bool(extra)

    KEYS = ("extraHostEntries", "hostnames")
    for format_ in client.formats:
        assert [mode for mode in MODES if told(mode, format_)] == ["own CA, for the name, no HTTP"]


def test_minikube_and_kind_write_no_hosts_file_of_a_node():
    for name in ("minikube", "kind"):
        assert not [path for path in clients.CLIENTS[name].files(NAMED) if path.endswith(HOSTS)]


def test_talos_takes_the_ca_as_it_is_or_in_base64_by_its_version():
    new, old = (documents(clients.CLIENTS["talos"].files(COVERED, version=v)["talos-registry.yaml"]) for v in NEW_OLD)
    assert new[1]["ca"] == CA
    assert base64.b64decode(old[0]["machine"]["registries"]["config"]["10.96.0.50:443"]["tls"]["ca"]).decode() == CA


NEW_OLD = ("1.13.2", "1.11")


@pytest.mark.parametrize(("version", "versions"), [("0.33.0", [2, 3]), ("0.27", [2])])
def test_kind_is_patched_for_every_version_of_containerds_configuration_that_it_tells_apart(version, versions):
    files = clients.CLIENTS["kind"].files(PLAIN, version=version)
    [cluster] = documents(files["kind-registry.yaml"])
    patches = [tomllib.loads(patch) for patch in cluster["containerdConfigPatches"]]
    assert [patch["version"] for patch in patches] == versions
    for patch in patches:
        check("/etc/containerd/config.toml", patch_text(cluster, patch["version"]))
    [mount] = cluster["nodes"][0]["extraMounts"]
    assert all(path.startswith(f"{mount['hostPath']}/") for path in files if path != "kind-registry.yaml")
    assert {mount["containerPath"]} == {plugin["registry"]["config_path"] for plugin in plugins(patches)}


def patch_text(cluster, version):
    return next(text for text in cluster["containerdConfigPatches"] if tomllib.loads(text)["version"] == version)


def plugins(patches):
    return [plugin for patch in patches for plugin in patch["plugins"].values()]


@pytest.mark.parametrize("mode", MODES)
def test_kaniko_mounts_what_its_arguments_name_and_what_kubernetes_makes(mode):
    endpoint = MODES[mode]
    files = clients.CLIENTS["kaniko"].files(endpoint)
    [pod] = documents(files[kaniko.POD])
    [container] = pod["spec"]["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    assert mounts.keys() == volumes.keys()
    [secret] = documents(kubernetes.login(endpoint, ACCOUNT)[kubernetes.CREDENTIALS])
    assert volumes["registry-login"]["secret"]["secretName"] == secret["metadata"]["name"]
    if endpoint.ca:
        [config_map] = documents(files[kaniko.CA])
        assert volumes["registry-ca"]["configMap"]["name"] == config_map["metadata"]["name"]
        [key] = config_map["data"]
        assert container["args"] == [f"--registry-certificate={endpoint.host}={mounts['registry-ca']}/{key}"]
        assert config_map["data"][key] == CA
    else:
        assert container["args"] == ([] if endpoint.https else [f"--insecure-registry={endpoint.host}"])


def test_tools_are_told_of_an_insecure_registry_alone():
    client = clients.CLIENTS["kubernetes"]
    [config_map] = documents(client.files(PLAIN)[kubernetes.HOSTING])
    assert (config_map["metadata"]["namespace"], config_map["metadata"]["name"]) == (
        "kube-public",
        "local-registry-hosting",
    )
    [hosting] = documents(config_map["data"]["localRegistryHosting.v1"])
    jsonschema.Draft202012Validator(SCHEMAS["local-registry-hosting.json"]).validate(hosting)
    assert hosting["host"] == "localhost:5000"
    assert hosting["hostFromClusterNetwork"] == hosting["hostFromContainerRuntime"] == PLAIN.host
    assert kubernetes.HOSTING not in client.files(COVERED), "KEP-1755 is for insecure registries"


ACCOUNT = Login(username="ci", password="a password: \"'\n---\n")


@every_client
def test_a_login_is_of_this_registry_and_stands_in_its_own_file(client):
    if client.login is None:
        return
    files = client.login(PLAIN, ACCOUNT)
    for path, text in files.items():
        check(path, text)
        [found] = read(path, text)
        auths = found if "auths" in found else json.loads(found["stringData"][".dockerconfigjson"])
        check("~/.docker/config.json", json.dumps(auths))
        [(host, entry)] = auths["auths"].items()
        assert host == PLAIN.host
        assert base64.b64decode(entry["auth"]).decode() == f"{ACCOUNT.username}:{ACCOUNT.password}"
        assert path not in client.files(PLAIN)


@pytest.mark.parametrize("host", ["localhost:5000", "R.Example.com"])
def test_objects_are_named_after_the_registry_as_kubernetes_allows_it(host):
    [secret] = documents(kubernetes.login(dataclasses.replace(PLAIN, host=host), ACCOUNT)[kubernetes.CREDENTIALS])
    check("registry-credentials.yaml", yaml.safe_dump(secret))
    assert secret["metadata"]["name"] == host.replace(":", "-").lower()


def test_a_ca_in_yaml_is_as_readable_as_in_its_own_file():
    text = clients.CLIENTS["talos"].files(COVERED)["talos-registry.yaml"]
    assert all(f"  {line}\n" in text for line in CA.splitlines())


def test_the_secret_is_the_one_that_the_service_account_names():
    [account] = documents(clients.CLIENTS["kubernetes"].files(PLAIN)[kubernetes.SERVICE_ACCOUNT])
    [secret] = documents(kubernetes.login(PLAIN, ACCOUNT)[kubernetes.CREDENTIALS])
    assert account["imagePullSecrets"] == [secret["metadata"]]


@every_client
def test_a_file_that_is_merged_is_of_a_kind_that_can_be_and_says_so(client):
    for path in client.shared:
        assert path == HOSTS or path.endswith((".json", ".yaml", ".toml"))
    for case in cases(client):
        merged = {path: text for path, text in case.files().items() if path in client.shared}
        assert all(text.startswith("# ") for path, text in merged.items() if path.endswith((".yaml", ".toml"))), case


@every_client
def test_every_shared_file_is_one_that_the_client_has(client):
    made = {path for case in cases(client) for path in case.files()}
    assert set(client.shared) <= made | set(client.login(PLAIN, ACCOUNT) if client.login else {})


@every_client
def test_each_format_is_another_one(client):
    made = [[client.files(endpoint, version=format_) for endpoint in MODES.values()] for format_ in client.formats]
    assert all(first != second for first, second in itertools.combinations(made, 2))


def test_k0s_as_a_client_has_the_files_of_the_output():
    for version, range_ in (("1.36.3", k0s.FROM_1_36), ("v1.35.7+k0s.0", k0s.UP_TO_1_35)):
        assert clients.CLIENTS["k0s"].files(COVERED, version=version) == k0s.outputs(COVERED)[range_]


HOSTILE_CAS = [
    'x"""\n[registry."evil"]\nhttp = true\n"""\n',
    "x'''\n[plugins]\n'''\n",
    "x\n---\napiVersion: v1\nkind: Secret\n",
    "x: &a [*a]\n\tevil: true\r\n# \x85\u2028end\n",
    "{{ evil }} ${evil} $(evil) `evil`\n",
]


@pytest.mark.parametrize("hostile", HOSTILE_CAS)
@pytest.mark.parametrize("name", clients.CLIENTS)
def test_a_ca_text_stays_one_value_whatever_stands_in_it(name, hostile):
    client = clients.CLIENTS[name]
    for place, format_ in itertools.product(client.places, client.formats):
        usual = client.files(NAMED, place, format_)
        files = client.files(dataclasses.replace(NAMED, ca=hostile), place, format_)
        assert files.keys() == usual.keys()
        for path, text in files.items():
            assert text == hostile if path.endswith("/ca.crt") else "\n" in text
            shape = [[key for key, _ in walk(document)] for document in read(path, text)]
            assert shape == [[key for key, _ in walk(document)] for document in read(path, usual[path])]
            for key, value in walk(read(path, text)):
                if key in ("ca", "ca.crt") and path != "/etc/buildkit/buildkitd.toml" and value != "ca.crt":
                    assert hostile in (value, decoded(value))


def decoded(text: str) -> str | None:
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError:
        return None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(
            ("host", f"registry{bad}")
            for bad in ('"]', "'", "\n", " x", "/../x", ":80\n", "$(x)", "`x`", "_x", "\u2028")
        ),
        ("host", ""),
        ("host", "../x"),
        ("address", "10.96.0.50\n10.0.0.1 evil"),
        ("address", 'x"'),
    ],
)
def test_a_name_or_address_that_could_break_out_of_a_file_is_no_endpoint(key, value):
    with pytest.raises(ValueError):  # noqa: PT011 - of the address, its text is Python's
        Endpoint.of({**PLAIN.output, key: value})


@every_client
def test_a_script_is_one_that_a_shell_reads(client):
    for case in cases(client):
        for path, text in case.files().items():
            if path.endswith(".sh"):
                subprocess.run(["sh", "-n"], input=text, text=True, check=True)
