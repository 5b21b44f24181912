"""What several replicas need: exchanges, one batch cut in parts, Keras's overrides."""
