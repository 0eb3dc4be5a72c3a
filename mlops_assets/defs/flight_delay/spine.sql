-- One row per scheduled flight. Cancelled and diverted flights never get a label: they stay, and are counted as censored.
select
  time_hour,
  carrier,
  flight,
  origin,
  dest,
  tailnum,
  distance,
  sched_dep_time,
  month,
  dayofweek(make_date(year, month, day)) as weekday,
  time_hour + to_minutes(minute) - interval 2 hour as prediction_time,
  (arr_delay > 15)::int as label,
  time_hour + to_minutes(minute + dep_delay + air_time + 25) as label_known_at
from flights
