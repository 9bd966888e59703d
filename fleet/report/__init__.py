"""What a rollout leaves behind for people and machines to read."""
