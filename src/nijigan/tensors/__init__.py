"""What every room that computes with tensors needs: their files, their precision, networks without memory."""
