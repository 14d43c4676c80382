"""What the policies of a candidate placement would have earned, from logged decisions: docs/evaluate.md.

A log (`server.logged`) → `judging` → bandit.crossfit → bandit.estimators → `report` → `view`.
"""
