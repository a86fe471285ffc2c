"""Looks at an installation from where it is called: settings, versions, dependencies, who is at
work. Changes nothing, but for a key in Redis that is gone after a second.
"""
