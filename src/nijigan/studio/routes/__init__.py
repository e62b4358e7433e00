"""The addresses of the studio: each module makes a router for one `Studio`."""
