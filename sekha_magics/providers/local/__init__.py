"""The embedded model: a child process that serves it, and what speaks to the child.

Importing this package imports none of it; `provider` holds the class.
"""
