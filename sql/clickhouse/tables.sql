-- The four logs in ClickHouse: one table for each endpoint. A text that a line doesn't have is ''.
-- Lines come at least once. ReplacingMergeTree keeps one of those that came again; FINAL in a question says so at once.
-- Load a file:
--   clickhouse-client --date_time_input_format best_effort --query "INSERT INTO decisions FORMAT JSONEachRow" < decisions.ndjson

CREATE TABLE IF NOT EXISTS decisions
(
    v               UInt8,
    time            DateTime64(6, 'UTC'),
    request_id      String,
    trace_id        String,
    pop             LowCardinality(String),
    service_version UInt32,
    revision        LowCardinality(String),
    role            LowCardinality(String),
    shadow          String,
    route           LowCardinality(String),
    method          LowCardinality(String),
    path            String,
    status          UInt16,
    region          LowCardinality(String),
    country         LowCardinality(String),
    device          LowCardinality(String),
    variant         String,
    facts           String,
    slot            Nullable(UInt16),
    sample          Float64 DEFAULT 1,
    cache_key       String,
    backend         LowCardinality(String),
    backend_path    String,
    shield          LowCardinality(String),
    pass            UInt8 DEFAULT 1,
    fallback        LowCardinality(String),
    session         LowCardinality(String),
    session_age     Nullable(UInt32),
    session_ms      Nullable(UInt32),
    preview         Bool,
    errors          Array(LowCardinality(String)),
    cold            Bool,
    lookups         UInt16,
    total_ms        Float64,
    done_ms         Float64,
    rules_ms        Float64,
    origin_ms       Nullable(Float64),
    vcpu_ms         Nullable(UInt16),
    heap_mib        Nullable(UInt16),
    bytes           Nullable(UInt64)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (time, request_id, pass);

CREATE TABLE IF NOT EXISTS exposures
(
    v             UInt8,
    timestamp     DateTime64(6, 'UTC'),
    request_id    String,
    revision      LowCardinality(String),
    experiment_id LowCardinality(String),
    variation_id  LowCardinality(String),
    variation     UInt16,
    feature_id    LowCardinality(String),
    unit_type     LowCardinality(String),
    unit_id       String,
    key           LowCardinality(String),
    sticky        Bool,
    shown         Bool DEFAULT true,
    fallback      LowCardinality(String),
    attributes    String
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (experiment_id, unit_type, key, unit_id, timestamp, request_id, variation);

CREATE TABLE IF NOT EXISTS conversions
(
    v          UInt8,
    timestamp  DateTime64(6, 'UTC'),
    request_id String,
    revision   LowCardinality(String),
    event      LowCardinality(String),
    event_id   String,
    value      Nullable(Float64),
    currency   LowCardinality(String),
    source     LowCardinality(String),
    unit_type  LowCardinality(String),
    unit_id    String,
    key        LowCardinality(String),
    attributes String
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (event, unit_type, unit_id, timestamp, request_id, event_id, source);

CREATE TABLE IF NOT EXISTS errors
(
    v          UInt8,
    time       DateTime64(6, 'UTC'),
    request_id String,
    code       LowCardinality(String),
    revision   LowCardinality(String),
    fault      String
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (code, time, request_id, fault);
