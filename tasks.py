"""The front door: `invoke --list` shows what is here; each room brings its own verbs."""

from invoke import Collection

ns = Collection()
