-- The questions of `personalizer report`, in DuckDB. Each begins with its name. The counts equal the report's.

-- Each line once.
CREATE OR REPLACE VIEW requests AS
SELECT DISTINCT ON (request_id, time, pass) *, 1 / coalesce(sample, 1) AS weight
FROM decisions
WHERE coalesce(pass, 1) = 1;

-- One row for each unit of an experiment: its first exposure, and what came of all.
CREATE OR REPLACE VIEW units AS
SELECT
    experiment_id,
    unit_type,
    coalesce(key, '') AS key,
    unit_id,
    min("timestamp") AS first,
    arg_min(variation, ("timestamp", variation)) AS variation,
    arg_min(variation_id, ("timestamp", variation)) AS variation_id,
    count(DISTINCT variation) > 1 AS in_several,
    bool_or(coalesce(shown, true)) AS was_shown,
    bool_or(NOT coalesce(shown, true)) AS fell_back
FROM exposures
WHERE experiment_id IS NOT NULL
GROUP BY ALL;

-- What units did. An event with an id counts once, the first time. Browsers' word doesn't count.
CREATE OR REPLACE VIEW done AS
SELECT DISTINCT ON (unit_type, event, coalesce(event_id, 'line ' || request_id || "timestamp"))
    unit_type,
    event,
    unit_id,
    value AS worth,
    coalesce(currency, '') AS currency,
    "timestamp" AS at
FROM conversions
WHERE source <> 'browser' AND unit_id IS NOT NULL
ORDER BY "timestamp", unit_id;

-- name: traffic
SELECT
    coalesce(pop, '') AS pop,
    coalesce(route, '') AS route,
    coalesce(revision, '') AS revision,
    sum(weight) AS requests,
    coalesce(sum(weight) FILTER (cold), 0) AS cold_starts,
    coalesce(sum(weight) FILTER (status >= 500), 0) AS failed,
    coalesce(sum(weight) FILTER (fallback IS NOT NULL), 0) AS fell_back,
    -- Not weighed: with log.sample below 1, what failed or fell back counts too much here.
    quantile_cont(total_ms, [0.5, 0.95, 0.99]) AS p50_p95_p99
FROM requests
GROUP BY ALL
ORDER BY requests DESC;

-- name: hours
SELECT
    date_trunc('hour', time) AS hour,
    sum(weight) AS requests,
    coalesce(sum(weight) FILTER (status >= 500), 0) AS failed,
    coalesce(sum(weight) FILTER (fallback IS NOT NULL), 0) AS fell_back,
    coalesce(sum(weight) FILTER (cold), 0) AS cold_starts
FROM requests
GROUP BY hour
ORDER BY hour;

-- name: codes
SELECT code, sum(weight) AS requests
FROM (SELECT unnest(errors) AS code, weight FROM requests)
GROUP BY code
ORDER BY requests DESC, code;

-- name: cost
SELECT coalesce(route, '') AS route, round(sum(vcpu_ms * weight) / sum(weight) * 1000, 3) AS vcpu_seconds_per_million
FROM requests
WHERE vcpu_ms IS NOT NULL
GROUP BY ALL
ORDER BY vcpu_seconds_per_million DESC;

-- name: variants
SELECT variant::VARCHAR AS variant, sum(weight) AS requests
FROM requests
WHERE length(variant::VARCHAR) > 2
GROUP BY ALL
ORDER BY requests DESC, variant
LIMIT 20;

-- name: units
-- Who was in which variation, by the first exposure. Never put together what has another key. Where the weights changed between two
-- revisions, ask for each by itself.
SELECT
    experiment_id,
    unit_type,
    key,
    variation,
    any_value(variation_id) AS variation_id,
    count(*) AS units,
    count(*) FILTER (was_shown) AS shown,
    count(*) FILTER (fell_back) AS fell_back,
    count(*) FILTER (in_several) AS in_several
FROM units
GROUP BY experiment_id, unit_type, key, variation
ORDER BY experiment_id, unit_type, key, variation;

-- name: metrics
-- What units did within 72 hours of their first exposure: how many did it, and the sum and the sum of squares of what it was worth in the
-- event's most frequent currency. With the count of units that is all that a comparison needs.
WITH money AS (SELECT event, mode(currency) AS currency FROM done GROUP BY event),
by_unit AS (
    SELECT
        units.experiment_id,
        units.unit_type,
        units.key,
        units.variation,
        done.event,
        units.unit_id,
        coalesce(sum(done.worth) FILTER (done.currency = money.currency), 0) AS worth
    FROM units
    JOIN done ON done.unit_id = units.unit_id
    JOIN money ON money.event = done.event
    WHERE done.at BETWEEN units.first AND units.first + INTERVAL 72 HOUR
    GROUP BY ALL
)
SELECT
    experiment_id,
    unit_type,
    key,
    event,
    variation,
    count(*) AS did,
    sum(worth) AS total,
    sum(worth * worth) AS squares
FROM by_unit
GROUP BY experiment_id, unit_type, key, event, variation
ORDER BY experiment_id, unit_type, key, event, variation;
