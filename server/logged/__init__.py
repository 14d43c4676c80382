"""Logged decisions in the terms of a placement: an export (`exported`, `contexts`) or a CSV log (`rows`).

`opening` finds out which it is; both become a `logs.Loaded`.
"""
