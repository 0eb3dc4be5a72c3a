-- One row per carrier and full hour: the window is (hour - 7 days, hour], by the time of landing.
-- The microsecond keeps a landing at 10:00 in the hour that ends at 10:00.
with landed as (
  select
    carrier,
    date_trunc('hour', time_hour + to_minutes(minute + dep_delay + air_time + 25) - interval 1 microsecond)
      + interval 1 hour as hour,
    count(*) as arrivals,
    sum(arr_delay) as delay
  from flights
  where arr_delay is not null
  group by all
)
select
  carrier,
  hour as event_timestamp,
  hour as known_at,
  (sum(delay) over last_7d)::double / sum(arrivals) over last_7d as carrier_arr_delay_7d,
  (sum(arrivals) over last_7d)::double as carrier_arrivals_7d
from landed
window last_7d as (
  partition by carrier order by hour range between interval 167 hour preceding and current row
)
