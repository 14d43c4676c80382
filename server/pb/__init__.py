"""The contract in Python, generated from proto/ by `make proto`. Do not edit what lies beside this file."""
