"""``python -m toolkit`` is the command ``toolkit``."""

from toolkit.cli.main import script

script()
