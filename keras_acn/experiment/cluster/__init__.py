"""Workers that train together: what TF_CONFIG says, their strategy, and starting them."""
