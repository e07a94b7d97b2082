"""Test suites and doubles for those who build on the contracts."""
