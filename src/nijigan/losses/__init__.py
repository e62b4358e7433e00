"""What the two networks play: objectives, class losses, penalties, augmentation."""
