"""Settings: declared, read, validated, and made into RecBole's configuration."""
