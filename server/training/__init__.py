"""Warm start: what a placement would have learned from logged decisions, as a data directory: docs/train.md.

A log (`server.logged`) → `learning` → bandit.logged → `directory` → `view`.
"""
