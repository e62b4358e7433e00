"""What the networks minimise: objectives, class losses and penalties; and augmentation of what D sees."""
