"""Reading datasets without running anything that is in them."""
