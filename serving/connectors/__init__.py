"""Survey tools that send their responses here: a room for each, and what they have in common."""
