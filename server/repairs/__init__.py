"""Making a damaged data directory startable again, with what can be saved of it.

    plan (what a start would find → what to do, what is lost) → aside, rebase (how) → the command

Nothing is deleted: whatever is taken out of the way keeps its bytes under a name that ends in `.broken`.
"""
