"""What answers predictions: a bundle as a predictor, the server around it, and its spool of predictions."""
