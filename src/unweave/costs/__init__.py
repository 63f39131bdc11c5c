"""What a run will cost, told before it is started: work from the configuration, rates from earlier runs."""
