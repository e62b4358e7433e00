"""Teaching a trained generator what people keep, by their verdicts on its faces."""
