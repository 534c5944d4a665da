"""Servers that are measured, each started and stopped in the same way: `peer` says how."""
