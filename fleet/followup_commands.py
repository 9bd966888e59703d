"""The commands that replace a key of Chef's, in the order in which nobody is locked out: for a person to run.

knife's words: https://docs.chef.io/workstation/knife_client/ and knife_user/ (key create, key delete, reregister,
delete); `--user`, `--key` and `--profile` are its common options, as is `--disable-editing`, without which a key is
created in an editor (knife_options/). Where a server keeps several keys of a client, the new one is made
on the node, of which only the public half leaves, added, put in place and tried; the old one is deleted last. Where it
keeps one, `reregister` ends the old one at once (the same pages say so): that the new one can be put down, here and on
the node, is tried before it.
"""

from collections.abc import Sequence

from fleet.chef.credentials import USERS
from fleet.ssh_settings import SshSettings
from generator import shell

BITS = "2048"  # as Chef makes them
OLD, NEW = ".styptic-old", ".styptic-new"
DEFAULT, PLAIN = "default", "--disable-editing"
#: A run that changes nothing and authenticates as any other (chef-client's --why-run).
TRY = "chef-client --why-run"


def ssh(address: str, settings: SshSettings, sudo: bool, script: str) -> str:
    """Return the command that runs a shell script on a node as root, with the same words about SSH as ours."""
    words = ["ssh"]
    words += ["-F", str(settings.config)] if settings.config else []
    words += ["-i", str(settings.identity_file)] if settings.identity_file else []
    words += ["-p", str(settings.port)] if settings.port else []
    words += ["-l", settings.user] if settings.user else []
    hops = [f"{hop}:{hop.port}" if hop.port else str(hop) for hop in settings.gateway]
    words += ["-J", ",".join(hops)] if hops else []
    remote = shell.join([*(["sudo", "-n"] if sudo else []), "sh", "-c", script])
    return shell.join([*words, "--", address, remote])


def knife(profile: str, *words: str) -> str:
    """Return a command of knife's for the Chef server that was asked: another may have clients of the same names."""
    return shell.join(["knife", *words, *(["--profile", profile] if profile != DEFAULT else [])])


def on_node(
    name: str, address: str, path: str, new: str, old: Sequence[str | None], settings: SshSettings, sudo: bool,
    profile: str,
) -> tuple[str, ...]:
    """Return the commands for a node's client, whose private key is the file `path` there.

    `new` is the name that the new key gets, `old` are those of the keys it takes the place of; None stands for the one
    key that the server keeps. `profile` is knife's.
    """
    key = shell.quote(path)
    fresh, before = shell.quote(path + NEW), shell.quote(path + OLD)
    swap = f"cp -p {key} {before} && chmod 600 {fresh} && mv {fresh} {key}"

    def there(script: str) -> str:
        return ssh(address, settings, sudo, script)

    clean_up = there(f"rm {before}")
    if None in old:
        again = knife(profile, "client", "reregister", name, "--file", f"{name}.pem")
        return (
            there(f"umask 077 && touch {fresh} && command -v chef-client"),
            f"(umask 077 && {shell.join(['touch', f'{name}.pem'])} && {again})",
            f"{there(f'umask 077 && cat >{fresh} && {swap} && {TRY}')} <{shell.quote(f'{name}.pem')}",
            f"{shell.join(['rm', f'{name}.pem'])} && {clean_up}",
        )
    make = f"umask 077 && openssl genrsa -out {fresh} {BITS} && openssl rsa -in {fresh} -pubout"
    create = knife(profile, "client", "key", "create", name, "--key-name", new, "--public-key", f"{name}.pub", PLAIN)
    back = f"{{ mv {before} {key}; exit 1; }}"
    return (
        f"{there(make)} >{shell.quote(f'{name}.pub')}",
        create,
        there(f"{swap} && {{ {TRY} || {back}; }}"),
        *(knife(profile, "client", "key", "delete", name, each) for each in old),
        f"{shell.join(['rm', f'{name}.pub'])} && {clean_up}",
    )


def of_operator(name: str, kind: str, path: str, new: str, old: Sequence[str | None], profile: str) -> tuple[str, ...]:
    """Return the commands for the key in the file `path` here, with which knife and Styptic sign as client or user.

    `new`, `old` and `profile` as in on_node; of a user without known keys `old` is ().
    """
    who = "user" if kind == USERS else "client"
    fresh, before = path + NEW, path + OLD
    proof = knife(profile, "environment", "list", "--user", name, "--key", fresh)
    swap = f"{shell.join(['cp', '-p', path, before])} && {shell.join(['mv', fresh, path])}"
    done = shell.join(["rm", before])
    if None in old:
        again = knife(profile, who, "reregister", name, "--file", fresh)
        return f"(umask 077 && {shell.join(['touch', fresh])} && {again})", proof, swap, done
    make = shell.join(["openssl", "genrsa", "-out", fresh, BITS])
    public = shell.join(["openssl", "rsa", "-in", fresh, "-pubout", "-out", f"{fresh}.pub"])
    create = knife(profile, who, "key", "create", name, "--key-name", new, "--public-key", f"{fresh}.pub", PLAIN)
    deleted = [knife(profile, who, "key", "delete", name, each) for each in old]
    return (
        f"(umask 077 && {make} && {public})", create, proof, swap,
        *(deleted or [knife(profile, who, "key", "list", name)]),
        f"{shell.join(['rm', f'{fresh}.pub'])} && {done}",
    )


def of_validator(name: str, left: Sequence[str], profile: str) -> tuple[str, ...]:
    """Return the commands that delete a validator, and then its key from nodes: `left` are those that do this (ssh()).

    No bootstrap needs one that has no validation key: knife then makes client and key as the operator
    (https://docs.chef.io/workstation/knife_bootstrap/). knife deletes a validator with this flag alone.
    """
    return (knife(profile, "client", "delete", name, "--delete-validators"), *left)


def of_another(name: str, key: str, profile: str) -> tuple[str, ...]:
    """Return the command that deletes a further key of a client, which its node does not use."""
    return (knife(profile, "client", "key", "delete", name, key),)
