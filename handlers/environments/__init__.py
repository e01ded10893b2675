"""Environments: a namespace with its own Airflow."""

from handlers.environments.declared import create, delete, deploy, hibernate, unlock, update, wake

__all__ = ["create", "delete", "deploy", "hibernate", "unlock", "update", "wake"]
