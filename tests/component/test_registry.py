"""The components on a recording engine: what is registered, under whom, with which options."""

import json

import pulumi
import pulumi_kubernetes as kubernetes
import pytest

from components import ConfigError, PushAccounts, Registry
from components.settings import Account
from tests.component.engine import CLUSTER_IP, build, is_secret, secrets_in, value_of

SELECTOR = {"app.kubernetes.io/name": "registry", "app.kubernetes.io/instance": "registry"}
ARGS = {
    "accounts": [{"name": "ci"}, {"name": "team", "repositories": ["team/*"], "permissions": ["push", "delete"]}],
    "labels": {"owner": "platform"},
    "annotations": {"example.com/cost": "42"},
}


def registry(args=None, name="registry", opts=None):
    return lambda: Registry(name, args, opts)


@pytest.fixture(scope="module")
def built():
    return build(registry(ARGS))


def containers(engine):
    return {c["name"]: c for c in engine.one("Deployment").inputs["spec"]["template"]["spec"]["containers"]}


def test_an_empty_argument_makes_a_whole_registry():
    engine, _ = build(registry())
    assert sorted(resource.kind for resource in engine.resources) == [
        "ConfigMap",
        "ConfigMap",
        "Deployment",
        "InternalCA",
        "PersistentVolumeClaim",
        "PrivateKey",
        "PushAccounts",
        "RandomPassword",
        "RandomPassword",
        "RandomPassword",
        "Registry",
        "Secret",
        "Secret",
        "SelfSignedCert",
        "Service",
    ]


def test_type_tokens_and_child_names_never_change(built):
    engine, _ = built
    assert {(resource.type, resource.name, resource.parent) for resource in engine.resources} == {
        ("registry:index:Registry", "registry", "registry-test"),
        ("registry:index:PushAccounts", "registry-accounts", "registry"),
        ("random:index/randomPassword:RandomPassword", "registry-accounts-ci-password", "registry-accounts"),
        ("random:index/randomPassword:RandomPassword", "registry-accounts-team-password", "registry-accounts"),
        ("random:index/randomPassword:RandomPassword", "registry-http-secret", "registry"),
        ("random:index/randomPassword:RandomPassword", "registry-certificate-path", "registry"),
        ("registry:index:InternalCA", "registry-ca", "registry"),
        ("tls:index/privateKey:PrivateKey", "registry-ca-1-key", "registry-ca"),
        ("tls:index/selfSignedCert:SelfSignedCert", "registry-ca-1-certificate", "registry-ca"),
        ("kubernetes:core/v1:Secret", "registry-front", "registry"),
        ("kubernetes:core/v1:Secret", "registry-upload", "registry"),
        ("kubernetes:core/v1:ConfigMap", "registry-config", "registry"),
        ("kubernetes:core/v1:ConfigMap", "registry-clients", "registry"),
        ("kubernetes:core/v1:PersistentVolumeClaim", "registry-data", "registry"),
        ("kubernetes:apps/v1:Deployment", "registry-deployment", "registry"),
        ("kubernetes:core/v1:Service", "registry-service", "registry"),
    }, "they are in the state of every user: a new name replaces the object"


def test_what_others_refer_to_by_name_has_a_fixed_one_and_the_rest_a_made_one(built):
    engine, _ = built
    names = {r.name: r.inputs["metadata"].get("name") for r in engine.resources if "metadata" in r.inputs}
    assert names == {
        "registry-front": "registry-front",
        "registry-data": "registry-data",
        "registry-deployment": "registry",
        "registry-service": "registry",
        "registry-clients": "registry-clients",
        "registry-config": None,
        "registry-upload": None,
    }


@pytest.mark.parametrize("name", ["ci", "team"])
def test_the_arguments_of_a_password_never_change(built, name):
    engine, _ = built
    password = engine.one("RandomPassword", f"registry-accounts-{name}-password")
    assert password.inputs == {"length": 32, "special": False, "keepers": {"rotation": "1"}}, "or all are made anew"
    assert engine.one("RandomPassword", "registry-http-secret").inputs == {"length": 64, "special": False}


def test_the_selector_is_constant_and_version_free(built):
    engine, _ = built
    deployment, service = engine.one("Deployment").inputs["spec"], engine.one("Service").inputs["spec"]
    assert deployment["selector"]["matchLabels"] == service["selector"] == SELECTOR
    assert SELECTOR.items() <= deployment["template"]["metadata"]["labels"].items()


def test_labels_and_annotations_reach_every_object(built):
    engine, _ = built
    objects = [resource for resource in engine.resources if "metadata" in resource.inputs]
    for resource in objects:
        metadata = resource.inputs["metadata"]
        assert metadata["namespace"] == "registry"
        assert metadata["labels"]["owner"] == "platform", resource.name
        assert metadata["annotations"]["example.com/cost"] == "42", resource.name


def test_two_registries_in_one_program_do_not_collide():
    def both():
        Registry("one", {"service": {"name": "one"}})
        Registry("two", {"service": {"name": "two"}})

    engine, _ = build(both)
    urns = [(resource.type, resource.name) for resource in engine.resources]
    assert len(urns) == len(set(urns))
    fixed = [
        (r.kind, r.inputs["metadata"]["name"])
        for r in engine.resources
        if "metadata" in r.inputs and "name" in r.inputs["metadata"]
    ]
    assert len(fixed) == len(set(fixed)), "objects in one namespace"


def test_preview_and_update_register_the_same():
    previewed, _ = build(registry(ARGS), preview=True)
    updated, _ = build(registry(ARGS))
    assert {(r.type, r.name) for r in previewed.resources} == {(r.type, r.name) for r in updated.resources}, (
        "a resource made inside an apply is missing in a preview"
    )


def test_a_provider_of_the_caller_reaches_every_child():
    def program():
        provider = kubernetes.Provider("mine", context="x")
        Registry("registry", None, pulumi.ResourceOptions(providers=[provider]))

    engine, _ = build(program)
    assert {r.provider.split("::")[-2] for r in engine.resources if r.type.startswith("kubernetes:")} == {"mine"}
    assert len(engine.of("kubernetes")) == 1, "the component makes no provider of its own"


def test_the_volume_and_the_ca_are_protected_unless_the_stack_says_otherwise():
    kept = ["registry-ca-1-certificate", "registry-ca-1-key", "registry-data"]
    for args, protected in ((None, kept), ({"storage": {"retain": False}}, [])):
        engine, _ = build(registry(args))
        assert sorted(r.name for r in engine.resources if r.protect) == protected


def test_an_existing_claim_is_used_and_none_is_made():
    engine, made = build(registry({"storage": {"claim": "mine"}}))
    assert engine.of("PersistentVolumeClaim") == []
    assert made.claim is None
    volumes = engine.one("Deployment").inputs["spec"]["template"]["spec"]["volumes"]
    assert volumes[0]["persistentVolumeClaim"]["claimName"] == "mine"


def test_the_claim_takes_size_class_and_modes():
    storage = {"size": "5Gi", "class": "fast", "accessModes": ["ReadWriteMany"]}
    spec = build(registry({"storage": storage}))[0].one("PersistentVolumeClaim").inputs["spec"]
    assert spec == {
        "accessModes": ["ReadWriteMany"],
        "storageClassName": "fast",
        "resources": {"requests": {"storage": "5Gi"}},
    }


@pytest.mark.parametrize(("mode", "strategy"), [("ReadWriteOnce", "Recreate"), ("ReadWriteMany", "RollingUpdate")])
def test_a_volume_for_one_node_is_let_go_before_the_next_pod_takes_it(mode, strategy):
    engine, _ = build(registry({"storage": {"accessModes": [mode]}}))
    assert engine.one("Deployment").inputs["spec"]["strategy"] == {"type": strategy}


def test_the_pod_meets_the_restricted_pod_security_level(built):
    engine, _ = built
    pod = engine.one("Deployment").inputs["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    for name, container in containers(engine).items():
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"]["drop"] == ["ALL"]
        assert context["capabilities"].get("add", []) in ([], ["NET_BIND_SERVICE"]), name


def test_the_front_secret_is_mounted_as_a_directory_and_nothing_in_the_pod_changes_with_it(built):
    engine, _ = built
    mounts = {mount["name"]: mount for mount in containers(engine)["front"]["volumeMounts"]}
    assert "subPath" not in mounts["front"], "a subPath never follows its Secret"
    template = engine.one("Deployment").inputs["spec"]["template"]
    other, _ = build(registry(ARGS | {"accounts": [{"name": "other"}]}), generated="second")
    assert template == other.one("Deployment").inputs["spec"]["template"], "or an account's change restarts the pod"


def test_the_registrys_own_configuration_is_immutable_and_named_anew(built):
    engine, _ = built
    for kind, name in (("ConfigMap", "registry-config"), ("Secret", "registry-upload")):
        resource = engine.one(kind, name)
        assert resource.inputs["immutable"] is True
        assert "name" not in resource.inputs["metadata"]
    volumes = engine.one("Deployment").inputs["spec"]["template"]["spec"]["volumes"]
    assert {"name": "config", "configMap": {"name": "registry-config-1a2b3c"}} in volumes


def test_port_443_is_declared_although_nobody_listens_there(built):
    engine, _ = built
    ports = engine.one("Service").inputs["spec"]["ports"]
    assert [(port["port"], port["targetPort"]) for port in ports] == [(80, "http"), (443, 8443)], (
        "clients try https first, and wait 30 s where the port is not declared"
    )


def test_the_service_takes_type_address_and_port():
    service = {"type": "NodePort", "clusterIp": "10.96.0.7", "nodePort": 30080, "annotations": {"a": "b"}}
    inputs = build(registry({"service": service}))[0].one("Service").inputs
    assert (inputs["spec"]["type"], inputs["spec"]["clusterIP"]) == ("NodePort", "10.96.0.7")
    assert inputs["spec"]["ports"][0]["nodePort"] == 30080
    assert inputs["metadata"]["annotations"] == {"a": "b", "pulumi.com/skipAwait": "true"}


def test_passwords_and_hashes_are_in_secrets_and_nowhere_else(built):
    engine, _ = built
    known = [f"first-of-{resource.name}" for resource in engine.of("RandomPassword")]
    front = engine.one("Secret", "registry-front")
    assert is_secret(front.inputs["stringData"])
    for resource in engine.resources:
        if not resource.type.startswith("kubernetes:"):
            continue
        seen = {key: value for key, value in resource.inputs.items() if key not in ("stringData", "data")}
        seen |= {key: resource.inputs[key] for key in ("data",) if resource.kind == "ConfigMap"}
        text = json.dumps(seen)
        assert not secrets_in(seen), f"{resource.name} holds a secret value"
        assert "PRIVATE KEY" not in text, resource.name
        assert not [value for value in known if value in text], resource.name
        assert "$2b$" not in text, resource.name


def test_the_front_gets_each_account_with_its_own_hash():
    engine, _ = build(registry(ARGS))
    [caddyfile] = secrets_in(engine.one("Secret", "registry-front").inputs["stringData"])
    hashes = [line.split() for line in caddyfile["Caddyfile"].splitlines() if "$2b$" in line]
    assert [account for account, _ in hashes] == ["ci", "team"]
    assert len({hashed for _, hashed in hashes}) == 2


def test_outputs_tell_where_the_registry_is(built):
    _, made = built
    assert value_of(made.host) == "registry.registry.svc.cluster.local"
    assert value_of(made.url) == "http://registry.registry.svc.cluster.local"
    assert value_of(made.cluster_ip) == CLUSTER_IP
    assert set(value_of(made.clients)) >= {"podman", "containerd"}
    assert set(value_of(made.k0s)) == {"upTo1.35", "from1.36", "k0sctl", "clusterConfig"}


def test_only_the_accounts_output_is_secret(built):
    _, made = built

    def secret(output):
        kept = []

        @pulumi.runtime.test
        async def run():
            kept.append(await output.is_secret())

        run()
        return kept[0]

    assert secret(made.accounts)
    for name in ("host", "url", "cluster_ip", "clients", "k0s", "policy", "certificate", "ca_certificate"):
        assert not secret(getattr(made, name)), f"{name} must be readable without --show-secrets"


def test_the_accounts_output_has_what_a_pusher_needs(built):
    _, made = built
    accounts = value_of(made.accounts)
    assert set(accounts) == {"ci", "team"}
    assert accounts["ci"]["password"] == "first-of-registry-accounts-ci-password"
    auths = json.loads(accounts["ci"]["dockerConfigJson"])["auths"]
    assert list(auths) == ["registry.registry.svc.cluster.local"]


def test_a_mistake_registers_nothing():
    def program():
        with pytest.raises(ConfigError):
            Registry("registry", {"replicas": 3, "namspace": "x"})
        with pytest.raises(ConfigError):
            PushAccounts("accounts", [{"name": "a:b"}])

    engine, _ = build(program)
    assert engine.resources == []


def test_a_higher_rotation_changes_the_keeper_of_that_account_alone():
    accounts = [{"name": "ci", "rotation": 2}, {"name": "team"}]
    engine, _ = build(lambda: PushAccounts("accounts", accounts))
    keepers = {r.name: r.inputs["keepers"]["rotation"] for r in engine.of("RandomPassword")}
    assert keepers == {"accounts-ci-password": "2", "accounts-team-password": "1"}


def test_a_given_password_is_hashed_with_a_salt_out_of_the_state():
    def program():
        return PushAccounts("accounts", [Account(name="ci", password=pulumi.Output.secret("given"))])

    (engine, first), (_, second) = build(program), build(program)
    assert engine.of("RandomPassword") == []
    assert engine.one("RandomBytes").inputs == {"length": 16, "keepers": {"rotation": "1"}}
    assert value_of(first.hashes) == value_of(second.hashes), "or every preview shows a change"
    assert value_of(first.passwords) == {"ci": "given"}


def test_accounts_and_order_of_removal_leave_the_others_alone():
    engine, _ = build(lambda: PushAccounts("accounts", [{"name": "b"}]))
    both, _ = build(lambda: PushAccounts("accounts", [{"name": "a"}, {"name": "b"}]))
    [alone] = engine.of("RandomPassword")
    assert alone in [r for r in both.of("RandomPassword") if r.name == alone.name]
