"""What a server can and cannot use, with both facts."""

import datetime

import pytest

from components import certificates
from tests.issuing import NOW, new_certificate, new_key

KEY, OTHER_KEY = new_key(), new_key()
HOST = "registry.registry.svc.cluster.local"
GOOD = new_certificate(KEY, "registry", [HOST, "10.96.0.50"])


def faults(certificate=GOOD, key=KEY, hosts=(HOST,), now=NOW):
    return certificates.faults(certificate, key, hosts, now)


def test_a_good_pair_has_no_fault():
    assert faults() == []
    assert faults(hosts=(HOST, "10.96.0.50")) == []


def test_a_chain_is_judged_by_its_first_certificate():
    assert faults(certificate=GOOD + new_certificate(OTHER_KEY, "ca")) == []


def test_a_key_of_another_certificate_is_named():
    assert faults(key=OTHER_KEY) == ["tls.key is not the key of tls.crt (CN=registry): it is another certificate's"]


def test_an_expired_certificate_is_named_with_both_times():
    old = new_certificate(KEY, "registry", [HOST], days=(-90, -1))
    end = (NOW - datetime.timedelta(days=1)).strftime(certificates.FORMAT)
    assert faults(certificate=old) == [f"tls.crt has expired: valid until {end}, now it is {NOW:{certificates.FORMAT}}"]


def test_a_certificate_of_the_future_is_named():
    [fault] = faults(certificate=new_certificate(KEY, "registry", [HOST], days=(1, 90)))
    assert "is not valid yet" in fault


def test_a_missing_host_is_named_beside_those_that_are_there():
    assert faults(hosts=("r.example.com",)) == [f"tls.crt is for {HOST}, 10.96.0.50, and not for r.example.com"]
    assert faults(certificate=new_certificate(KEY, "registry")) == [f"tls.crt is for no name, and not for {HOST}"]


def test_all_faults_are_named_at_once():
    bad = new_certificate(KEY, "registry", ["a.example"], days=(-9, -1))
    assert len(faults(certificate=bad, key=OTHER_KEY)) == 3


@pytest.mark.parametrize(
    ("host", "covered"),
    [
        ("a.example.com", True),
        ("A.Example.com", True),
        ("b.a.example.com", False),
        ("example.com", False),
        ("10.0.0.1", False),
    ],
)
def test_a_star_stands_for_one_label(host, covered):
    wildcard = new_certificate(KEY, "registry", ["*.example.com"])
    assert certificates.covers(wildcard, host) is covered


@pytest.mark.parametrize("text", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----"])
def test_what_is_no_certificate_is_said_to_be_none(text):
    assert faults(certificate=text) == ["tls.crt is no certificate in PEM"]
    with pytest.raises(ValueError):  # noqa: PT011
        certificates.normal(text)


def test_what_is_no_key_is_said_to_be_none():
    assert faults(key="") == ["tls.key is no unencrypted private key in PEM"]


def test_a_fault_never_shows_the_key():
    assert not any("PRIVATE" in fault or KEY[30:60] in fault for fault in faults(certificate=GOOD, key=KEY + "x"))


def test_a_bundle_is_made_even():
    noisy = f"subject: x\n{GOOD}\n\nsome words {{env.HOME}}\n{GOOD}"
    assert certificates.normal(noisy) == GOOD + GOOD
