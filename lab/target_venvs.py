"""The tools of `invoke test.targets`: Ansible and Salt, each in a venv and a lock of its own, made when first used."""

from fleet.own_venv import ROOT, OwnVenv
from lab.host import LabError

PURPOSE = "which test.targets runs"
ANSIBLE = OwnVenv("Ansible", ROOT / "requirements-targets-ansible.lock", ROOT / ".venv-ansible", PURPOSE, LabError)
SALT = OwnVenv("Salt", ROOT / "requirements-targets-salt.lock", ROOT / ".venv-salt", PURPOSE, LabError, ("salt",))
