"""Each mode of encryption, on a recording engine."""

import base64

import pulumi
import pytest

from components import InternalCA, Registry
from components.certificates import covers, leaf
from tests.component.engine import CLUSTER_IP, build, is_secret, secrets_in, value_of
from tests.issuing import new_certificate, new_key

HOST = "registry.registry.svc.cluster.local"
TLS = {
    "off": {"mode": "off"},
    "internal": {"mode": "internal", "hosts": ["r.example.com", "192.0.2.7"]},
    "secret": {"mode": "secret"},
    "cert-manager": {"mode": "cert-manager", "issuer": {"name": "ca", "kind": "ClusterIssuer"}, "hosts": ["192.0.2.7"]},
    "acme": {"mode": "acme", "host": "r.example.com"},
}


def existing(certificate=None, key=None, name="registry-tls", **more):
    own = new_key()
    texts = {"tls.crt": certificate or new_certificate(own, "r", [HOST, CLUSTER_IP]), "tls.key": key or own, **more}
    data = {name: base64.b64encode(text.encode()).decode() for name, text in texts.items()}
    return {f"registry/{name}": {"data": pulumi.Output.secret(data)}}


def built(mode, given=None, **tls):
    return build(
        lambda: Registry("registry", {"tls": {**TLS[mode], **tls}}),
        existing=existing() if given is None else given,
    )


@pytest.mark.parametrize("mode", TLS)
def test_no_mode_changes_the_pod(mode):
    template = built(mode)[0].one("Deployment").inputs
    assert template == built("off")[0].one("Deployment").inputs, "or going to that mode restarts the registry"


@pytest.mark.parametrize("mode", TLS)
def test_no_mode_changes_volume_service_accounts_or_ca(mode):
    def kept(engine):
        kinds = ("PersistentVolumeClaim", "Service", "RandomPassword", "PrivateKey", "SelfSignedCert")
        return {(r.type, r.name) for r in engine.resources if r.kind in kinds and "leaf" not in r.name}

    assert kept(built(mode)[0]) == kept(built("off")[0])


def test_internal_issues_for_every_name_of_the_service_and_its_address():
    engine, made = built("internal")
    secret = engine.one("Secret", "registry-internal-tls").inputs
    assert secret["metadata"]["name"] == "registry-internal-tls"
    assert secret["type"] == "kubernetes.io/tls"
    assert is_secret(secret["stringData"])
    pem = secrets_in(secret["stringData"])[0]["tls.crt"]
    for host in ("registry", "registry.registry", "registry.registry.svc", HOST, "localhost", "127.0.0.1", "::1",
                 CLUSTER_IP, "r.example.com", "192.0.2.7"):  # fmt: skip
        assert covers(pem, host), host
    told = value_of(made.certificate)
    assert told["mode"] == "internal"
    assert told["renewFrom"] < told["notAfter"]
    assert "PRIVATE" not in value_of(made.ca_certificate)
    assert value_of(made.url) == f"https://{HOST}"


def test_the_arguments_of_ca_and_leaf_never_change():
    engine, _ = built("internal")
    assert engine.one("PrivateKey", "registry-ca-1-key").inputs == {"algorithm": "ECDSA", "ecdsaCurve": "P256"}
    ca = engine.one("SelfSignedCert").inputs
    ca.pop("privateKeyPem")
    assert ca == {
        "isCaCertificate": True,
        "subject": {"commonName": "registry-ca-1 internal CA"},
        "allowedUses": ["cert_signing", "crl_signing", "digital_signature"],
        "validityPeriodHours": 87600,
        "setSubjectKeyId": True,
    }, "another CA would have to be given to every client"
    certificate = engine.one("LocallySignedCert").inputs
    assert (certificate["validityPeriodHours"], certificate["earlyRenewalHours"]) == (2160, 720)


def test_a_secret_that_is_there_is_read_and_never_written():
    engine, made = built("secret", existing(**{"ca.crt": new_certificate(new_key(), "ca")}))
    [read] = [r for r in engine.resources if r.name == "registry-given-tls"] or [None]
    assert read is None or not read.inputs.get("stringData")
    assert value_of(made.certificate)["mode"] == "secret"
    assert value_of(made.ca_certificate).startswith("-----BEGIN CERTIFICATE-----"), "its own ca.crt"
    assert f"https://{CLUSTER_IP}:443" in str(value_of(made.clients)["containerd"])


@pytest.mark.parametrize(
    ("given", "facts"),
    [
        (lambda: existing(key=new_key()), ["is not the key of tls.crt"]),
        (
            lambda: existing(new_certificate(new_key(), "x", ["a.example"])),
            ["tls.crt is for a.example", f"not for {HOST}"],
        ),
        (
            lambda: (lambda key: existing(new_certificate(key, "x", [HOST], days=(-9, -2)), key))(new_key()),
            ["has expired: valid until", "now it is"],
        ),
    ],
    ids=["key", "host", "expired"],
)
def test_a_certificate_that_cannot_be_used_is_refused_at_preview(given, facts):
    with pytest.raises(Exception) as caught:  # noqa: PT011
        build(lambda: Registry("registry", {"tls": {"mode": "secret"}}), preview=True, existing=given())
    said = str(caught.value)
    for fact in facts:
        assert fact in said, said
    assert "PRIVATE KEY" not in said


def test_cert_manager_is_asked_for_every_name_and_the_address():
    engine, _ = built("cert-manager")
    spec = engine.one("Certificate").inputs["spec"]
    assert spec["secretName"] == "registry-issued-tls"
    assert spec["issuerRef"] == {"group": "cert-manager.io", "kind": "ClusterIssuer", "name": "ca"}
    assert HOST in spec["dnsNames"]
    assert {CLUSTER_IP, "192.0.2.7"} <= set(spec["ipAddresses"])


def test_with_a_public_name_cert_manager_is_not_asked_for_the_clusters_own():
    engine, made = built("cert-manager", host="r.example.com", hosts=["s.example.com"])
    spec = engine.one("Certificate").inputs["spec"]
    assert spec["dnsNames"] == ["r.example.com", "s.example.com"]
    assert spec["ipAddresses"] == []
    assert value_of(made.host) == "r.example.com", "images bear the name that the certificate is for"


def test_acme_makes_no_certificate_but_the_internal_leaf():
    added = {r.name for r in built("acme")[0].resources} - {r.name for r in built("off")[0].resources}
    assert added == {"registry-leaf-key", "registry-leaf-request", "registry-leaf-certificate", "registry-internal-tls"}


@pytest.mark.parametrize("mode", ["internal", "secret", "cert-manager", "acme"])
def test_the_internal_leaf_is_there_in_every_mode_to_bridge_the_change(mode):
    engine, _ = built(mode)
    assert engine.one("Secret", "registry-internal-tls").inputs["metadata"]["name"] == "registry-internal-tls"


@pytest.mark.parametrize(
    ("next_", "authorities", "signer", "protected"),
    [
        ("off", ["registry-ca-1"], "registry-ca-1", {"registry-ca-1"}),
        ("trusted", ["registry-ca-1", "registry-ca-2"], "registry-ca-1", {"registry-ca-1", "registry-ca-2"}),
        ("serving", ["registry-ca-1", "registry-ca-2"], "registry-ca-2", {"registry-ca-2"}),
    ],
)
def test_the_next_ca_is_trusted_before_it_serves(next_, authorities, signer, protected):
    engine, made = built("internal", ca={"generation": 1, "next": next_})
    certificates = engine.of("SelfSignedCert")
    assert sorted(r.name for r in certificates) == [f"{name}-certificate" for name in authorities]
    assert value_of(made.ca_certificate).count("BEGIN CERTIFICATE") == len(authorities)
    pem = secrets_in(engine.one("Secret", "registry-internal-tls").inputs["stringData"])[0]["tls.crt"]
    assert leaf(pem)
    [signed] = engine.of("LocallySignedCert")
    assert f"{signer}-certificate" in signed.depends_on
    assert {r.name.removesuffix("-certificate") for r in certificates if r.protect} == protected


def test_the_old_ca_is_dropped_by_the_next_generation():
    engine, _ = built("internal", ca={"generation": 2})
    assert [r.name for r in engine.of("SelfSignedCert")] == ["registry-ca-2-certificate"]


def test_the_ca_stands_alone():
    def program():
        ca = InternalCA("ca", {"protect": False})
        return ca, ca.issue("web", ["web.example.com", "192.0.2.1"])

    engine, (ca, issued) = build(program)
    assert covers(value_of(issued.certificate), "192.0.2.1")
    assert value_of(ca.certificates).count("BEGIN") == 1
    assert {r.parent for r in engine.resources if r.kind != "InternalCA"} == {"ca"}
    assert not any(r.protect for r in engine.resources)


def test_a_certificate_that_would_always_be_due_is_refused():
    def program():
        with pytest.raises(ValueError, match="must be less than validity_hours"):
            InternalCA("ca").issue("web", ["web"], validity_hours=24, renewal_hours=24)

    build(program)


def test_no_key_is_in_an_output_or_outside_a_secret():
    engine, made = built("internal")
    for name in ("clients", "k0s", "certificate", "ca_certificate", "policy", "host", "url"):
        assert "PRIVATE KEY" not in str(value_of(getattr(made, name)))
    for resource in engine.resources:
        if resource.type.startswith("kubernetes:") and resource.kind != "Secret":
            assert "PRIVATE KEY" not in str(resource.inputs)
