"""What Airflow sees of Perennial: operators, links, the partition timetable, run notes and reports."""
