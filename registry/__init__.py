"""Registered models: numbered versions, stages, aliases, gates and approvals."""
