"""The part of Perennial that Airflow loads: operators, links, the partition timetable, run notes and reports."""
