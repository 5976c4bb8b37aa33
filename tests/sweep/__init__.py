"""Every setting with wrong and extreme values, through every door: a documented ending and never a bare traceback."""
