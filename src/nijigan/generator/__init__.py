"""What a user keeps of a training, and the faces it generates."""
