"""Artefact -> patched nodes: the Chef server, the connections, the rollout, the proof."""
