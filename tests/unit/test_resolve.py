"""Bad input: every message, all at once, and never a secret."""

import dataclasses

import pytest

from components import args as typed
from components import settings
from components.reader import ConfigError, camel
from components.resolve import resolve

GOOD = [
    ({}, "accounts", (settings.Account(name="push"),)),
    ({"accounts": [{"name": "ci.bot_2-x"}]}, "accounts", (settings.Account(name="ci.bot_2-x"),)),
    ({"anonymous": "none"}, "anonymous", settings.Anonymous.NONE),
    ({"replicas": 2.0, "storage": {"accessModes": ["ReadWriteMany"]}}, "replicas", 2),
    ({"service": {"clusterIp": "10.96.0.50"}}, "service", settings.Service(cluster_ip="10.96.0.50")),
    ({"storage": {"claim": "old"}}, "claim", "old"),
    ({"storage": {"size": "1.5Ti"}}, "claim", "registry-data"),
    ({"namespace": "images", "service": {"name": "hub"}}, "host", "hub.images.svc.cluster.local"),
]

BAD = {
    "an unknown key gets the nearest": ({"acounts": []}, "registry:acounts: not a key; did you mean accounts?"),
    "an unknown key far from all": ({"zzz": 1}, "registry:zzz: not a key; allowed: accounts, anonymous"),
    "a nested unknown key": ({"storage": {"sise": "1Gi"}}, "registry:storage.sise: not a key; did you mean size?"),
    "a group that is a text": ({"storage": "20Gi"}, "registry:storage: given a text; allowed: a mapping with the keys"),
    "a size without a unit": (
        {"storage": {"size": "20"}},
        'registry:storage.size: given "20"; allowed: a Kubernetes quantity with a unit, such as 20Gi\n'
        "    repair: pulumi config set --path 'registry:storage.size' 20Gi",
    ),
    "a size of nothing": ({"storage": {"size": "0Gi"}}, "registry:storage.size"),
    "an unknown access mode": (
        {"storage": {"accessModes": ["RWX"]}},
        'registry:storage.accessModes[0]: given "RWX"; allowed: ReadWriteOnce, ReadWriteOncePod, ReadWriteMany',
    ),
    "a claim beside a size": (
        {"storage": {"claim": "a", "size": "1Gi"}},
        "registry:storage.size: given beside storage.claim",
    ),
    "retain that is a text": (
        {"storage": {"retain": "no"}},
        'registry:storage.retain: given "no"; allowed: true or false',
    ),
    "no account": (
        {"accounts": []},
        "registry:accounts: given an empty list; allowed: a list with at least one account",
    ),
    "an account without a name": ({"accounts": [{}]}, "registry:accounts[0].name: not given"),
    "two accounts of one name": (
        {"accounts": [{"name": "a"}, {"name": "a"}]},
        'registry:accounts[1].name: given "a", which accounts[0] has already',
    ),
    "a name that is a regular expression": ({"accounts": [{"name": ".*"}]}, 'registry:accounts[0].name: given ".*"'),
    "a name with a brace": ({"accounts": [{"name": "{env.HOME}"}]}, "registry:accounts[0].name"),
    "a name of several lines": ({"accounts": [{"name": "a\nrespond 200"}]}, "registry:accounts[0].name"),
    "a name in upper case": ({"accounts": [{"name": "CI"}]}, "registry:accounts[0].name"),
    "a repository in upper case": (
        {"accounts": [{"name": "a", "repositories": ["Team/*"]}]},
        'registry:accounts[0].repositories[0]: given "Team/*"; allowed: a repository\'s name in lower case',
    ),
    "a star in the middle": ({"accounts": [{"name": "a", "repositories": ["t/*/x"]}]}, "accounts[0].repositories[0]"),
    "a repository with a backtick": ({"accounts": [{"name": "a", "repositories": ["t`x"]}]}, "repositories[0]"),
    "repositories that are a text": (
        {"accounts": [{"name": "a", "repositories": "team/*"}]},
        "registry:accounts[0].repositories: given a text; allowed: a list",
    ),
    "an unknown permission": (
        {"accounts": [{"name": "a", "permissions": ["pusch"]}]},
        'registry:accounts[0].permissions[0]: given "pusch"; allowed: pull, push, delete\n'
        "    repair: pulumi config set --path 'registry:accounts[0].permissions[0]' push",
    ),
    "delete without push": ({"accounts": [{"name": "a", "permissions": ["delete"]}]}, "delete without push"),
    "a rotation that is a text": ({"accounts": [{"name": "a", "rotation": "x"}]}, "registry:accounts[0].rotation"),
    "a rotation that is true": ({"accounts": [{"name": "a", "rotation": True}]}, "registry:accounts[0].rotation"),
    "anonymous": ({"anonymous": "push"}, 'registry:anonymous: given "push"; allowed: pull, none'),
    "a namespace with a dot": ({"namespace": "a.b"}, 'registry:namespace: given "a.b"; allowed: a DNS label'),
    "a domain with a space": ({"clusterDomain": "a b"}, "registry:clusterDomain"),
    "a service type": ({"service": {"type": "Ingress"}}, "registry:service.type"),
    "an address": ({"service": {"clusterIp": "10.96.0"}}, 'registry:service.clusterIp: given "10.96.0"'),
    "a headless service": ({"service": {"clusterIp": "None"}}, "registry:service.clusterIp"),
    "a node port out of range": (
        {"service": {"type": "NodePort", "nodePort": 80}},
        "registry:service.nodePort: given 80; allowed: a whole number from 30000 to 32767",
    ),
    "a node port without a type for it": ({"service": {"nodePort": 30500}}, "30500 with type ClusterIP"),
    "replicas of nothing": ({"replicas": 0}, "registry:replicas: given 0; allowed: a whole number from 1 to 100"),
    "two replicas on a volume for one node": (
        {"replicas": 2},
        "registry:replicas: 2 with storage.accessModes ReadWriteOnce; allowed: 1, since a volume for one node",
    ),
    "a quantity": (
        {"resources": {"front": {"limits": {"memory": "lots"}}}},
        'registry:resources.front.limits.memory: given "lots"; allowed: a Kubernetes quantity',
    ),
    "an image with a space": ({"images": {"front": "a b"}}, "registry:images.front"),
    "a label of our own": ({"labels": {"app.kubernetes.io/name": "x"}}, "registry:labels[app.kubernetes.io/name]"),
    "a label's value": ({"labels": {"team": "a b"}}, "registry:labels[team]"),
    "labels that are a list": (
        {"labels": ["a"]},
        "registry:labels: given a list; allowed: a mapping of texts to texts",
    ),
    "an annotation's key": ({"annotations": {"a b": "x"}}, "registry:annotations[a b]"),
    "an unknown mode": ({"tls": {"mode": "acm"}}, 'registry:tls.mode: given "acm"; allowed: off, internal, secret'),
    "a mode that is not text": ({"tls": {"mode": True}}, "registry:tls.mode: given true"),
    "a key of another mode": (
        {"tls": {"mode": "internal", "issuer": {"name": "x"}}},
        "registry:tls.issuer: given with mode internal; allowed: only with mode cert-manager",
    ),
    "a key of several other modes": (
        {"tls": {"mode": "secret", "hosts": ["a"]}},
        "registry:tls.hosts: given with mode secret; allowed: only with mode internal or cert-manager",
    ),
    "a key of a mode with tls off": ({"tls": {"secret": "x"}}, "registry:tls.secret: given with mode off"),
    "closed plain HTTP with nothing else": (
        {"tls": {"plaintext": "closed"}},
        "registry:tls.plaintext: closed with mode",
    ),
    "a host of further names": ({"tls": {"mode": "internal", "hosts": ["a b"]}}, "registry:tls.hosts[0]"),
    "cert-manager without an issuer": ({"tls": {"mode": "cert-manager"}}, "registry:tls.issuer.name: not given"),
    "an issuer without a name": ({"tls": {"mode": "cert-manager", "issuer": {"kind": "Issuer"}}}, "tls.issuer.name"),
    "an unknown kind of issuer": (
        {"tls": {"mode": "cert-manager", "issuer": {"name": "a", "kind": "Cluster"}}},
        "registry:tls.issuer.kind",
    ),
    "acme without a host": ({"tls": {"mode": "acme"}}, "registry:tls.host: not given with mode acme"),
    "an acme directory without https": (
        {"tls": {"mode": "acme", "host": "a.example", "directory": "http://x/dir"}},
        "registry:tls.directory",
    ),
    "acme with two pods": (
        {"tls": {"mode": "acme", "host": "a.example"}, "replicas": 2, "storage": {"accessModes": ["ReadWriteMany"]}},
        "registry:replicas: 2 with tls.mode acme; allowed: 1",
    ),
    "a binding without its key": (
        {"tls": {"mode": "acme", "host": "a.example", "eab": {"keyId": "k"}}},
        "registry:tls.eab.macKey: not given",
    ),
    "a CA that is none": ({"tls": {"mode": "secret", "caCertificate": "x"}}, "that is no certificate"),
    "a generation of nothing": ({"tls": {"ca": {"generation": 0}}}, "registry:tls.ca.generation"),
    "an unknown step to the next CA": ({"tls": {"ca": {"next": "yes"}}}, "registry:tls.ca.next"),
    "arguments that are a list": ([], "given an empty list; allowed: a mapping"),
}


@pytest.mark.parametrize(("args", "field", "value"), GOOD, ids=str)
def test_what_is_given_is_kept_and_the_rest_has_defaults(args, field, value):
    assert getattr(resolve(args), field) == value


@pytest.mark.parametrize(("args", "message"), BAD.values(), ids=BAD)
def test_a_mistake_is_refused_with_key_given_allowed_and_repair(args, message):
    with pytest.raises(ConfigError) as caught:
        resolve(args)
    text = str(caught.value)
    assert message in text
    assert all("repair: pulumi config" in str(problem) for problem in caught.value.problems), "each has its command"


def test_all_mistakes_are_reported_at_once():
    with pytest.raises(ConfigError) as caught:
        resolve({"anonymous": "x", "namespace": "A", "replicas": -1, "storage": {"size": "1"}, "extra": 1})
    keys = [problem.key for problem in caught.value.problems]
    assert sorted(keys) == ["anonymous", "extra", "namespace", "replicas", "storage.size"]
    assert str(caught.value).startswith("5 problems")


@pytest.mark.parametrize(
    "accounts",
    [
        "ci:{secret}",
        ["ci:{secret}"],
        [{"name": "ci:{secret}"}],
        [{"name": {"ci": "{secret}"}}],
        [{"name": "ci", "password": "{secret}" * 40}],
        [{"name": "ci", "pasword": "{secret}"}],
        [{"name": "ci", "password": "{secret}", "rotation": "x"}],
        {"ci": "{secret}"},
    ],
    ids=str,
)
def test_no_message_holds_what_may_be_a_password(accounts):
    secret = "-".join(["not", "for", "eyes"])

    def filled(value):
        if isinstance(value, str):
            return value.replace("{secret}", secret)
        if isinstance(value, list):
            return [filled(item) for item in value]
        return {key: filled(item) for key, item in value.items()} if isinstance(value, dict) else value

    with pytest.raises(ConfigError) as caught:
        resolve({"accounts": filled(accounts)})
    assert secret not in str(caught.value)


def test_a_password_is_no_part_of_an_accounts_text():
    account = resolve({"accounts": [{"name": "a", "password": "x" * 20}]}).accounts[0]
    assert "x" * 20 not in repr(account), "settings are printed when something goes wrong"


@pytest.mark.parametrize(
    ("arguments", "shape"),
    [
        (typed.RegistryArgs, settings.Settings),
        (typed.AccountArgs, settings.Account),
        (typed.StorageArgs, settings.Storage),
        (typed.ServiceArgs, settings.Service),
        (typed.ResourcesArgs, settings.Resources),
        (typed.ContainerResourcesArgs, settings.ContainerResources),
        (typed.ImagesArgs, settings.Images),
        (typed.TlsArgs, settings.Tls),
        (typed.CAArgs, settings.CA),
        (typed.IssuerArgs, settings.Issuer),
        (typed.EabArgs, settings.Eab),
    ],
    ids=lambda shape: shape.__name__,
)
def test_arguments_and_settings_have_the_same_keys(arguments, shape):
    assert set(arguments.__annotations__) == {camel(field.name) for field in dataclasses.fields(shape)}
