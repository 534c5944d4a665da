"""Pure rules: no await, no clock, no randomness, no environment, no logging."""
