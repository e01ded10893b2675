"""The Airflow port, on the embedded server and on a real Airflow."""
