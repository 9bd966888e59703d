"""`invoke render`: the cookbook, or what nodes that Chef does not reach are patched with; touches no server."""

from fleet.cli import verb
from fleet.errors import SettingsError
from fleet.settings import file_of
from fleet.text import clean
from fleet.verbs import shared

OWN = {
    "path": "Directory of the cookbook (default: cookbooks/openssl_patch of this checkout)",
    "target": "cookbook (the default), shell, ansible or salt",
    "output": "Where a target goes: a file for shell (default: it is printed), a directory for ansible and salt",
}


@verb(help=shared.WHAT | OWN, iterable=["advisory"])
def render(context, advisory=None, path=None, target="cookbook", output=None):
    """
    Write the cookbook openssl_patch for these advisories. Touches no server and no node.

    invoke render
    invoke render --advisory CVE-2014-0160 --path ~/chef-repo/cookbooks/openssl_patch
    invoke render --target shell --output openssl_patch.sh
    invoke render --target ansible --output ansible

    Writes nothing where nothing changed; changed content raises the cookbook's version and adds to its CHANGELOG.md.
    The targets are for nodes that Chef does not reach: one shell script, or a playbook or a Salt state around it.
    """
    from generator import targets

    if target != "cookbook" and target not in targets.TARGETS:
        raise SettingsError(f"--target: {clean(target)!r} is none of cookbook, {', '.join(targets.TARGETS)}.")
    if (path and target != "cookbook") or (output and target == "cookbook"):
        raise SettingsError("--path is the cookbook's, --output is that of --target shell, ansible or salt.")
    settings = shared.settings_of(context, {"advisory": advisory}, whom=False)
    advisories = shared.advisories_of(settings)
    if target != "cookbook":
        return put(targets.TARGETS[target](advisories), target, output)
    from fleet import push
    from generator import render as rendering

    destination = file_of(path, "--path") if path else push.CHECKOUT / "cookbooks" / push.COOKBOOK
    done = rendering.cookbook(advisories, destination)
    print(f"{done.name} {done.version}: {'written to' if done.changed else 'unchanged in'} {done.path}")
    return None


def put(files, target: str, output: str | None) -> None:
    """Write a target's files to where the user wants them, or print the one there is."""
    from generator import targets

    if output is None:
        if len(files) > 1:
            raise SettingsError(f"say where the {len(files)} files go: --output DIRECTORY.")
        print(*files.values(), sep="", end="")
        return
    place = file_of(output, "--output")
    whole = {place: next(iter(files.values()))} if len(files) == 1 else {place / name: files[name] for name in files}
    changed = targets.write(whole)
    print(f"{target}: {'written to' if changed else 'unchanged in'} {place}")
