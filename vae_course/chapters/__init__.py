"""Executing, checking and rendering the chapters. Nothing in this room imports torch."""
