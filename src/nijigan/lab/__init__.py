"""Every loss with every penalty on points in the plane: the experiment and its figure."""
