-- One row per airport and full hour with departures: the window is (hour - 1 hour, hour], by the time of take-off.
-- Every departed flight counts, landed or not: waiting for the landing would leave out the diverted ones.
select
  origin,
  date_trunc('hour', time_hour + to_minutes(minute + dep_delay) - interval 1 microsecond)
    + interval 1 hour as event_timestamp,
  event_timestamp as known_at,
  sum(dep_delay)::double / count(*) as origin_dep_delay_1h,
  count(*)::double as origin_departures_1h
from flights
where dep_delay is not null
group by all
