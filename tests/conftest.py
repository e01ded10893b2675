"""Fixtures of all suites."""

from tests.servers.fixtures import aws_credentials, azurite, fauxqs, kube_assets, ministack, moto, real_kubeconfig

__all__ = ["aws_credentials", "azurite", "fauxqs", "kube_assets", "ministack", "moto", "real_kubeconfig"]
