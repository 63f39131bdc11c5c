"""Commands for people: what a researcher does outside the workflow. Heavy imports wait until a command needs them."""
