"""Executing, checking and rendering the chapters. Nothing in this room imports torch."""

# No index has this package: what a command lacks comes from the clone whose book is built.
ADVICE = "in the clone, `make env` or `pip install -e '.[book]'` brings it"
