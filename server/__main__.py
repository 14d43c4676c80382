"""`python -m server` is `banditd`."""

from server.cli import main

main()
