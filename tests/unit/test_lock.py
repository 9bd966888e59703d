"""The lock on an environment, on a server that answers as a test tells it to; tests/lab/test_lock.py has a real one."""

import json
import os
import signal
import threading
from dataclasses import replace

import pytest
from invoke import Config, Context

from fleet import who
from fleet.chef import lock
from fleet.chef.config import ChefConfig
from fleet.chef.lock import Holder
from fleet.chef.server import ChefServer
from fleet.errors import LockedError, LockError, ServerUnreachableError
from fleet.settings import Settings
from fleet.verbs import shared
from fleet.verbs import unlock as verbs

SINCE = "2026-01-02T03:04:05Z"
OURS = Holder("production", "ada", "admin1", "ops", SINCE, "r1", "OPS-7", {"pid": 7})
THEIRS = Holder("production", "bob", "laptop", "bob", SINCE, "r2")


class Bags:
    """A Chef server's data bags; `refuse` maps a method and path to a status, `lose` those whose answer is lost."""

    def __init__(self, answer):
        self.answer, self.bags, self.refuse, self.lose = answer, {}, {}, set()

    def __call__(self, request):
        asked = (request.method, request.path)
        if asked in self.refuse:
            return self.answer(self.refuse[asked], b'{"error": ["missing create permission"]}')
        status, body = self.done(*asked, request.body)
        if asked in self.lose:
            return self.answer(0)
        return self.answer(status, json.dumps(body).encode())

    def done(self, method, path, body):
        if path == "/environments":
            return 200, {"_default": "", "production": ""}
        _, _, bag, item = (*path.split("/"), None, None)[:4]
        sent = json.loads(body or b"{}")
        if bag is None or (bag not in self.bags):
            if method == "POST" and bag is None:
                return 201, {"uri": self.bags.setdefault(sent["name"], {}) and ""}
            return 404, {"error": ["no such bag"]}
        items = self.bags[bag]
        if method == "POST":
            known = sent["id"] in items
            items.setdefault(sent["id"], sent)
            return (409, {"error": ["there"]}) if known else (201, sent)
        if item not in items:
            return 404, {"error": ["no such item"]}
        if method == "PUT":
            items[item] = sent
        return 200, items.pop(item) if method == "DELETE" else items[item]


@pytest.fixture
def bags(answer):
    return Bags(answer)


@pytest.fixture
def there(bags):
    """Return what the Chef server of `chef` holds: bags and no nodes."""
    return bags


ITEM = ("POST", f"/data/{lock.BAG}")


def test_it_is_held_while_the_block_runs_and_no_longer(chef, bags):
    with lock.held(chef, [OURS], pytest.fail):
        assert lock.read(chef, "production") == OURS
    assert bags.bags == {lock.BAG: {}}


def test_it_is_given_back_however_the_block_ends(chef, bags):
    with pytest.raises(KeyboardInterrupt), lock.held(chef, [OURS], pytest.fail):
        raise KeyboardInterrupt
    assert bags.bags == {lock.BAG: {}}


def test_a_second_operator_is_told_whose_it_is_and_what_to_do(chef):
    lock.take(chef, OURS)
    with pytest.raises(LockedError) as refused, lock.held(chef, [THEIRS], pytest.fail):
        pytest.fail("both hold it")
    said = str(refused.value)
    assert said.startswith(f"production is being patched by ada@admin1 (Chef client ops, ticket OPS-7) since {SINCE} (")
    assert said.endswith(
        "run r1; nothing was changed: wait until that run has ended (`invoke status` on admin1), or, if it is dead, "
        "go on with it there (`invoke patch --resume`) or break its lock with `invoke unlock --env production`."
    )
    assert refused.value.exit_code == 3
    assert lock.read(chef, "production") == OURS


def test_all_or_none(chef, bags):
    lock.take(chef, THEIRS)
    first = Holder("a", "ada", "admin1", "ops", SINCE, "r1")
    with pytest.raises(LockedError), lock.held(chef, [first, OURS], pytest.fail):
        pytest.fail("one is another's")
    assert list(bags.bags[lock.BAG]) == ["production"]


@pytest.mark.parametrize("asked", [ITEM, ("POST", "/data")])
def test_a_server_that_refuses_is_one_sentence_with_the_way_round_it(chef, bags, asked):
    bags.refuse[asked] = 403
    said = r"does not allow 'ops' to .*missing create permission; the lock .* --no-lock"
    with pytest.raises(LockError, match=said), lock.held(chef, [OURS], pytest.fail):
        pytest.fail("nothing is held")


def test_a_lost_answer_is_no_lost_lock(chef, bags):
    bags.bags[lock.BAG] = {}
    bags.lose.add(ITEM)
    with lock.held(chef, [OURS], pytest.fail):
        assert lock.read(chef, "production").run == "r1"
    assert bags.bags == {lock.BAG: {}}


def test_a_lost_answer_for_another_ones_lock_stays_an_error(chef, bags):
    lock.take(chef, THEIRS)
    bags.lose.add(ITEM)
    with pytest.raises(ServerUnreachableError):
        lock.take(chef, OURS)
    assert lock.read(chef, "production").run == "r2"


def test_a_lock_that_was_broken_meanwhile_is_told_and_the_other_ones_left(chef):
    told = []
    with lock.held(chef, [OURS], told.append):
        lock.release(chef, OURS)
        lock.take(chef, THEIRS)
    assert told == ["the lock on production was broken while this run held it: see that nobody patched it meanwhile."]
    assert lock.read(chef, "production").run == "r2"


def test_a_lock_that_comes_about_after_an_interruption_is_told_of(serve, answer, bags, pem):
    """What was sent is not unsent: the server answers whoever is gone, and then nobody's run has the lock."""
    bags.bags[lock.BAG] = {}
    gone, made, told = threading.Event(), threading.Event(), []

    def slow(request):
        if (request.method, request.path) != ITEM:
            return bags(request)
        os.kill(os.getpid(), signal.SIGINT)
        gone.wait(10)
        created = bags(request)
        made.set()
        return created

    with ChefServer(ChefConfig(serve(slow).url, "ops", pem), pause=lambda _: None) as chef:
        with pytest.raises(KeyboardInterrupt), lock.held(chef, [OURS], told.append):
            pytest.fail("nobody holds it")
        gone.set()
        assert made.wait(10)
    assert list(bags.bags[lock.BAG]) == ["production"]
    assert told == [
        "the server may yet make the lock on production that it was asked for: `invoke unlock --env production` says."
    ]


RESUMED = replace(OURS, owner="bob", host="laptop", process={"pid": 9})


def test_a_resume_takes_the_lock_of_its_own_run_again(chef, bags):
    lock.take(chef, OURS)
    with lock.held(chef, [RESUMED], pytest.fail) as lost:
        assert lock.read(chef, "production") == RESUMED
        assert lost() is None
        with pytest.raises(LockedError, match="is being patched by bob@laptop"):
            lock.take(chef, THEIRS)
        assert not lock.release(chef, OURS), "whoever held it before gives nothing back"
    assert bags.bags == {lock.BAG: {}}


def test_a_lock_that_was_broken_is_known_before_the_end(chef):
    with lock.held(chef, [OURS], lambda _: None) as lost:
        lock.release(chef, OURS)
        assert lost() == "the lock on production was broken"
        lock.take(chef, THEIRS)
        assert lost().startswith("the lock on production was broken, and it is held by bob@laptop (Chef client bob)")


def test_a_run_that_was_resumed_elsewhere_has_lost_its_lock(chef):
    with lock.held(chef, [OURS], lambda _: None) as lost:
        lock.take(chef, RESUMED)
        assert "it is held by bob@laptop" in lost()
    assert lock.read(chef, "production") == RESUMED


def test_a_lock_that_cannot_be_given_back_is_told(chef, bags):
    told = []
    with lock.held(chef, [OURS], told.append):
        bags.refuse["DELETE", f"/data/{lock.BAG}/production"] = 500
    (sentence,) = told
    assert sentence.startswith("the lock on production may still stand, break it with `invoke unlock --env production`")


def test_who_interrupts_the_giving_back_is_told_which_may_still_stand(chef, monkeypatch):
    told, second = [], replace(OURS, environment="staging")

    def interrupted(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), lock.held(chef, [OURS, second], told.append):
        monkeypatch.setattr(lock, "release", interrupted)
    assert told == [
        "interrupted: the lock on production, staging may still stand, break it with "
        "`invoke unlock --env production`, `invoke unlock --env staging`."
    ]


@pytest.mark.parametrize("item", [{"id": "production"}, {"owner": ["\x1b[2J"], "run": 7, "process": [], "since": 9e99}])
def test_whatever_the_item_holds_it_is_a_lock(chef, bags, item):
    bags.bags[lock.BAG] = {"production": item}
    with pytest.raises(LockedError) as refused:
        lock.take(chef, OURS)
    assert str(refused.value).isprintable()


@pytest.fixture
def knife(serve, bags, pem, tmp_path, monkeypatch):
    """The same server, as knife's settings lead to it."""
    (tmp_path / "ops.pem").write_text(pem)
    (tmp_path / "config.rb").write_text(
        f"chef_server_url '{serve(bags).url}'\nnode_name 'ops'\nclient_key '{tmp_path}/ops.pem'\n"
    )
    monkeypatch.setenv("KNIFE_HOME", str(tmp_path))
    return bags


def unlocked(**flags):
    """Run the verb; return its exit code."""
    try:
        verbs.unlock(Context(Config()), **{"env": "production"} | flags)
    except SystemExit as ended:
        return ended.code
    return 0


def test_unlock_says_whose_it_breaks(knife, chef, capsys):
    lock.take(chef, OURS)
    assert unlocked() == 1
    out, err = capsys.readouterr()
    assert out.startswith("production is locked by ada@admin1 (Chef client ops, ticket OPS-7) since ")
    assert "no terminal to ask at, so the lock stands" in err
    assert lock.read(chef, "production") == OURS
    assert unlocked(yes=True) == 0
    assert capsys.readouterr().out.endswith("production is not locked any more; run r1 must not go on.\n")
    assert knife.bags == {lock.BAG: {}}
    assert unlocked() == 0
    assert capsys.readouterr().out == "production is not locked.\n"
    assert unlocked(env="prodution") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "there is no environment 'prodution'" in err
    assert err.endswith("there are: _default, production\n")


def test_the_lock_of_a_run_that_is_alive_here_is_not_broken(knife, chef, capsys):
    lock.take(chef, Holder("production", "ada", who.host(), "ops", SINCE, "r1", None, who.process()))
    assert unlocked(yes=True) == 1
    assert f"alive on this machine, as process {os.getpid()}: interrupt it" in capsys.readouterr().err
    assert lock.read(chef, "production").run == "r1"


def test_patch_holds_each_environment_it_connects_to_for_its_run(knife, chef):
    settings = Settings(env="*", ticket="OPS-7")
    with shared.shop(settings) as shop, verbs.locked(shop, settings, {"staging", "production"}, "r1"):
        assert list(knife.bags[lock.BAG]) == ["production", "staging"]
        holder = lock.read(chef, "staging")
        assert (holder.owner, holder.host, holder.client, holder.run, holder.ticket) == (
            who.user(), who.host(), "ops", "r1", "OPS-7",
        )
        assert who.runs(holder.process, holder.host)
    assert knife.bags == {lock.BAG: {}}


def test_without_a_lock_the_server_is_not_asked(knife):
    settings = Settings(env="production", no_lock=True)
    with shared.shop(settings) as shop, verbs.locked(shop, settings, {"production"}, "r1"):
        assert knife.bags == {}


@pytest.mark.parametrize("environment", [None, "*"])
def test_unlock_wants_one_environment(knife, capsys, environment):
    assert unlocked(env=environment, yes=True) == 1
    assert "say which environment" in capsys.readouterr().err
