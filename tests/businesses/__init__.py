"""Made-up companies of the kinds of subscription business that there are, each with its truth."""
