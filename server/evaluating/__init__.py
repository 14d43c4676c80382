"""What the policies of a candidate placement would have earned, from logged decisions: docs/evaluate.md.

An export (`exported`, whose columns `contexts` translates) or a CSV log (`rows`), in the candidate's terms
→ bandit.crossfit → bandit.estimators → `report` → `view`.
"""
