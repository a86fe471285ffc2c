"""Releases that replace each other while the service is used."""
