"""The files of the workspace page."""
