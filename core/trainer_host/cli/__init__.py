"""The command ``trainer``. Heavy imports happen inside the command that needs them."""
