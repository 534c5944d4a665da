"""Numbered SQL, as package data: `tables` is the platform's own set, `orderstream` is ours."""
