"""What a dictionary is worth: one module per evaluation."""
