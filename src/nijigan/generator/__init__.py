"""The trained generator, its file, and the images and films made with it."""
