"""Check and prepare the machine: MongoDB, the plugin, its dependencies."""
