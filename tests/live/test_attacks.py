"""Nobody writes where the settings do not let them, however the request is spelled."""

import itertools
import json
import random
import re
import secrets
import socket
import statistics
import time

import pytest

from components.render.front import NAME

from .serving import Site
from .wire import Answer, Recorder, ask, basic, bearer, encoded, receive, request

UPLOAD = "/v2/team/app/blobs/uploads/"
SHA = "sha256:" + "0" * 64

OTHER_SPELLINGS = [
    "//v2/team/app/blobs/uploads/",
    "/v2//team/app/blobs/uploads/",
    "/v2/team//app/blobs/uploads/",
    "/v2/team/app/blobs//uploads/",
    "/v2/team/app/blobs/uploads//",
    "/v2/./team/app/blobs/uploads/",
    "/v2/team/./app/blobs/uploads/",
    "/v2/team/../other/app/blobs/uploads/",
    "/v2/team/x/../../other/app/blobs/uploads/",
    "/v2/team/%2e%2e/other/app/blobs/uploads/",
    "/v2/team/%2E%2E/other/app/blobs/uploads/",
    "/v2/team/.%2e/other/app/blobs/uploads/",
    "/v2/team/..%2fother/app/blobs/uploads/",
    "/v2/team%2f..%2fother/app/blobs/uploads/",
    "/v2/team%252f..%252fother/app/blobs/uploads/",
    "/v2/team/%252e%252e/other/app/blobs/uploads/",
    "/v2/other%2Fapp%2F..%2F..%2Fteam/app/blobs/uploads/",
    "/v2/team/app%00/blobs/uploads/",
    "/v2/team/app%0a/blobs/uploads/",
    "/v2/team/app%20POST/blobs/uploads/",
    "/v2/team/app%5c..%5cother/blobs/uploads/",
    "/v2/team/app\\..\\other/blobs/uploads/",
    "/v2/team/app;/blobs/uploads/",
    "/v2/team/app;x=/../../other/blobs/uploads/",
    "/v2/team/app/blobs/uploads/;",
    "/v2/team/app/blobs/uploads/%2e",
    "/v2/team/app/blobs/uploads/..",
    "/v2/team/app/blobs/uploads/%2e%2e/%2e%2e/%2e%2e/other/blobs/uploads/",
    "/v2/team/app/blobs/uploads",
    "/V2/team/app/blobs/uploads/",
    "/v2/TEAM/app/blobs/uploads/",
    "/v2/Team/app/blobs/uploads/",
    "/v2/team/APP/blobs/uploads/",
    "/v2/team/app/BLOBS/uploads/",
    "/v2/team/app/blobs/UPLOADS/",
    "/v2/team/-app/blobs/uploads/",
    "/v2/team/app./blobs/uploads/",
    "/v2/team/\u00e4pp/blobs/uploads/".encode().decode("latin-1"),
    "/v2/team/%c3%a4pp/blobs/uploads/",
    "/v2/team/app%e2%80%a8/blobs/uploads/",
    "/v2/team/*/blobs/uploads/",
    "/v2/*/blobs/uploads/",
    "/v2/team/{http.request.header.X-Repository}/blobs/uploads/",
    "/v2/{env.HOME}/blobs/uploads/",
    "/v2/team/app/blobs/uploads/ /v2/other/app/blobs/uploads/",
    "v2/team/app/blobs/uploads/",
    "*",
    "/v2/" + "../team/" * 1500 + "app/blobs/uploads/",
]

OTHER_REPOSITORIES = [
    "other/app",
    "team",
    "teamx/y",
    "team-x/y",
    "team.x/y",
    "xteam/y",
    "a/team/x",
    "exact/x",
    "exactly",
    "exac",
    "blobs/uploads/team/app",
    "other/blobs/uploads/team",
    "library/team/x",
    "dots/x",
    "registry-smoke-test",
]

OUTSIDE_THE_API = [
    "/v2/app/manifests/" + "t" * 129,
    "/",
    "/index.html",
    "/favicon.ico",
    "/v1/",
    "/v1/_ping",
    "/v3/",
    "/v2x",
    "/v2/x",
    "/v2/x/",
    "/V2/",
    "/v2//",
    "/debug/pprof",
    "/debug/pprof/",
    "/debug/vars",
    "/debug/health",
    "/metrics",
    "/registry/metrics",
    "/config/",
    "/token/",
    "/tokenx",
    "/Token",
    "/TOKEN",
    "//token",
    "/token/x",
    "/token%2f",
    "/v2/token",
    "/auth",
    "/load",
    "/v2/_catalog/",
    "/v2/_catalog/x",
    "/v2/_Catalog",
    "/v2/app/tags/list/",
    "/v2/app/tags/lists",
    "/v2/app/tags",
    "/v2/app/manifests",
    "/v2/app/manifests/",
    "/v2/app/blobs/",
    "/v2/app/blobs/uploads",
    "/v2/app/blobs/sha256:0",
    "/v2/app/manifests/a/b",
    "/v2/app/referrers/tag",
    "/v2/_blobs/x",
    "/livez/",
    "/LIVEZ",
    "//livez",
    "/./livez",
    "/readyz/",
    "/Readyz",
    "//readyz",
    "/livez/..",
    "/livezz",
    "/v2/%2e%2e/livez",
    "/v2/../livez",
    "/x/../token",
    "/%6civez/x",
    "/server-status",
    "/.well-known/acme-challenge/x",
    "/%00",
    "/v2/%ff",
    "/debug/pprof/heap",
]

GARBAGE_CREDENTIALS = [
    *("Basic", "Basic ", "Basic  ", "Bearer", "Bearer ", "basic", "Negotiate abc", "Digest username=ci", "token abc"),
    *("Basic Og==", "basic Og==", "BASIC Og==", "Bearer Og==", "bearer Og==", "Bearer anonymous", "Basic anonymous"),
    *("Basic !!!!", "Basic Y2k", "Basic Y2k=", "Bearer null", "Bearer undefined", "Basic =", "Bearer ====", "ci"),
    *(
        "Basic {env.HOME}",
        "Bearer {http.request.header.X}",
        "Bearer {file./etc/passwd}",
        "Basic $2a$10$",
        "\t",
        "Bearer\t",
    ),
]


def upload(port: int, repository: str, headers: list[tuple[str, str]]) -> Answer:
    return ask(port, "POST", f"/v2/{repository}/blobs/uploads/", headers)


def is_refusal(answer: Answer) -> bool:
    """Refused with a registry's error body, or by Caddy before it looked at the path."""
    return answer.code is not None if answer.status in (401, 403, 404) else answer.status in (400, 405, 414, 431)


def test_the_account_may_write_what_the_attacks_below_are_measured_against(recorded: Site, recorder: Recorder) -> None:
    for repository in ("team/app", "team/a/b/c", "team/a-b__c.d", "exact"):
        assert upload(recorded.listen.http, repository, [bearer(recorded.login("ci"))]).status == 200
    assert [each.method for each in recorder.take()] == ["POST"] * 4


@pytest.mark.parametrize("path", OTHER_SPELLINGS, ids=lambda path: path[:60])
@pytest.mark.parametrize("account", ["ci", None])
def test_another_spelling_of_a_path_never_reaches_the_registry(
    recorded: Site, recorder: Recorder, path: str, account: str | None
) -> None:
    headers = [bearer(recorded.login(account))] if account else []
    answer = ask(recorded.listen.http, "POST", path, [*headers, ("X-Repository", "app")])
    assert is_refusal(answer), f"{answer.status} {answer.body[:200]!r}"
    assert recorder.take() == [], "what the front refuses must not reach the registry"


@pytest.mark.parametrize(
    "target",
    [
        "http://registry/v2/other/app/blobs/uploads/",
        "http://registry/v2/team/../other/app/blobs/uploads/",
        "https://elsewhere.example/v2/other/app/blobs/uploads/",
        "http://registry/v2/team/app/blobs/uploads/../../../other/app/blobs/uploads/",
        "http://user:word@registry/v2/other/app/blobs/uploads/",
    ],
)
def test_a_target_in_absolute_form_is_judged_by_its_path(recorded: Site, recorder: Recorder, target: str) -> None:
    assert is_refusal(ask(recorded.listen.http, "POST", target, [bearer(recorded.login("ci"))]))
    assert recorder.take() == []


@pytest.mark.parametrize(
    "query",
    [
        *(
            "?mount=sha256:0&from=other/app",
            "?digest=x&name=other/app",
            "?_state=x",
            "?repository=team/app",
            "?/v2/team/app",
        ),
        *("?x=/../../team/app/blobs/uploads/", "?%2e%2e", "#/v2/team/app", "?a=1;b=2", "?ns=team/app"),
    ],
)
def test_a_query_changes_nothing_of_who_may_write_where(recorded: Site, recorder: Recorder, query: str) -> None:
    answer = ask(recorded.listen.http, "POST", f"/v2/other/app/blobs/uploads/{query}", [bearer(recorded.login("ci"))])
    assert is_refusal(answer)
    assert recorder.take() == []


@pytest.mark.parametrize("repository", OTHER_REPOSITORIES)
def test_a_pattern_grants_no_repository_that_only_looks_like_it(
    recorded: Site, recorder: Recorder, repository: str
) -> None:
    answer = upload(recorded.listen.http, repository, [bearer(recorded.login("ci"))])
    assert (answer.status, answer.code) == (403, "DENIED"), "team/* and exact are all that ci has"
    assert recorder.take() == []


@pytest.mark.parametrize(
    ("account", "repository"),
    [
        ("ci", "other/app"),
        ("ci2", "team/app"),
        ("axb", "dots/app"),
        ("axb", "xzy/app"),
        ("a.b", "x.y/app"),
        ("reader", "team/app"),
    ],
)
def test_no_account_writes_in_the_repositories_of_another(
    recorded: Site, recorder: Recorder, account: str, repository: str
) -> None:
    answer = upload(recorded.listen.http, repository, [bearer(recorded.login(account))])
    assert (answer.status, answer.code) == (403, "DENIED")
    assert recorder.take() == []


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        *((name, "ci") for name in ("c", "ci2", "ci:", "CI", "ci ", " ci", "ci\0", "")),
        *((name, "a.b") for name in ("a-b", "axb", "a.", "A.B")),
        *((name, "all") for name in ("al", "all2", ".*", "ci")),
        ("a.b", "axb"),
    ],
)
def test_a_password_holds_for_its_own_account_alone(recorded: Site, recorder: Recorder, name: str, owner: str) -> None:
    login = (name, recorded.passwords[owner])
    for header in (basic(login), bearer(login)):
        assert ask(recorded.listen.http, "GET", "/token", [header]).status == 401
        for repository in ("team/app", "other/app", "dots/app"):
            assert upload(recorded.listen.http, repository, [header]).status == 401
    assert recorder.take() == []


def test_a_colon_may_move_from_the_password_to_the_name_without_an_effect(recorded: Site) -> None:
    """RFC 7617: the name ends at the first colon, so both spellings are the same credentials."""
    first, _, rest = recorded.passwords["ci"].partition(recorded.passwords["ci"][5])
    assert ask(recorded.listen.http, "GET", "/token", [basic((f"ci:{first}", rest))]).status == 401


@pytest.mark.parametrize("value", GARBAGE_CREDENTIALS)
def test_a_write_without_an_account_is_refused_whatever_stands_in_authorization(
    recorded: Site, recorder: Recorder, value: str
) -> None:
    answer = ask(recorded.listen.http, "POST", UPLOAD, [("Authorization", value), ("X", encoded(recorded.login("ci")))])
    assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
    assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="')
    assert recorder.take() == []


def test_spellings_of_a_good_authorization_are_taken_or_refused_but_never_someone_elses(
    recorded: Site, recorder: Recorder
) -> None:
    good, other = encoded(recorded.login("ci")), encoded(recorded.login("ci2"))
    taken = [f"Bearer {good}", f"bearer {good}", f"BEARER {good}", f"Basic {good}", f"basic {good}", f"Bearer   {good}"]
    refused = [
        *(
            f"Bearer {good}x",
            f"Bearer {good} x",
            f"Bearer {good},",
            f"Bearer {good},Bearer {other}",
            f"Bearer {good}\\",
        ),
        *(
            f"Bearer {other}, Bearer {good}",
            f"Bearer {good}====x",
            f"Bearer x{good}",
            f"Bearer,{good}",
            f"Bearer:{good}",
        ),
        *(
            f"Basic Bearer {good}",
            f"Bearer Basic {good}",
            f"Bearer\t{good}",
            f'Bearer "{good}"',
            good,
            f"Digest {good}",
        ),
        *(
            f"Bearer {good[:-2]}",
            f"Bearer {good}Og==",
            f"Bearer {good.swapcase()}",
            f"Bearer {good}%00",
            f"Bearer {good};",
        ),
    ]
    for value in taken:
        assert ask(recorded.listen.http, "POST", UPLOAD, [("Authorization", value)]).status == 200, value
    assert all("Authorization" not in each.headers for each in recorder.take())
    for value in refused:
        answer = ask(recorded.listen.http, "POST", UPLOAD, [("Authorization", value)])
        assert answer.status == 401, f"{value.replace(good, 'GOOD').replace(other, 'OTHER')}: {answer.status}"
    assert recorder.take() == []


def test_a_nul_in_a_header_is_a_bad_request(recorded: Site, recorder: Recorder) -> None:
    good = encoded(recorded.login("ci"))
    assert ask(recorded.listen.http, "POST", UPLOAD, [("Authorization", f"Bearer {good}\0")]).status == 400
    assert recorder.take() == []


@pytest.mark.parametrize("order", list(itertools.permutations(["ci", "ci2", None], 2)))
def test_two_authorization_headers_are_no_account(
    recorded: Site, recorder: Recorder, order: tuple[str | None, str | None]
) -> None:
    headers = [bearer(recorded.login(each)) if each else ("Authorization", "Basic Og==") for each in order]
    for repository in ("team/app", "other/app"):
        assert upload(recorded.listen.http, repository, headers).status == 401
    assert recorder.take() == []


@pytest.mark.parametrize(
    "method",
    [
        "put",
        "Put",
        "post",
        "patch",
        "delete",
        "get",
        "Head",
        "PURGE",
        "OPTIONS",
        "TRACE",
        "PROPFIND",
        "MKCOL",
        "MOVE",
        "COPY",
        "QUERY",
        "CONNECT",
        "GETX",
    ],
)
@pytest.mark.parametrize("path", [UPLOAD, "/v2/other/app/manifests/1", "/v2/", "/token", "/v2/_catalog"])
def test_a_method_that_the_api_does_not_know_gets_no_further(
    recorded: Site, recorder: Recorder, method: str, path: str
) -> None:
    for headers in ([], [bearer(recorded.login("all"))]):
        assert is_refusal(ask(recorded.listen.http, method, path, headers))
    assert recorder.take() == []


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "_method"])
def test_a_header_cannot_turn_a_read_into_a_write(recorded: Site, recorder: Recorder, name: str) -> None:
    ask(recorded.listen.http, "GET", "/v2/other/app/manifests/1", [(name, "DELETE")])
    assert [each.method for each in recorder.take()] == ["GET"]


@pytest.mark.parametrize("name", ["X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Prefix", "X-Forwarded-Uri"])
def test_a_header_cannot_name_another_path(recorded: Site, recorder: Recorder, name: str) -> None:
    ask(recorded.listen.http, "POST", UPLOAD, [bearer(recorded.login("ci")), (name, "/v2/other/app/blobs/uploads/")])
    assert [each.path for each in recorder.take()] == [UPLOAD]


@pytest.mark.parametrize("header", [("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "\tchunked")])
def test_a_second_request_cannot_hide_in_the_body_of_a_first(
    recorded: Site, recorder: Recorder, header: tuple[str, str]
) -> None:
    hidden = request("DELETE", "/v2/other/app/manifests/1")
    data = request("POST", UPLOAD, [header], b"0\r\n\r\n" + hidden).replace(b"Connection: close\r\n", b"")
    with socket.create_connection(("127.0.0.1", recorded.listen.http), timeout=10) as connection:
        connection.sendall(data.replace(b"POST", b"GET", 1))
        receive(connection)
    assert not any(each.writes for each in recorder.take())


def test_nobody_gets_a_token_by_post(site: Site) -> None:
    """A 200 there would make every login of containerd and BuildKit an anonymous one."""
    form = f"grant_type=password&username=ci&password={site.passwords['ci']}&service=registry".encode()
    for headers in ([], [basic(site.login("ci"))]):
        answer = ask(site.listen.http, "POST", "/token", headers, form)
        assert (answer.status, answer.code) == (404, "UNSUPPORTED")


def test_what_reaches_the_registry_carries_no_credentials(recorded: Site, recorder: Recorder) -> None:
    port = recorded.listen.http
    for header in (basic(recorded.login("ci")), bearer(recorded.login("ci"))):
        ask(port, "POST", UPLOAD, [header])
        ask(port, "GET", "/v2/team/app/manifests/1", [header])
        ask(port, "HEAD", "/v2/team/app/manifests/1", [header])
        ask(port, "GET", "/readyz", [header])
    ask(port, "GET", "/v2/team/app/manifests/1", [("Authorization", "Basic Og==")])
    requests = recorder.take()
    assert len(requests) == 9
    assert [each for each in requests if "Authorization" in each.headers] == []
    assert not [each for each in requests if encoded(recorded.login("ci")) in str(each)]


@pytest.mark.parametrize("path", OUTSIDE_THE_API, ids=lambda path: path[:60])
@pytest.mark.parametrize("account", ["all", None])
def test_what_is_no_part_of_the_api_is_a_404_with_the_registrys_error(
    recorded: Site, recorder: Recorder, path: str, account: str | None
) -> None:
    headers = [bearer(recorded.login(account))] if account else []
    for method in ("GET", "POST", "DELETE"):
        answer = ask(recorded.listen.http, method, path, headers)
        assert answer.status in (404, 400), f"{method}: {answer.status} {answer.body!r}"
        assert answer.status == 400 or answer.code == "UNSUPPORTED", f"{method}: {answer.body!r}"
        assert answer.status == 404 or "%" in path, "only a path that cannot be decoded is a bad request"
    assert recorder.take() == []


@pytest.mark.parametrize(
    "path", ["/v2/", "/v2/team/app/blobs/uploads/" + "x", "/nothing", "/v2/team/app/manifests/none"]
)
def test_an_answer_to_head_has_no_body(site: Site, path: str) -> None:
    data = request("HEAD", path)
    with socket.create_connection(("127.0.0.1", site.listen.http), timeout=10) as connection:
        connection.sendall(data)
        whole = b"".join(iter(lambda: connection.recv(65536), b""))
    assert re.match(rb"HTTP/1.1 40[14] ", whole)
    assert whole.endswith(b"\r\n\r\n"), "nothing may follow the header"


@pytest.mark.parametrize("status", [401, 403, 404])
def test_an_error_is_written_as_the_distribution_spec_writes_it(site: Site, status: int) -> None:
    port, login = site.listen.http, site.login("ci")
    answer = {
        401: lambda: upload(port, "team/app", []),
        403: lambda: upload(port, "other/app", [bearer(login)]),
        404: lambda: ask(port, "GET", "/nothing"),
    }[status]()
    assert answer.status == status
    assert answer.headers["Content-Type"].startswith("application/json")
    [error] = json.loads(answer.body)["errors"]
    assert error["code"] in ("UNAUTHORIZED", "DENIED", "UNSUPPORTED")
    assert error["message"]


@pytest.mark.parametrize(
    "host",
    [
        'a",service="evil',
        'a" b',
        "a\\",
        "a,b",
        "{env.HOME}",
        "{http.request.header.X}",
        "a/b",
        "a?b",
        "a@b",
        "a%22b",
        "<a>",
        "a`b",
    ],
)
def test_the_host_that_is_asked_cannot_break_out_of_the_realm(site: Site, host: str) -> None:
    answer = ask(site.listen.http, "GET", "/v2/", [("X", "injected")], host=host)
    assert answer.status in (400, 401)
    challenge = answer.headers.get("WWW-Authenticate", "")
    assert answer.status == 400 or re.fullmatch(r'Bearer realm="http://[^"\\]*/token",service="registry"', challenge), (
        challenge
    )
    assert "injected" not in challenge
    assert "/root" not in challenge


@pytest.mark.parametrize(
    ("forwarded", "scheme"),
    [
        ("https", "https"),
        ("http", "http"),
        ("ftp", "http"),
        ('https",x="', "http"),
        ("", "http"),
        ("https,http", "http"),
    ],
)
def test_the_realms_scheme_is_that_of_the_proxy_before_the_front(site: Site, forwarded: str, scheme: str) -> None:
    answer = ask(site.listen.http, "GET", "/v2/", [("X-Forwarded-Proto", forwarded)], host="registry.example:8443")
    assert (
        answer.headers["WWW-Authenticate"]
        == f'Bearer realm="{scheme}://registry.example:8443/token",service="registry"'
    )


def test_a_header_too_large_is_refused(recorded: Site, recorder: Recorder) -> None:
    for headers in (
        [("X", "x" * 200_000)],
        [(f"X-{number}", "x" * 1000) for number in range(200)],
        [("Authorization", "Basic " + "A" * 100_000)],
    ):
        assert ask(recorded.listen.http, "GET", "/v2/team/app/manifests/1", headers).status in (400, 431)
    assert recorder.take() == []


def test_a_header_that_does_not_end_is_cut_off(site: Site) -> None:
    with socket.create_connection(("127.0.0.1", site.listen.http), timeout=20) as connection:
        connection.sendall(b"GET /v2/ HTTP/1.1\r\nHost: registry\r\n")
        start = time.monotonic()
        assert b" 200 " not in b"".join(iter(lambda: connection.recv(65536), b"")), (
            "closed, or told that it took too long"
        )
    assert 5 < time.monotonic() - start < 20


@pytest.mark.parametrize(
    "framing",
    [
        f"Content-Length: {10**9}",
        "Content-Length: 5",
        "Transfer-Encoding: chunked",
        "Expect: 100-continue\r\nContent-Length: 5",
    ],
)
def test_a_push_without_an_account_is_refused_before_its_body_is_sent(recorded: Site, framing: str) -> None:
    with socket.create_connection(("127.0.0.1", recorded.listen.http), timeout=10) as connection:
        connection.sendall(f"PUT {UPLOAD}some-session HTTP/1.1\r\nHost: registry\r\n{framing}\r\n\r\n".encode())
        assert receive(connection, "PUT").status == 401


def test_an_unknown_account_costs_no_bcrypt(recorded: Site) -> None:
    """Or anyone could burn the front's CPU: for an unknown name Caddy compares with a hash of a much higher cost."""

    def median(name: str) -> float:
        times = []
        for _ in range(7):
            start = time.perf_counter()
            assert ask(recorded.listen.http, "GET", "/token", [basic((name, secrets.token_hex()))]).status == 401
            times.append(time.perf_counter() - start)
        return statistics.median(times)

    known, unknown = median("ci"), median("cj")
    assert unknown < known / 3, f"{unknown * 1000:.1f} ms for an unknown account, {known * 1000:.1f} ms for a known one"


PIECES = [
    *(["team", "app", "a", "b", "c.d", "e-f"] * 4),
    *[
        "other",
        "exact",
        "TEAM",
        "v2",
        "..",
        ".",
        "%2e%2e",
        "%2e",
        "%2f",
        "%2F",
        "/",
        "%00",
        ";",
        "%25",
        "blobs",
        "uploads",
        "manifests",
        "1",
        "tags",
        "list",
    ],
    *("", SHA, "%20POST", "a--b", "a__b", "a..b", "x;y", "%c0%ae", "~"),
]


ENDS = [
    *(("POST", "/blobs/uploads/"), ("PATCH", "/blobs/uploads/abc"), ("PUT", "/blobs/uploads/abc?digest=" + SHA)),
    *(("PUT", "/manifests/1"), ("PUT", f"/manifests/{SHA}"), ("DELETE", f"/blobs/{SHA}"), ("GET", "/manifests/1")),
]


def test_of_random_paths_none_reaches_the_registry_outside_the_accounts_repositories(
    recorded: Site, recorder: Recorder
) -> None:
    """The registry decodes a path once: what it then sees is what has to be granted."""
    chance = random.Random(20)
    granted = re.compile(rf"/v2/(?:team/{NAME}|exact)/(?:blobs/uploads/|manifests/).*")
    header = bearer(recorded.login("ci"))
    for _ in range(1000):
        middle = "/".join(chance.choices(PIECES, k=chance.randint(0, 4)))
        start = chance.choice(["/v2/team/", "/v2/team/", "/v2/", "/v2/team", "//v2/", "/"])
        method, end = chance.choice(ENDS)
        ask(recorded.listen.http, method, start + middle + end, [header])
    writes = [each for each in recorder.take() if each.writes]
    assert len(writes) > 30, "else the paths are too odd to prove anything"
    assert [each for each in writes if not granted.fullmatch(each.path)] == []
