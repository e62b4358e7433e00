"""What can be seen in a picture: faces, their parts, their colours."""
