"""The plugin in the App: background work, URIs, icons."""
