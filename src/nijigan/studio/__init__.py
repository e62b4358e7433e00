"""The studio: faces over HTTP, and the page that draws, steers, breeds and shares them."""
