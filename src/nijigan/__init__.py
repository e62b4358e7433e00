"""Train, judge and run GANs that draw anime faces."""
