-- Sums that ClickHouse keeps while lines come in, so that a dashboard reads thousands of rows and not billions.
-- They see each line that is inserted after they exist.

-- Requests by hour and place. A line that is inserted twice counts twice here: load each file once.
CREATE TABLE IF NOT EXISTS traffic_by_hour
(
    hour     DateTime('UTC'),
    pop      LowCardinality(String),
    route    LowCardinality(String),
    revision LowCardinality(String),
    requests SimpleAggregateFunction(sum, Float64),
    cold     SimpleAggregateFunction(sum, Float64),
    failed   SimpleAggregateFunction(sum, Float64),
    fallback SimpleAggregateFunction(sum, Float64),
    total_ms AggregateFunction(quantilesTDigestWeighted(0.5, 0.95, 0.99), Float64, UInt32)
)
ENGINE = AggregatingMergeTree
ORDER BY (hour, route, pop, revision);

CREATE MATERIALIZED VIEW IF NOT EXISTS traffic_by_hour_view TO traffic_by_hour AS
SELECT
    toStartOfHour(toDateTime(time)) AS hour,
    pop,
    route,
    revision,
    sum(1 / sample) AS requests,
    sumIf(1 / sample, cold) AS cold,
    sumIf(1 / sample, status >= 500) AS failed,
    sumIf(1 / sample, decisions.fallback != '') AS fallback,
    quantilesTDigestWeightedState(0.5, 0.95, 0.99)(decisions.total_ms, toUInt32(round(1000 / sample))) AS total_ms
FROM decisions
WHERE pass = 1
GROUP BY hour, pop, route, revision;

-- Error codes by hour. As above: load each file once.
CREATE TABLE IF NOT EXISTS codes_by_hour
(
    hour     DateTime('UTC'),
    code     LowCardinality(String),
    requests SimpleAggregateFunction(sum, Float64)
)
ENGINE = AggregatingMergeTree
ORDER BY (hour, code);

CREATE MATERIALIZED VIEW IF NOT EXISTS codes_by_hour_view TO codes_by_hour AS
SELECT toStartOfHour(toDateTime(time)) AS hour, arrayJoin(errors) AS code, sum(1 / sample) AS requests
FROM decisions
WHERE pass = 1
GROUP BY hour, code;

-- One row for each unit of an experiment: its first exposure, and what came of all. A line that comes twice changes nothing.
CREATE TABLE IF NOT EXISTS units
(
    experiment_id LowCardinality(String),
    unit_type     LowCardinality(String),
    key           LowCardinality(String),
    unit_id       String,
    first         SimpleAggregateFunction(min, DateTime64(6, 'UTC')),
    variation     AggregateFunction(argMin, UInt16, Tuple(DateTime64(6, 'UTC'), UInt16)),
    variation_id  AggregateFunction(argMin, String, Tuple(DateTime64(6, 'UTC'), UInt16)),
    lowest        SimpleAggregateFunction(min, UInt16),
    highest       SimpleAggregateFunction(max, UInt16),
    shown         SimpleAggregateFunction(max, UInt8),
    fell_back     SimpleAggregateFunction(max, UInt8)
)
ENGINE = AggregatingMergeTree
ORDER BY (experiment_id, unit_type, key, unit_id);

CREATE MATERIALIZED VIEW IF NOT EXISTS units_view TO units AS
SELECT
    experiment_id,
    unit_type,
    key,
    unit_id,
    min(timestamp) AS first,
    argMinState(exposures.variation, (timestamp, exposures.variation)) AS variation,
    argMinState(toString(exposures.variation_id), (timestamp, exposures.variation)) AS variation_id,
    min(exposures.variation) AS lowest,
    max(exposures.variation) AS highest,
    max(toUInt8(exposures.shown)) AS shown,
    max(toUInt8(NOT exposures.shown)) AS fell_back
FROM exposures
GROUP BY experiment_id, unit_type, key, unit_id;
