-- The questions of `personalizer report`, in ClickHouse. Each begins with its name. The counts equal the report's.

-- name: traffic
SELECT
    pop,
    route,
    revision,
    sum(weight) AS requests,
    sumIf(weight, cold) AS cold_starts,
    sumIf(weight, status >= 500) AS failed,
    sumIf(weight, fallback != '') AS fell_back,
    quantilesTDigestWeighted(0.5, 0.95, 0.99)(total_ms, toUInt32(round(1000 * weight))) AS p50_p95_p99
FROM (SELECT *, 1 / sample AS weight FROM decisions FINAL WHERE pass = 1)
GROUP BY pop, route, revision
ORDER BY requests DESC;

-- name: hours
SELECT
    toStartOfHour(toDateTime(time)) AS hour,
    sum(1 / sample) AS requests,
    sumIf(1 / sample, status >= 500) AS failed,
    sumIf(1 / sample, fallback != '') AS fell_back,
    sumIf(1 / sample, cold) AS cold_starts
FROM decisions FINAL
WHERE pass = 1
GROUP BY hour
ORDER BY hour;

-- name: codes
SELECT arrayJoin(errors) AS code, sum(1 / sample) AS requests
FROM decisions FINAL
WHERE pass = 1
GROUP BY code
ORDER BY requests DESC, code;

-- name: cost
SELECT route, round(sum(vcpu_ms / sample) / sum(1 / sample) * 1000, 3) AS vcpu_seconds_per_million
FROM decisions FINAL
WHERE pass = 1 AND vcpu_ms IS NOT NULL
GROUP BY route
ORDER BY vcpu_seconds_per_million DESC;

-- name: variants
SELECT variant, sum(1 / sample) AS requests
FROM decisions FINAL
WHERE pass = 1 AND length(variant) > 2
GROUP BY variant
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
    any(variation_id) AS variation_id,
    count() AS units,
    countIf(shown = 1) AS shown,
    countIf(fell_back = 1) AS fell_back,
    countIf(lowest != highest) AS in_several
FROM
(
    SELECT
        experiment_id,
        unit_type,
        key,
        unit_id,
        argMinMerge(units.variation) AS variation,
        argMinMerge(units.variation_id) AS variation_id,
        min(lowest) AS lowest,
        max(highest) AS highest,
        max(units.shown) AS shown,
        max(units.fell_back) AS fell_back
    FROM units
    GROUP BY experiment_id, unit_type, key, unit_id
)
GROUP BY experiment_id, unit_type, key, variation
ORDER BY experiment_id, unit_type, key, variation;

-- name: metrics
-- What units did within 72 hours of their first exposure: how many did it, and the sum and the sum of squares of what it was worth in the
-- event's most frequent currency. With the count of units that is all that a comparison needs. Browsers' word doesn't count.
WITH
    first_units AS
    (
        SELECT
            experiment_id,
            unit_type,
            key,
            unit_id,
            min(units.first) AS first,
            argMinMerge(units.variation) AS variation
        FROM units
        GROUP BY experiment_id, unit_type, key, unit_id
    ),
    -- An event with an id counts once, the first time.
    done AS
    (
        SELECT
            event,
            argMin(conversions.unit_id, (timestamp, conversions.unit_id)) AS unit_id,
            argMin(value, (timestamp, conversions.unit_id)) AS worth,
            argMin(conversions.currency, (timestamp, conversions.unit_id)) AS currency,
            min(timestamp) AS at
        FROM conversions FINAL
        WHERE source != 'browser' AND conversions.unit_id != ''
        GROUP BY unit_type, event, if(event_id = '', concat('line ', request_id, toString(timestamp)), event_id)
    ),
    money AS (SELECT event, topK(1)(currency)[1] AS currency FROM done GROUP BY event),
    by_unit AS
    (
        SELECT
            experiment_id,
            unit_type,
            key,
            variation,
            done.event AS event,
            first_units.unit_id AS unit_id,
            sumIf(ifNull(worth, 0), done.currency = money.currency) AS worth
        FROM first_units
        INNER JOIN done ON done.unit_id = first_units.unit_id
        INNER JOIN money ON money.event = done.event
        WHERE done.at >= first AND done.at <= first + INTERVAL 72 HOUR
        GROUP BY experiment_id, unit_type, key, variation, event, unit_id
    )
SELECT
    experiment_id,
    unit_type,
    key,
    event,
    variation,
    count() AS did,
    sum(worth) AS total,
    sum(worth * worth) AS squares
FROM by_unit
GROUP BY experiment_id, unit_type, key, event, variation
ORDER BY experiment_id, unit_type, key, event, variation;
