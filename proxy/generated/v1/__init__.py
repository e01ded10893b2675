"""Made from `proxy/protos/` by `make generate`. Not to be edited."""
