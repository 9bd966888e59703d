"""What is left to do after the patch: `invoke followup.list`, `followup.done`, `followup.undone`, `followup.chef`."""

from invoke import Collection

from fleet.cli import verb
from fleet.errors import SettingsError
from fleet.text import clean
from fleet.verbs import shared

OPEN = 2  # exit code: something is left to do
JSON = {"json": "As JSON, for programs"}
WHERE = {"env": "Chef environment (default, and '*': what is done for every one)"}
SAID = WHERE | shared.WHAT | {
    "item": "Which item, by its name in followup.list", "note": "What was done, or the ticket it is in",
}
REACH = {
    name: shared.SSH[name]
    for name in ("ssh_user", "ssh_identity_file", "ssh_port", "ssh_gateway", "ssh_config", "sudo")
}
CHEF = {name: text for name, text in shared.WHOM.items() if name != "limit"} | shared.WHAT | REACH | JSON


@verb(help=WHERE | shared.WHAT | JSON, iterable=["advisory"])
def listed(context, env=None, advisory=None, json=False):
    """
    List what is left to do after an advisory by which memory leaked: passwords, tokens, sessions, keys.

    invoke followup.list --env production
    invoke followup.list --env production --advisory heartbleed --json

    Asks neither server nor node: the list is data (generator/followup.toml, and your own items by `followup` in
    invoke.yaml), and what is done of it is in the journal. An advisory by which nothing leaks leaves nothing to do.
    Exit codes: 0 all is done, 2 something is left to do. See docs/followup.md.
    """
    settings, ids = meant(context, env, advisory)
    from fleet import followup

    if not ids:
        print("{}" if json else nothing(settings))
        return 0
    from fleet.exposure_record import read
    from fleet.journal import default_path

    items = followup.items(settings.followup)
    where = settings.environment
    found = read(
        default_path(), lambda history: followup.entries(items, ids, where, history),
        followup.entries(items, ids, where, None),
    )
    if json:
        print(followup.as_json(found, where))
    else:
        for line in followup.lines(found, where or "every environment"):
            print(line)
    return 0 if all(each.done_at for each in found) else OPEN


@verb(help=SAID, iterable=["advisory"])
def done(context, item=None, note=None, env=None, advisory=None):
    """
    Cross an item off the list: for an environment, or without --env for every one.

    invoke followup.done --item service-passwords --env production --note OPS-8
    invoke followup.done --item cloud-password --note 'all six owners, and a second factor'

    Writes who, when and the note into the journal; the report of a patch shows it.
    """
    return say(context, item, note, env, advisory, True)


@verb(help=SAID, iterable=["advisory"])
def undone(context, item=None, note=None, env=None, advisory=None):
    """
    Open an item of the list again; what was said of it before stays in the journal.

    invoke followup.undone --item sessions --env production --note 'the mobile app keeps its tokens'
    """
    return say(context, item, note, env, advisory, False)


@verb(help=CHEF, short=shared.short(shared.WHOM, REACH), iterable=["advisory"])
def chef(
    context, env=None, query=None, advisory=None, address_attribute=None, ssh_user=None, ssh_identity_file=None,
    ssh_port=None, ssh_gateway=None, ssh_config=None, sudo=False, profile=None, json=False,
):
    """
    List Chef's own keys that are older than the patch, each with the commands that replace it and lock nobody out.

    invoke followup.chef --env production --advisory heartbleed

    The nodes' clients by what `invoke exposure` saw on them last, so run that first; what the Chef server takes for
    them beside; its validators; and the key with which you sign. Connects to no node and changes nothing: the commands
    are for you. Exit codes: 0 none is older, 2 one is or is unknown, 10 no node matched. See docs/followup.md.
    """
    flags = {name: value for name, value in locals().items() if name not in ("context", "json")}
    settings = shared.settings_of(context, flags)
    advisories = [each for each in shared.advisories_of(settings) if each.leaks]
    if not advisories:
        print("{}" if json else nothing(settings))
        return 0
    from datetime import UTC, datetime

    from fleet import followup_chef_text as text
    from fleet import followup_seen
    from fleet.exposure_record import read
    from fleet.followup_chef import Judge
    from fleet.journal import default_path
    from fleet.ssh_settings import settings_for

    ids = [each.id for each in advisories]
    seen = read(default_path(), lambda history: followup_seen.seen(history, ids), followup_seen.seen(None, ids))
    with shared.shop(settings) as shop:
        ssh = settings_for(settings, shop.config.knife)
        nodes = shared.nodes_of(shop.server, settings, advisories)
        judge = Judge(shop.server, shop.config, seen, ssh, settings.sudo, f"styptic-{datetime.now(UTC):%Y%m%d}")
        found = judge.all(nodes)
        url = shop.server.url
    if json:
        print(text.as_json(found, settings.whom, url, ids))
    else:
        for line in text.lines(found, settings.whom, ids, judge.several):
            print(line)
    return OPEN if any(each.bad for each in found) else 0


def say(context, item, note, env, advisory, is_done: bool) -> int:
    """Write down that an item is done, or not, and say how much of the list is left."""
    settings, ids = meant(context, env, advisory)
    if not ids:
        raise SettingsError(f"{nothing(settings)} There is no list for it.")
    from fleet import followup
    from fleet.history import History
    from fleet.journal import Journal, default_path

    items, where = followup.items(settings.followup), settings.environment
    with Journal(default_path()) as journal:
        said = followup.say(journal, items, ids, where, item, note, is_done)
    with History(default_path()) as history:
        left = sum(not each.done_at for each in followup.entries(items, ids, where, history))
    what = "done" if is_done else "open again"
    print(f"{where or 'every environment'}, {clean(', '.join(ids), 200)}: {said.id} is {what}; {left} left to do.")
    return 0


def meant(context, env, advisory) -> tuple:
    """Return the settings, and the ids of those advisories by which memory leaked."""
    from fleet.followup import leaking

    settings = shared.settings_of(context, {"env": env, "advisory": advisory}, whom=False)
    return settings, leaking(shared.advisories_of(settings))


def nothing(settings) -> str:
    """Return the sentence on advisories by which nothing leaked."""
    return f"{clean(', '.join(settings.advisories), 200)}: nothing leaks by it, so nothing is left to do for it."


collection = Collection("followup", done, undone, chef)
collection.add_task(listed, name="list")
