"""The tests; a package so that their services and sample tasks can be imported by name."""
