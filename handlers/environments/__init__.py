"""Environments: a namespace with its own Airflow."""

from handlers.environments.declared import create, delete, deploy, hibernate, reconcile, unlock, update, wake

__all__ = ["create", "delete", "deploy", "hibernate", "reconcile", "unlock", "update", "wake"]
