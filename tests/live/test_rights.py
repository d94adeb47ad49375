"""What accounts may do in the real registry behind the front, and what the two show of themselves."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from components.protocol import Client, Refused, digest

from .serving import Site, serving, until
from .wire import ask, basic, bearer

LAYER = b"a layer\n" * 1000


def refused(action: object, *statuses: int) -> None:
    with pytest.raises(Refused) as caught:
        action()
    assert caught.value.status in statuses, str(caught.value)


@pytest.fixture
def ci(site: Site) -> Iterator[Client]:
    with Client(site.url, site.login("ci")) as client:
        yield client


@pytest.fixture
def ci2(site: Site) -> Iterator[Client]:
    with Client(site.url, site.login("ci2")) as client:
        yield client


@pytest.fixture
def anyone(site: Site) -> Iterator[Client]:
    with Client(site.url) as client:
        yield client


def test_a_pushed_image_comes_back_the_same_for_anyone(ci: Client, anyone: Client) -> None:
    image = ci.push_image("team/app", "1", LAYER)
    assert digest(anyone.pull_manifest("team/app", "1")) == image
    assert anyone.pull_blob("team/app", digest(LAYER)) == LAYER


def test_a_blob_is_mounted_into_the_accounts_own_repositories_only(ci: Client, ci2: Client) -> None:
    """From anywhere, since anyone may read anything; but only to where the account may push."""
    ci.push_image("team/source", "1", LAYER)
    mount = {"mount": digest(LAYER), "from": "team/source"}
    refused(lambda: ci.request("POST", "/v2/other/target/blobs/uploads/", params=mount), 403)
    assert ci2.request("POST", "/v2/other/target/blobs/uploads/", params=mount).status_code == 201


def test_an_upload_is_continued_in_its_repository_and_by_who_may_push_there_alone(
    site: Site, ci: Client, ci2: Client, anyone: Client
) -> None:
    location = ci.start_upload("team/app")
    finish = {"params": {"digest": digest(LAYER)}, "content": LAYER}

    def url(path: str) -> httpx.URL:
        return httpx.URL(path).copy_merge_params(finish["params"])

    for stranger, status in ((ci2, 403), (anyone, 401)):
        for method in ("PATCH", "PUT", "DELETE"):
            refused(lambda m=method, s=stranger: s.request(m, url(location), content=LAYER), status)
    moved = location.replace("/v2/team/app/", "/v2/other/app/")
    refused(lambda: ci2.request("PUT", url(moved), content=LAYER), 400, 404)
    refused(lambda: ci2.pull_blob("other/app", digest(LAYER + b"")), 404)
    own = location.replace("/v2/team/app/", "/v2/team/app2/")
    refused(lambda: ci.request("PUT", url(own), content=LAYER), 400, 404)
    assert ci.request("PUT", url(location), content=LAYER).status_code == 201, "none of these attempts may break it"


def test_only_who_has_the_permission_deletes(site: Site, ci: Client, ci2: Client, anyone: Client) -> None:
    image = ci.push_image("team/kept", "1", LAYER)
    targets = (("manifests", "1"), ("manifests", image), ("blobs", digest(LAYER)))
    for client, status in ((ci, 403), (ci2, 403), (anyone, 401)):
        for kind, reference in targets:
            refused(lambda c=client, k=kind, r=reference: c.delete("team/kept", k, r), status)
    assert digest(anyone.pull_manifest("team/kept", "1")) == image

    image = ci2.push_image("other/gone", "1", LAYER)
    for reference in ("1", image):
        ci2.push_image("other/gone", "1", LAYER)
        ci2.delete("other/gone", "manifests", reference)
    ci2.delete("other/gone", "blobs", digest(LAYER))
    refused(lambda: anyone.pull_manifest("other/gone", image), 404)
    refused(lambda: anyone.pull_blob("other/gone", digest(LAYER)), 404)


def test_a_name_too_long_is_refused_by_the_registry(site: Site) -> None:
    answer = ask(site.listen.http, "POST", "/v2/team/" + "a/" * 300 + "b/blobs/uploads/", [bearer(site.login("ci"))])
    # distribution 3.1 answers 500 here, with two error bodies: what counts is that it went no further
    assert answer.status >= 400
    assert b"must not be more than 255 characters" in answer.body


def test_an_account_that_only_reads_logs_in_and_pulls_but_does_not_push(site: Site, ci: Client) -> None:
    ci.push_image("team/app", "1", LAYER)
    with Client(site.url, site.login("reader")) as reader:
        assert reader.pull_blob("team/app", digest(LAYER)) == LAYER
        refused(lambda: reader.start_upload("team/app"), 403)


def test_nothing_but_the_granted_repositories_came_to_be(site: Site, ci: Client) -> None:
    ci.push_image("team/app", "1", LAYER)
    for repository in ("other/app", "teamx/y", "team", "dots/app", "registry-smoke-test"):
        refused(lambda r=repository: ci.push_blob(r, LAYER), 403)
    found = httpx.get(f"{site.registry_url}/v2/_catalog", trust_env=False).json()["repositories"]
    assert {name.split("/")[0] for name in found} <= {"team", "other", "exact", "all"}, "asked past the front"


def test_without_anonymous_pull_only_accounts_read(closed: Site) -> None:
    with Client(closed.url, closed.login("ci")) as ci, Client(closed.url, closed.login("reader")) as reader:
        image = ci.push_image("team/app", "1", LAYER)
        assert digest(reader.pull_manifest("team/app", "1")) == image
    paths = [
        "/v2/_catalog",
        "/v2/team/app/tags/list",
        "/v2/team/app/manifests/1",
        f"/v2/team/app/blobs/{digest(LAYER)}",
    ]
    for path in paths:
        for headers in ([], [("Authorization", "Bearer anonymous")], [("Authorization", "Basic Og==")]):
            answer = ask(closed.listen.http, "GET", path, headers)
            assert (answer.status, answer.code) == (401, "UNAUTHORIZED"), path
            assert "WWW-Authenticate" in answer.headers, "or no client asks for a token"
    assert ask(closed.listen.http, "GET", "/token").status == 401
    assert ask(closed.listen.http, "GET", "/token", [basic(closed.login("reader"))]).status == 200


PASSWORDS = [
    "a:b:c",
    "ünïcödé €",
    "{env.HOME}",
    '"quoted" \\ back',
    "$2a$10$",
    " spaces ",
    "{http.request.uri}",
    "`",
    "x" * 72,
]


def test_passwords_of_all_kinds_work(tmp_path: Path) -> None:
    accounts = [{"name": f"account{number}", "repositories": [f"r{number}/*"]} for number in range(len(PASSWORDS))]
    words = {account["name"]: word for account, word in zip(accounts, PASSWORDS, strict=True)}
    with serving(tmp_path, {"accounts": accounts}, passwords=words) as site:
        for number, (name, word) in enumerate(words.items()):
            answer = ask(site.listen.http, "GET", "/token", [basic((name, word))])
            assert answer.status == 200, word
            token = json.loads(answer.body)["token"]
            start = ask(
                site.listen.http, "POST", f"/v2/r{number}/a/blobs/uploads/", [("Authorization", f"Bearer {token}")]
            )
            assert start.status == 202, word
            assert ask(site.listen.http, "GET", "/token", [basic((name, word + "x"))]).status == 401 or len(word) == 72


def test_a_log_line_names_the_account_and_holds_no_password(site: Site, ci: Client) -> None:
    ci.start_upload("team/logged")
    until(lambda: "/v2/team/logged/" in site.front.text, "the request is not logged")
    lines = [json.loads(line) for line in site.front.text.splitlines() if "/v2/team/logged/" in line]
    assert lines[-1]["user_id"] == "ci"
    assert lines[-1]["request"]["headers"]["Authorization"] == ["REDACTED"]
    everything = site.front.text + site.registry.text
    assert [name for name, word in site.passwords.items() if word in everything] == []


# -- the registry's own configuration --------------------------------------------------------------------------------


def test_the_front_and_the_registry_show_their_figures_on_a_port_of_their_own(site: Site) -> None:
    url = f"http://127.0.0.1:{site.listen.metrics}"
    ask(site.listen.http, "GET", "/v2/_catalog")
    assert "caddy_" in httpx.get(f"{url}/metrics", trust_env=False).text
    assert "registry_" in httpx.get(f"{url}/registry/metrics", trust_env=False).text
    for path in (
        "/",
        "/debug/pprof/",
        "/debug/pprof/heap",
        "/registry/debug/pprof/",
        "/debug/health",
        "/registry",
        "/v2/",
    ):
        assert httpx.get(url + path, trust_env=False).status_code == 404, path
    for path in ("/registry/metrics/../debug/pprof/", "/registry/metrics/%2e%2e/debug/pprof/", "//debug/pprof/"):
        answer = ask(site.listen.metrics, "GET", path)
        assert b"profile" not in answer.body, path


def test_both_processes_listen_on_loopback_only_where_they_must(site: Site) -> None:
    for port in (site.listen.registry, site.listen.registry_debug):
        listening = [
            line.split()[1]
            for line in Path("/proc/net/tcp").read_text().splitlines()
            if f":{port:04X} 00000000:0000 0A" in line
        ]
        assert listening == [f"0100007F:{port:04X}"], "the registry itself asks for no password"
    assert f":{site.listen.registry:04X} " not in Path("/proc/net/tcp6").read_text()


def test_an_upload_survives_a_restart_of_the_registry(tmp_path: Path) -> None:
    """Since REGISTRY_HTTP_SECRET stays the same; with another one the upload would be void."""
    with serving(tmp_path, {}) as site, Client(site.url, site.login("push")) as client:
        first, rest = LAYER[:3000], LAYER[3000:]
        location = client.request("PATCH", client.start_upload("app"), content=first).headers["Location"]
        assert location.startswith("/"), "an absolute one would name a host that the client may not reach"
        site.registry.stop()
        site.start_registry()
        location = client.request("PATCH", location, content=rest).headers["Location"]
        client.request("PUT", httpx.URL(location).copy_merge_params({"digest": digest(LAYER)}))
        assert client.pull_blob("app", digest(LAYER)) == LAYER

        location = client.start_upload("app")
        site.registry.stop()
        site.http_secret = "another"
        site.start_registry()
        refused(lambda: client.request("PATCH", location, content=first), 400, 404)


def test_a_front_whose_registry_is_gone_says_so_and_stays_alive(tmp_path: Path) -> None:
    with serving(tmp_path, {}) as site:
        site.registry.stop()
        assert ask(site.listen.http, "GET", "/livez").status == 200
        assert ask(site.listen.http, "GET", "/readyz").status in (502, 503)
        answer = ask(site.listen.http, "GET", "/v2/app/manifests/1")
        assert (answer.status, answer.code) == (502, "UNAVAILABLE")
        site.start_registry()
        until(lambda: ask(site.listen.http, "GET", "/readyz").status == 200, "ready again")


def test_readiness_follows_the_storage_and_liveness_does_not(tmp_path: Path) -> None:
    with serving(tmp_path, {}, environment={"REGISTRY_HEALTH_STORAGEDRIVER_INTERVAL": "0.1s"}) as site:
        assert ask(site.listen.http, "GET", "/readyz").status == 200
        volume = site.storage.parent
        away = volume.rename(volume.with_name("away"))
        volume.touch()
        until(lambda: ask(site.listen.http, "GET", "/readyz").status == 503, "not ready while there is no volume")
        assert ask(site.listen.http, "GET", "/livez").status == 200, "a restart would not bring the volume back"
        volume.unlink()
        away.rename(volume)
        until(lambda: ask(site.listen.http, "GET", "/readyz").status == 200, "ready again")
