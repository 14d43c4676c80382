"""The shell: sockets, clock, files, logs, metrics and the command line around the pure core in `bandit`.

Start reading at `server/commands/serve.py`, which puts it together; `server/handlers.py` is the service as
plain functions, `server/codec.py` turns its bytes into the core's calls and back.
"""
