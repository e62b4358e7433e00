"""What is shown of evaluations, as HTML."""
