"""Declaration, parsing and validation of settings, and construction of RecBole's configuration."""
