"""Looking into a data directory: what was learned (`inspect`), what changed (`diff`), what broke (`verify`).

`reading` and `files` read, `figures`, `comparison` and `findings` are what they make of it, plain values;
`view` shows them to a person. Nothing here changes a file.
"""
