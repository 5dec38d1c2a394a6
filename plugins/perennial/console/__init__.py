"""Pages of Perennial inside Airflow's web server."""
