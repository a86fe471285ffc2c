"""Settings out of `config.yaml` and the environment, where each of them comes from, and clear words
about what is wrong with them.
"""

from __future__ import annotations

from jobresults.configuration.loading import load_settings
from jobresults.configuration.salvaging import salvage_settings
from jobresults.configuration.sources import PREFIX

__all__ = ["PREFIX", "load_settings", "salvage_settings"]
