"""A static site that shows what the features of dictionaries respond to. It needs no server and no network."""
