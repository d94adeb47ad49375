"""The rendered Caddyfile: who is let in where, and nothing that ends a token."""

import base64
import itertools
import random
import re
import string

import pytest

from components.render import front
from components.resolve import resolve
from components.settings import Account, Permission, Settings
from tests.conftest import bcrypt_like


def rendered(args: dict) -> str:
    settings = resolve(args)
    hashes = [bcrypt_like(account.name) for account in settings.accounts]
    return front.caddyfile(settings, hashes, certificate_path="unguessable")


def granted(accounts: list[Account], grant: str) -> bool:
    return bool(re.search(front.grants(accounts), grant))


def test_equal_settings_make_equal_text():
    args = {"accounts": [{"name": "b"}, {"name": "a"}]}
    assert rendered(args) == rendered(args)
    assert rendered(args).endswith("}\n")


def test_each_account_stands_with_its_hash():
    text = rendered({"accounts": [{"name": "ci"}, {"name": "team"}]})
    assert f"\t\t\tci {bcrypt_like('ci')}\n\t\t\tteam {bcrypt_like('team')}\n" in text


def test_reads_are_open_before_an_account_is_asked_for_unless_anonymous_is_none():
    open_, closed = rendered({}), rendered({"anonymous": "none"})
    for text, before in ((open_, True), (closed, False)):
        assert (text.index("import upstream @open") < text.index("basic_auth")) is before
        assert text.count("import upstream @open") == 1
    assert '"token":"anonymous"' not in closed


@pytest.mark.parametrize("bad", ["a b", "a\nb", "a{b}", 'a"', "a`", "", "a;b"])
def test_a_value_that_could_end_its_token_is_never_rendered(bad):
    with pytest.raises(ValueError, match="could end its token"):
        front.caddyfile(Settings(accounts=(Account(name="ci"),)), [bad])
    with pytest.raises(ValueError, match="could end its token"):
        front.caddyfile(Settings(accounts=(Account(name=bad),)), [bcrypt_like("x")])


def test_a_hash_for_each_account_is_needed():
    with pytest.raises(ValueError, match="zip"):
        front.caddyfile(Settings(), [])


@pytest.mark.parametrize(
    ("repositories", "allowed", "refused"),
    [
        (("*",), ["a", "a/b", "team/x/y"], []),
        (("team/*",), ["team/x", "team/x/y"], ["team", "teamx/y", "TEAM/x", "x/team/y", "other"]),
        (("team-*",), ["team-a", "team-a/b"], ["team", "teama"]),
        (("app", "lib/core"), ["app", "lib/core"], ["app/x", "apps", "lib", "lib/corex", "xapp"]),
        (("a.b",), ["a.b"], ["axb", "a/b"]),
    ],
    ids=str,
)
def test_an_account_may_push_where_its_patterns_say_and_nowhere_else(repositories, allowed, refused):
    account = Account(name="ci", repositories=repositories)
    assert [name for name in allowed if not granted([account], f"push ci {name}")] == []
    assert [name for name in refused if granted([account], f"push ci {name}")] == []


@pytest.mark.parametrize("other", ["c", "cia", "ci2", "a.ci", "ci b", ""])
def test_a_grant_is_for_one_account(other):
    assert not granted([Account(name="ci")], f"push {other} app")


def test_a_dot_in_an_accounts_name_is_a_dot():
    assert granted([Account(name="a.b")], "push a.b x")
    assert not granted([Account(name="a.b")], "push axb x")


def test_to_delete_is_a_permission_of_its_own():
    pusher = Account(name="ci", repositories=("team/*",))
    deleter = Account(name="ci", repositories=("team/*",), permissions=(Permission.PUSH, Permission.DELETE))
    assert not granted([pusher], "delete ci team/x")
    assert granted([deleter], "delete ci team/x")
    assert not granted([deleter], "delete ci other/x")


def test_whoever_pushes_below_a_prefix_may_clean_up_after_the_smoke_test_there_and_there_alone():
    pusher = Account(name="ci", repositories=("team/*", "app"))
    assert granted([pusher], "delete ci team/registry-smoke-test")
    assert not granted([pusher], "delete ci registry-smoke-test")
    assert not granted([pusher], "delete ci team/registry-smoke-test/x")
    assert not granted([pusher], "delete ci app")


def test_an_account_that_pulls_has_no_grant():
    reader = Account(name="ci", permissions=(Permission.PULL,))
    for grant in ("push ci app", "delete ci app", "pull ci app", ""):
        assert not granted([reader], grant) or grant == ""


ACME = {
    "mode": "acme",
    "host": "r.example.com",
    "directory": "https://ca.example.com/acme/directory",
    "email": "you@example.com",
}


def test_without_tls_nothing_listens_for_it():
    assert "https://:8443" not in rendered({})
    assert "get_certificate" not in rendered({})


@pytest.mark.parametrize(
    ("tls", "folder"),
    [
        ({"mode": "internal"}, "internal"),
        ({"mode": "secret"}, "given"),
        ({"mode": "cert-manager", "issuer": {"name": "x"}}, "issued"),
    ],
    ids=str,
)
def test_a_certificate_in_a_secret_is_read_where_the_pod_has_it(tls, folder):
    text = rendered({"tls": tls})
    asked = re.findall(r"get_certificate http http://127\.0\.0\.1:9181/unguessable/(\w+)", text)
    assert asked[:2] == [folder, folder], "its own first, and again where its two files do not match yet"
    assert set(asked[2:]) == {"internal", "given", "issued"} - {folder}, "the others bridge a change of the mode"
    assert f"{{file./etc/front-certificates/{folder}/tls.crt}}" in text
    assert "issuer acme" not in text


def test_the_page_with_the_key_is_on_loopback_and_under_a_name_that_nobody_can_guess():
    settings = resolve({"tls": {"mode": "internal"}})
    text = front.caddyfile(settings, [bcrypt_like("x")], certificate_path="unguessable")
    page = text[text.index("http://:9181 {") :]
    assert "bind 127.0.0.1" in page[:40]
    assert "vars {http.request.uri.path} /unguessable/" in page
    with pytest.raises(ValueError, match="could end its token"):
        front.caddyfile(settings, [bcrypt_like("x")])


def test_acme_is_the_fronts_own():
    text = rendered({"tls": ACME})
    assert "https://r.example.com:8443 {" in text
    assert "dir https://ca.example.com/acme/directory" in text
    assert "email you@example.com" in text
    assert "http_port 8080" in text, "where the challenge is answered"
    assert "eab" not in text
    bound = resolve({"tls": {**ACME, "eab": {"keyId": "kid-1", "macKey": "a" * 32}}})
    assert f"eab kid-1 {'a' * 32}" in front.caddyfile(
        bound, [bcrypt_like("x")], certificate_path="unguessable", eab_mac_key="a" * 32
    )


@pytest.mark.parametrize(
    ("plaintext", "expected"),
    [
        ("serve", None),
        ("redirect", "redir @plain https://{http.request.host}{http.request.uri} 308"),
        ("closed", "error @plain 426"),
    ],
)
def test_port_80_serves_redirects_or_is_closed_but_always_answers_the_probes(plaintext, expected):
    text = rendered({"tls": {"mode": "internal", "plaintext": plaintext}})
    assert ("@plain protocol http" in text) is (expected is not None)
    if expected:
        assert expected in text
        assert text.index("respond @live") < text.index("reverse_proxy") < text.index("@plain"), "kubelet asks on 8080"


def test_tls_1_2_is_the_floor_and_http_2_is_spoken():
    for tls in ({"mode": "internal"}, ACME):
        text = rendered({"tls": tls})
        assert "protocols tls1.2 tls1.3" in text
        assert "protocols h1 h2\n" in text


NAMES = ["a", "a/b", "a.b", "a_b", "a__b", "a-b", "a--b", "a1/b2/c3"]
BAD_NAMES = [
    "",
    "A",
    "a//b",
    "/a",
    "a/",
    "a/../b",
    "..",
    ".a",
    "a.",
    "-a",
    "a-",
    "a___b",
    "a..b",
    "a%2fb",
    "a b",
    "a\\b",
]
DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("expression", "tail"),
    [
        (front.PUSH, "manifests/latest PUT"),
        (front.PUSH, f"manifests/{DIGEST} PUT"),
        (front.PUSH, "blobs/uploads/ POST"),
        (front.PUSH, "blobs/uploads/6f9b-_.= PATCH"),
        (front.DELETE, f"blobs/{DIGEST} DELETE"),
        (front.DELETE, "manifests/v1.0 DELETE"),
    ],
)
def test_a_write_is_recognised_with_the_repository_that_it_writes_to(name, expression, tail):
    assert re.search(expression, f"/v2/{name}/{tail}")[1] == name


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("tail", ["manifests/latest PUT", "blobs/uploads/ POST", "manifests/latest GET"])
def test_a_name_that_the_spec_does_not_know_is_no_part_of_the_api(name, tail):
    assert not any(
        re.search(expression, f"/v2/{name}/{tail}") for expression in (front.PULL, front.PUSH, front.DELETE)
    ), "nothing may depend on how the registry would have read such a path"


def test_no_operation_is_of_two_kinds():
    paths = ["", "/", "/_catalog", *(f"/{name}/{tail}" for name in ("a", "a/blobs/uploads", "a/manifests/b", "tags")
             for tail in ("tags/list", "manifests/x", f"manifests/{DIGEST}", f"blobs/{DIGEST}", "blobs/uploads/",
                          "blobs/uploads/x", f"referrers/{DIGEST}"))]  # fmt: skip
    for path in paths:
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get", "put"):
            kinds = [
                e for e in (front.TOKEN, front.PULL, front.PUSH, front.DELETE) if re.search(e, f"/v2{path} {method}")
            ]
            assert len(kinds) <= 1, (path, method)


def test_every_credential_of_an_account_begins_with_its_prefix_and_no_others():
    source = random.Random(20)
    alphabet = string.ascii_lowercase + string.digits + "._-"
    names = ["".join(source.choices(alphabet, k=source.randint(1, 64))) for _ in range(300)]
    for name, other in itertools.pairwise(names):
        password = "".join(source.choices(string.printable, k=source.randint(0, 72)))
        expression = re.compile(front.credential_prefix(name) + "[A-Za-z0-9+/]*=*")
        own = base64.b64encode(f"{name}:{password}".encode()).decode()
        assert expression.fullmatch(own), (name, password)
        for stranger in (f"{other}:{password}", f"{name}x:{password}", f"{name[:-1]}:{password}", name):
            assert not expression.fullmatch(base64.b64encode(stranger.encode()).decode()), (name, stranger)


def test_the_smoke_test_has_a_place_below_every_prefix():
    account = Account(name="ci", repositories=("*", "team/*", "app"))
    assert front.smoke_repositories(account) == ("registry-smoke-test", "team/registry-smoke-test")
