"""The front door: `invoke --list` shows what is here; each room brings its own verbs."""

from invoke import Collection

from fleet.cli import settings_said_plainly
from fleet.verbs import advisory, followup
from fleet.verbs.assess import assess
from fleet.verbs.check import check
from fleet.verbs.exposure import exposure
from fleet.verbs.history import history, show, status
from fleet.verbs.inventory import inventory
from fleet.verbs.nodes import nodes
from fleet.verbs.patch import patch, verify
from fleet.verbs.plan import plan
from fleet.verbs.push import push
from fleet.verbs.render import render
from fleet.verbs.report import report
from fleet.verbs.unlock import unlock
from lab import suites
from lab import verbs as lab

settings_said_plainly()
ns = Collection(
    render, push, nodes, inventory, check, assess, plan, patch, verify, status, history, show, report,
    exposure, unlock, lab.demo,
)
ns.add_collection(advisory.collection, "advisory")
ns.add_collection(followup.collection, "followup")
ns.add_collection(suites.collection, "test")
ns.add_collection(lab.collection, "lab")
