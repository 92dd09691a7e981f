"""Resilient connectivity as code."""
