"""The Airflow port: what no conformance suite can show, or not as fast."""
