"""Search as a Chef Infra Server pages it. Needs no Chef Infra Server: a real HTTP server plays its rules.

They are: 1000 rows a page at most, deleted objects shorten a page, and (on OpenSearch) `total` counts to 10,000 and no
further. The lab's tests search a Chef server that is one, goiardi.
"""

import json
import re
from urllib.parse import parse_qs, urlsplit

import pytest

from fleet.chef import search
from fleet.chef.config import ChefConfig
from fleet.chef.server import ChefServer
from fleet.errors import ChefServerError, IncompleteSearchError, NotFoundError, SettingsError

KEYS = {"name": ("name",), "version": ("packages", "openssl", "version")}


class Infra:
    """A server with nodes n0, n1, ... in production; those in `deleted` are in the index and have no row.

    `cap` is where its total stops counting, `flavour` its X-Ops-API-Info, `rows` are all it answers if given.
    """

    def __init__(self, answer, count: int, deleted=(), cap: int | None = None, flavour: str = "", rows=None):
        self.answer, self.count, self.deleted, self.cap, self.flavour = answer, count, deleted, cap, flavour
        self.rows, self.asked = rows, []

    def __call__(self, request):
        headers = {"Content-Type": "application/json", "X-Ops-API-Info": self.flavour}
        url = urlsplit(request.path)
        if url.path == "/environments":
            found = {"production": "", "_default": ""}
        elif url.path.endswith("/nodes"):
            found = {f"n{number}": "" for number in range(self.count) if number not in self.deleted}
        else:
            asked = {name: values[0] for name, values in parse_qs(url.query).items()}
            found = self.page(asked, json.loads(request.body))
        return self.answer(200, json.dumps(found).encode(), headers)

    def page(self, query: dict, keys: dict):
        self.asked.append((query, keys))
        if self.rows is not None:
            return {"total": len(self.rows), "rows": [{"url": each["name"], "data": each} for each in self.rows]}
        start, rows = int(query["start"]), min(int(query["rows"]), 10**6 if self.flavour else 1000)
        total = min(self.count, self.cap or self.count)
        numbers = [number for number in range(start, min(start + rows, total)) if number not in self.deleted]
        found = [
            {"url": f"/nodes/n{n}", "data": {key: self.value(path, n) for key, path in keys.items()}} for n in numbers
        ]
        return {"total": total, "start": start, "rows": found}

    @staticmethod
    def value(path: list, number: int):
        return {"name": f"n{number}", "chef_environment": "production"}.get(path[0])


@pytest.fixture
def infra(serve, answer, pem):
    """Return a function that starts such a server and returns it with a connection to it."""
    opened = []

    def start(count: int, knife=None, **options):
        played = Infra(answer, count, **options)
        opened.append(ChefServer(ChefConfig(serve(played).url, "ada", pem, knife=knife or {})))
        return played, opened[-1]

    yield start
    for chef in opened:
        chef.close()


@pytest.mark.parametrize(("count", "gone"), [(1001, 1), (2500, 1), (2500, 900)])
def test_nodes_deleted_between_two_pages_cost_no_other_one(infra, count, gone):
    played, chef = infra(count)
    page = played.page

    def moved_up(query, keys):
        if query["start"] == "1000":  # the first `gone` of them leave the index, and the others move up
            played.count, played.value = count - gone, lambda _, number: f"n{number + gone}"
        found = page(query, keys)
        for row in found["rows"]:
            row["url"] = f"/nodes/{row['data']['name']}"
        return found

    played.page = moved_up
    names = {row["name"] for row in search.partial(chef, "node", "*:*", KEYS)}
    assert names == {f"n{number}" for number in range(count)}


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 2500])
def test_pages_of_a_thousand_give_each_row_once(infra, count):
    played, chef = infra(count)
    names = [row["name"] for row in search.partial(chef, "node", "*:*", KEYS)]
    assert names == [f"n{number}" for number in range(count)]
    assert [query["start"] for query, _ in played.asked] == [str(start) for start in range(0, max(count, 1), 1000)]
    query, keys = played.asked[0]
    assert query == {"q": "*:*", "rows": "1000", "start": "0"}
    assert keys == {"name": ["name"], "version": ["packages", "openssl", "version"]}


def test_deleted_objects_shorten_pages_and_lose_no_other(infra):
    deleted = {*range(10), *range(995, 1005), 2001}
    _, chef = infra(2100, deleted=deleted)
    names = [row["name"] for row in search.partial(chef, "node", "*:*", KEYS)]
    assert names == [f"n{number}" for number in range(2100) if number not in deleted]


def test_goiardi_is_asked_for_one_page_of_everything(infra):
    played, chef = infra(2500, flavour="flavor=goiardi;version=0.11.10")
    assert len(search.partial(chef, "node", "*:*", KEYS)) == 2500
    assert len(played.asked) == 1


@pytest.mark.parametrize("count", [10_000, 12_345])
def test_a_total_that_stops_counting_is_an_error_that_carries_the_rows(infra, count):
    _, chef = infra(count, cap=10_000)
    with pytest.raises(IncompleteSearchError, match=r"shows 10000 matches of '\*:\*' and counts no further") as refused:
        search.partial(chef, "node", "*:*", KEYS)
    assert len(refused.value.rows) == 10_000


def test_an_environment_larger_than_the_search_is_compared_with_its_list(infra):
    _, chef = infra(10_002, cap=10_000)
    said = r"ends at 10000 nodes and leaves out 2 of environment production \(n10000, n10001\)"
    with pytest.raises(ChefServerError, match=said):
        search.find_nodes(chef, "production", package_names=())
    _, chef = infra(10_000, cap=10_000)
    assert len(search.find_nodes(chef, "production", package_names=())) == 10_000


@pytest.mark.parametrize("page", [
    b"[]", b"{}", b'{"total":"x","rows":[]}', b'{"total":1,"rows":[{"data":{}}]}', b'{"total":1,"rows":[1]}',
    b'{"total":1e999,"rows":[]}', b'{"total":"%s","rows":[]}' % (b"9" * 5000), b'{"total":1,"rows":7}',
    b'{"total":1,"rows":[{"url":"a","data":"b"}]}', b'{"total":1,"rows":[{"url":{},"data":{}}]}',
])
def test_what_is_no_page_is_an_error(serve, answer, pem, page):
    with (
        ChefServer(ChefConfig(serve(answer(body=page)).url, "ada", pem)) as chef,
        pytest.raises(ChefServerError, match="answered the search for 'a:b' with something else"),
    ):
        search.partial(chef, "node", "a:b", KEYS)


def test_a_server_that_counts_without_end_is_not_paged_for_ever(infra):
    played, chef = infra(10**9)
    with pytest.raises(ChefServerError, match=r"counts 1000000000 matches of '\*:\*': narrow the query"):
        search.partial(chef, "node", "*:*", KEYS)
    assert len(played.asked) == 1


def test_an_empty_page_before_the_last_ends_the_search_and_is_said(infra):
    played, chef = infra(5000, deleted=set(range(1500, 5000)))
    said = r"counts 5000 matches of '\*:\*' and shows 1500, then an empty page: have its search index made anew"
    with pytest.raises(IncompleteSearchError, match=said) as refused:
        search.partial(chef, "node", "*:*", KEYS)
    assert len(refused.value.rows) == 1500
    assert len(played.asked) == 3
    assert len(search.find_nodes(chef, "production", package_names=())) == 1500, "nor does its list have more"
    played.deleted = set(range(1500, 4999))
    with pytest.raises(ChefServerError, match=r"ends at 1500 nodes and leaves out 1 of .* production \(n4999\)"):
        search.find_nodes(chef, "production", package_names=())


@pytest.mark.parametrize("known", [b"[1, 2]", b'["production"]', b"[{}]"])
def test_environments_that_are_no_table_are_an_error(serve, answer, pem, known):
    with (
        ChefServer(ChefConfig(serve(answer(body=known)).url, "ada", pem)) as chef,
        pytest.raises(ChefServerError, match="answered GET /environments with something else"),
    ):
        search.check_environment(chef, "production")


@pytest.mark.parametrize(("environment", "query", "asked"), [
    ("production", None, "chef_environment:production"), (None, None, "*:*"), ("*", None, "*:*"),
    (None, "role:web AND tags:a", "(role:web AND tags:a)"),
    ("production", "role:a OR role:b", "chef_environment:production AND (role:a OR role:b)"),
    (None, "a", "(tags:*a* OR roles:*a* OR fqdn:*a* OR addresses:*a* OR policy_name:*a* OR policy_group:*a*)"),
])
def test_the_query_is_knifes(infra, environment, query, asked):
    played, chef = infra(0)
    search.find_nodes(chef, environment, query)
    assert played.asked[0][0]["q"] == asked == search.searched(environment, query)


@pytest.mark.parametrize(("attribute", "knife", "paths"), [
    (None, {}, [["cloud", "public_hostname"], ["fqdn"], ["ipaddress"]]), ("a.b.c", {}, [["a", "b", "c"]]),
    (None, {"ssh_attribute": "cloud.local_ipv4"}, [["cloud", "local_ipv4"]]),
    ("fqdn", {"ssh_attribute": "x"}, [["fqdn"]]),
])
def test_the_address_is_knifes(infra, attribute, knife, paths):
    played, chef = infra(1, knife=knife)
    search.find_nodes(chef, "production", address_attribute=attribute)
    keys = played.asked[0][1]
    assert [keys[f"address_{number}"] for number in range(len(paths))] == paths
    assert f"address_{len(paths)}" not in keys


def test_the_attribute_to_spread_by_comes_with_the_same_search(infra):
    played, chef = infra(1)
    search.find_nodes(chef, "production", group_attribute="ec2.placement_availability_zone")
    assert [keys["group"] for _, keys in played.asked] == [["ec2", "placement_availability_zone"]]
    search.find_nodes(chef, "production")
    assert "group" not in played.asked[-1][1]


ROW = {
    "name": "web1", "environment": "production", "platform": "debian", "release": "12", "ohai_time": 1.5, "os": "linux",
}
RPM = {"epoch": "1", "version": "1.0.1e", "release": "16.el6"}


@pytest.mark.parametrize(("changed", "expected"), [
    ({"address_0": None, "address_1": "web1.example", "address_2": "192.0.2.1"}, {"address": "web1.example"}),
    ({"address_0": "", "address_1": {"a": 1}, "address_2": "192.0.2.1"}, {"address": "192.0.2.1"}),
    ({}, {"address": None}), ({"package_openssl": {"version": "3.0.1-1"}}, {"packages": {"openssl": "3.0.1-1"}}),
    ({"package_openssl": RPM}, {"packages": {"openssl": "1:1.0.1e-16.el6"}}),
    ({"package_openssl": {**RPM, "epoch": "(none)"}}, {"packages": {"openssl": "0:1.0.1e-16.el6"}}),
    ({"package_openssl": "3"}, {"packages": {}}), ({"package_openssl": {"version": None}}, {"packages": {}}),
    ({"package_openssl": {**RPM, "versions": [RPM, {**RPM, "release": "15.el6"}, 7]}},
     {"packages": {"openssl": "1:1.0.1e-15.el6"}}),
    ({"package_openssl": {**RPM, "versions": "x"}}, {"packages": {"openssl": "1:1.0.1e-16.el6"}}),
    ({"package_openssl": {"version": "1" * 10**6}}, {"packages": {"openssl": "1" * 1000}}),
    ({"package_openssl": {"version": "3"}}, {"reports_packages": True}), ({}, {"reports_packages": False}),
    ({"group": "zone-a"}, {"group": "zone-a"}), ({"group": 7}, {"group": "7"}), ({"group": ["a"]}, {"group": None}),
    ({"group": True}, {"group": None}), ({}, {"group": None}),
    ({"witness_rpm": "4.11.3"}, {"reports_packages": True, "packages": {}}),
    ({"platform": None}, {"platform": "linux"}), ({"platform": None, "os": None, "release": None}, {"platform": None}),
    ({"ohai_time": "x"}, {"ohai_time": None}), ({"ohai_time": 7}, {"ohai_time": 7.0}),
    *[({"ohai_time": odd}, {"ohai_time": None}) for odd in (10**400, -(10**400), 1e400, float("nan"), [], {})],
    ({"package_openssl": {"version": 3}}, {"packages": {"openssl": "3"}}), ({"release": "\ud800"}, {"release": "?"}),
    ({"release": 7}, {"release": "7"}),
    ({"policy_name": "web"}, {"policy_name": "web"}), ({"environment": None}, {"environment": "_default"}),
])
def test_a_row_becomes_a_node_whatever_it_holds(infra, changed, expected):
    _, chef = infra(1, rows=[{**ROW, **changed}])
    (node,) = search.find_nodes(chef, package_names=("openssl",), group_attribute="zone")
    assert node.name == "web1"
    assert {key: getattr(node, key) for key in expected} == expected


def test_host_keys_come_with_the_same_search_and_nodes_of_one_address_know_of_each_other(infra):
    key = {"host_ed25519_public": "AAAA", "host_rsa_public": ["x"], "host_ecdsa_public": "B" * 9000}
    rows = [{**ROW, "name": name, "address_0": address, **key} for name, address in zip("abc", "Hhx", strict=True)]
    played, chef = infra(3, rows=rows)
    nodes = search.find_nodes(chef, host_keys=True)
    assert [keys["host_rsa_public"] for _, keys in played.asked] == [["keys", "ssh", "host_rsa_public"]]
    assert [node.rivals for node in nodes] == [("b",), ("a",), ()]
    assert nodes[0].host_keys == {"host_ed25519_public": "AAAA", "host_ecdsa_public": "B" * 4000}
    search.find_nodes(chef)
    assert "host_rsa_public" not in played.asked[-1][1]


def test_rows_without_a_name_or_of_another_environment_are_left_out_and_missing_nodes_are_not(infra, caplog):
    rows = [{**ROW, "name": "n0"}, {**ROW, "name": "n1", "environment": "staging"}, {**ROW, "name": None}]
    _, chef = infra(3, rows=rows)
    nodes = search.find_nodes(chef, "production", package_names=())
    assert [(node.name, node.environment, node.unindexed) for node in nodes] == [
        ("n0", "production", False), ("n1", "production", True), ("n2", "production", True),
    ]
    assert [record.getMessage() for record in caplog.records] == [
        "2 nodes of environment production are not in the server's search index, so nothing is known of them: n1, n2"
    ]


def test_names_that_the_server_chose_are_cleaned_before_they_are_shown(serve, answer, pem, caplog):
    evil = "\x1b[2Jn1\nstyptic: all is well"

    def named(request):
        table = {"/environments": {"production": "", evil: ""}, "/environments/production/nodes": {evil: ""}}
        found = table.get(request.path, {"total": 0, "rows": []})
        return answer(body=json.dumps(found).encode())

    with ChefServer(ChefConfig(serve(named).url, "ada", pem)) as chef:
        assert [node.name for node in search.find_nodes(chef, "production", package_names=())] == [evil]
        with pytest.raises(NotFoundError) as refused:
            search.find_nodes(chef, "staging")
    (warned,) = [record.getMessage() for record in caplog.records]
    assert warned.endswith("known of them: ?[2Jn1 styptic: all is well")
    assert warned.isprintable()
    assert str(refused.value).endswith("there are: ?[2Jn1 styptic: all is well, production")


def test_an_unknown_environment_names_those_there_are(infra):
    played, chef = infra(1)
    said = f"there is no environment 'prod' on {chef.url}; there are: _default, production"
    with pytest.raises(NotFoundError, match=re.escape(said)):
        search.find_nodes(chef, "prod")
    with pytest.raises(SettingsError, match="'a b' cannot be the name of an environment"):
        search.find_nodes(chef, "a b")
    assert played.asked == []
