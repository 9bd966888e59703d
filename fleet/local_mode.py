"""A node under a policy, which takes cookbooks from that policy's lock alone: chef-client in local mode converges a
cookbook that is copied to it, and neither its policy nor the Chef server hears of it.

Source: chef-client's `--local-mode`, `--config` and `--lockfile`, and the settings of config.rb, as in
https://docs.chef.io/ctl_chef_client/ and https://docs.chef.io/config_rb_client/; their defaults are in
chef-config/lib/chef-config/config.rb.
"""

import io
import tarfile
from collections.abc import Mapping

from fleet import look
from fleet.converge import RESULT, STATE
from fleet.node import Node
from fleet.settings import Settings

# Everything that chef-client writes by itself stands below the directory that this stands in, and goes with it. The
# node's own client.rb is not read: its policy would count.
CONFIG = """\
here = File.dirname(File.expand_path(__FILE__))
local_mode true
node_name ENV.fetch('STYPTIC_NODE')
lockfile ENV.fetch('STYPTIC_LOCKFILE')
chef_repo_path here
cookbook_path File.join(here, 'cookbooks')
cache_path File.join(here, 'cache')
"""

# The cookbook and its configuration come as a tar archive by standard input. $1 is the run lock's limit in seconds, $2
# the node's name. Of the node's own client.rb two things hold here too: the lock, so that its daemon's run and this one
# wait for each other, and an acceptance of Chef's licence, which is never given by us. Chef-client creates no node on
# the Chef server in local mode, because the server is one in its own memory.
SCRIPT = rf"""
LC_ALL=C.UTF-8 PATH=$PATH:{look.PATHS}
export LC_ALL PATH
client=$(command -v chef-client || command -v cinc-client) || exit 127
name=${{client##*/}}
home=${{name%-client}}
said() {{
    sed -n "s/^[[:space:]]*$1[[:space:](]*[\"']\([^\"']*\)[\"'].*/\1/p" \
        "/etc/$home/client.rb" "/etc/$home/client.d"/*.rb 2>/dev/null | tail -n 1
}}
cache=$(said file_cache_path)
STYPTIC_LOCKFILE=$(said lockfile)
: "${{STYPTIC_LOCKFILE:=${{cache:-/var/$home/cache}}/$name-running.pid}}"
STYPTIC_NODE=$2
export STYPTIC_NODE STYPTIC_LOCKFILE
case $(said chef_license) in
    accept | accept-silent | accept-no-persist) CHEF_LICENSE=accept-no-persist && export CHEF_LICENSE ;;
esac
rm -rf {STATE}/local.* {RESULT}
place=$(mktemp -d {STATE}/local.XXXXXX) || exit 1
trap 'rm -rf "$place"' EXIT
tar -xof - -C "$place" || exit 1
"$client" --local-mode --config "$place/config.rb" --once --no-color --run-lock-timeout "$1" \
    -o 'recipe[openssl_patch]' </dev/null 2>&1
"""


def wanted(node: Node, settings: Settings) -> bool:
    """True for a node that is converged in local mode: under a policy, over SSH, unless its own run list is wanted."""
    return bool(node.policy_name) and settings.via == "chef" and not settings.full_run


def command(node: str, lock_seconds: int) -> list[str]:
    """Return the command that converges what archive() made on a node of this name, as root."""
    return ["sh", "-c", SCRIPT, "sh", str(lock_seconds), node]


def archive(name: str, files: Mapping[str, bytes]) -> bytes:
    """Return a tar archive of a cookbook (path below it to content) and of the configuration to converge it with.

    The same files make the same bytes.
    """
    said = io.BytesIO()
    with tarfile.open(fileobj=said, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        contents = {f"cookbooks/{name}/{path}": content for path, content in files.items()}
        for path, content in sorted({"config.rb": CONFIG.encode(), **contents}.items()):
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(content), 0o600
            tar.addfile(member, io.BytesIO(content))
    return said.getvalue()
