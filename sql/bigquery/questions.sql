-- The questions of `personalizer report`, in BigQuery. Each begins with its name.

-- Each line once.
CREATE OR REPLACE VIEW edge.requests AS
SELECT *, 1 / IFNULL(sample, 1) AS weight
FROM edge.decisions
WHERE IFNULL(pass, 1) = 1
QUALIFY ROW_NUMBER() OVER (PARTITION BY request_id, time ORDER BY done_ms) = 1;

-- One row for each unit of an experiment: its first exposure, and what came of all.
CREATE OR REPLACE VIEW edge.units AS
SELECT
    experiment_id,
    unit_type,
    IFNULL(key, '') AS key,
    unit_id,
    MIN(timestamp) AS first,
    ARRAY_AGG(variation ORDER BY timestamp, variation LIMIT 1)[OFFSET(0)] AS variation,
    ARRAY_AGG(variation_id ORDER BY timestamp, variation LIMIT 1)[OFFSET(0)] AS variation_id,
    COUNT(DISTINCT variation) > 1 AS in_several,
    LOGICAL_OR(IFNULL(shown, TRUE)) AS was_shown,
    LOGICAL_OR(NOT IFNULL(shown, TRUE)) AS fell_back
FROM edge.exposures
GROUP BY 1, 2, 3, 4;

-- What units did. An event with an id counts once, the first time. Browsers' word doesn't count.
CREATE OR REPLACE VIEW edge.done AS
SELECT unit_type, event, unit_id, value AS worth, IFNULL(currency, '') AS currency, timestamp AS at
FROM edge.conversions
WHERE source <> 'browser' AND unit_id IS NOT NULL
QUALIFY ROW_NUMBER() OVER (
    PARTITION BY unit_type, event, IFNULL(event_id, CONCAT('line ', request_id, CAST(timestamp AS STRING)))
    ORDER BY timestamp, unit_id
) = 1;

-- name: traffic
SELECT
    IFNULL(pop, '') AS pop,
    IFNULL(route, '') AS route,
    IFNULL(revision, '') AS revision,
    SUM(weight) AS requests,
    SUM(IF(cold, weight, 0)) AS cold_starts,
    SUM(IF(status >= 500, weight, 0)) AS failed,
    SUM(IF(fallback IS NOT NULL, weight, 0)) AS fell_back,
    -- Not weighed: with log.sample below 1, what failed or fell back counts too much here.
    APPROX_QUANTILES(total_ms, 100)[OFFSET(50)] AS p50,
    APPROX_QUANTILES(total_ms, 100)[OFFSET(95)] AS p95,
    APPROX_QUANTILES(total_ms, 100)[OFFSET(99)] AS p99
FROM edge.requests
GROUP BY 1, 2, 3
ORDER BY requests DESC;

-- name: hours
SELECT
    TIMESTAMP_TRUNC(time, HOUR) AS hour,
    SUM(weight) AS requests,
    SUM(IF(status >= 500, weight, 0)) AS failed,
    SUM(IF(fallback IS NOT NULL, weight, 0)) AS fell_back,
    SUM(IF(cold, weight, 0)) AS cold_starts
FROM edge.requests
GROUP BY hour
ORDER BY hour;

-- name: codes
SELECT code, SUM(weight) AS requests
FROM edge.requests
CROSS JOIN UNNEST(errors) AS code
GROUP BY code
ORDER BY requests DESC, code;

-- name: cost
SELECT IFNULL(route, '') AS route, ROUND(SUM(vcpu_ms * weight) / SUM(weight) * 1000, 3) AS vcpu_seconds_per_million
FROM edge.requests
WHERE vcpu_ms IS NOT NULL
GROUP BY 1
ORDER BY vcpu_seconds_per_million DESC;

-- name: variants
SELECT TO_JSON_STRING(variant) AS variant, SUM(weight) AS requests
FROM edge.requests
WHERE LENGTH(TO_JSON_STRING(variant)) > 2
GROUP BY 1
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
    ANY_VALUE(variation_id) AS variation_id,
    COUNT(*) AS units,
    COUNTIF(was_shown) AS shown,
    COUNTIF(fell_back) AS fell_back,
    COUNTIF(in_several) AS in_several
FROM edge.units
GROUP BY experiment_id, unit_type, key, variation
ORDER BY experiment_id, unit_type, key, variation;

-- name: metrics
-- What units did within 72 hours of their first exposure: how many did it, and the sum and the sum of squares of what it was worth in the
-- event's most frequent currency. With the count of units that is all that a comparison needs.
WITH money AS (
    SELECT event, APPROX_TOP_COUNT(currency, 1)[OFFSET(0)].value AS currency FROM edge.done GROUP BY event
),
by_unit AS (
    SELECT
        units.experiment_id,
        units.unit_type,
        units.key,
        units.variation,
        done.event,
        units.unit_id,
        SUM(IF(done.currency = money.currency, IFNULL(done.worth, 0), 0)) AS worth
    FROM edge.units AS units
    JOIN edge.done AS done ON done.unit_id = units.unit_id
    JOIN money ON money.event = done.event
    WHERE done.at BETWEEN units.first AND TIMESTAMP_ADD(units.first, INTERVAL 72 HOUR)
    GROUP BY 1, 2, 3, 4, 5, 6
)
SELECT
    experiment_id,
    unit_type,
    key,
    event,
    variation,
    COUNT(*) AS did,
    SUM(worth) AS total,
    SUM(worth * worth) AS squares
FROM by_unit
GROUP BY experiment_id, unit_type, key, event, variation
ORDER BY experiment_id, unit_type, key, event, variation;
