"""One decision, from its decision_id: what was known, what was likely, what became of it."""
