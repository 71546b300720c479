"""Uses models: tagging, the HTTP API and the workspace page."""
