"""What models are: encoder, reason-code classifier, topic model, and the statistics of root causes."""
