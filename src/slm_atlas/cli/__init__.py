"""The command `slm`: one module a command."""
