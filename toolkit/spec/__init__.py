"""The MLproject file: text to frozen values, without side effects."""
