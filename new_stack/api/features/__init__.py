"""All that the hub had not, as the application takes it in: its settings, its services, its routes and its work."""
