"""One module a service: what each call means."""
