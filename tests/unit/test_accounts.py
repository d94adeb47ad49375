"""Hashes and what the holder of an account is given."""

import base64
import json

import bcrypt
import pytest

from components.accounts import bcrypt_hash, credentials


def test_a_given_password_has_the_same_hash_on_every_run_and_it_verifies():
    for seed in range(4):
        salt = base64.b64encode(bytes((seed * 37 + i * 11) % 256 for i in range(16))).decode()
        made = bcrypt_hash("some text", salt)
        assert made == bcrypt_hash("some text", salt)
        assert bcrypt.checkpw(b"some text", made.encode())
        assert not bcrypt.checkpw(b"some texT", made.encode())


def test_another_salt_makes_another_hash():
    first, second = (base64.b64encode(bytes([i] * 16)).decode() for i in (1, 2))
    assert bcrypt_hash("x", first) != bcrypt_hash("x", second)


def test_a_password_longer_than_bcrypt_reads_is_refused():
    with pytest.raises(ValueError, match="72"):
        bcrypt_hash("x" * 73, base64.b64encode(bytes(16)).decode())


def test_the_docker_config_is_for_the_host_of_the_images():
    given = credentials(["r.example", "r.r.svc"], {"ci": "p:w"})["ci"]
    auths = json.loads(given["dockerConfigJson"])["auths"]
    assert list(auths) == ["r.example", "r.r.svc"], "kubelet looks credentials up by the image's own host"
    entry = auths["r.example"]
    assert base64.b64decode(entry["auth"]).decode() == "ci:p:w"
    assert (entry["username"], entry["password"]) == ("ci", "p:w") == (given["username"], given["password"])
