"""The bundled model sets, one folder each."""
