"""The forms that operators show, made from the settings' own metadata."""
