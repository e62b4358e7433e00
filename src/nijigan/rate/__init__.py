"""Rating by hand: a person rates generated and real faces in a browser, without knowing which is which."""
