"""The front door: `invoke --list` shows what is here; each room brings its own verbs."""

from invoke import Collection

from fleet.verbs.nodes import nodes
from fleet.verbs.patch import patch, verify
from fleet.verbs.plan import plan
from fleet.verbs.push import push
from fleet.verbs.render import render
from lab import verbs as lab

ns = Collection(render, push, nodes, plan, patch, verify, lab.demo)
ns.add_collection(lab.tests, "test")
ns.add_collection(lab.collection, "lab")
