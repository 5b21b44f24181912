"""What every room stands on: errors, parts by name, precision, noise, files that appear whole."""
