"""The face: the command line and the public names; it wires rooms together and holds no logic."""

__version__ = "0.1.0"
