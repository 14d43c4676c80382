"""The commands of `banditd`, one module each; `server.cli` finds them."""
