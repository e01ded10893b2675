"""Custom resources: kinds that come from CustomResourceDefinitions."""
