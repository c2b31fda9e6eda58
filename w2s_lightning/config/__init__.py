"""From composed YAML to frozen records: what they hold, how they are bound, what a mistake is answered."""
