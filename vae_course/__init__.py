"""Variational autoencoders as a course: every formula of the book is one function in here."""

__version__ = "0.1.0"
