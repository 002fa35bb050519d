-- The four logs in BigQuery, in the dataset edge: one table for each endpoint.
-- Load files of lines, for example from Cloud Storage, where Fastly's endpoint writes them:
--   bq load --source_format=NEWLINE_DELIMITED_JSON --ignore_unknown_values edge.decisions 'gs://BUCKET/decisions/*'
-- Lines come at least once: questions.sql takes each once.

CREATE TABLE IF NOT EXISTS edge.decisions
(
    v               INT64,
    time            TIMESTAMP NOT NULL,
    request_id      STRING,
    trace_id        STRING,
    pop             STRING,
    service_version INT64,
    revision        STRING,
    role            STRING,
    shadow          JSON,
    route           STRING,
    method          STRING,
    path            STRING,
    status          INT64,
    region          STRING,
    country         STRING,
    device          STRING,
    variant         JSON,
    facts           JSON,
    slot            INT64,
    sample          FLOAT64,
    cache_key       STRING,
    backend         STRING,
    backend_path    STRING,
    shield          STRING,
    pass            INT64,
    fallback        STRING,
    session         STRING,
    session_age     INT64,
    session_ms      INT64,
    preview         BOOL,
    errors          ARRAY<STRING>,
    cold            BOOL,
    lookups         INT64,
    total_ms        FLOAT64,
    done_ms         FLOAT64,
    rules_ms        FLOAT64,
    origin_ms       FLOAT64,
    vcpu_ms         INT64,
    heap_mib        INT64,
    bytes           INT64
)
PARTITION BY DATE(time)
CLUSTER BY revision, route, pop;

CREATE TABLE IF NOT EXISTS edge.exposures
(
    v             INT64,
    timestamp     TIMESTAMP NOT NULL,
    request_id    STRING,
    revision      STRING,
    experiment_id STRING,
    variation_id  STRING,
    variation     INT64,
    feature_id    STRING,
    unit_type     STRING,
    unit_id       STRING,
    key           STRING,
    sticky        BOOL,
    shown         BOOL,
    fallback      STRING,
    attributes    JSON
)
PARTITION BY DATE(timestamp)
CLUSTER BY experiment_id, unit_type;

CREATE TABLE IF NOT EXISTS edge.conversions
(
    v          INT64,
    timestamp  TIMESTAMP NOT NULL,
    request_id STRING,
    revision   STRING,
    event      STRING,
    event_id   STRING,
    value      FLOAT64,
    currency   STRING,
    source     STRING,
    unit_type  STRING,
    unit_id    STRING,
    key        STRING,
    attributes JSON
)
PARTITION BY DATE(timestamp)
CLUSTER BY event;

CREATE TABLE IF NOT EXISTS edge.errors
(
    v          INT64,
    time       TIMESTAMP NOT NULL,
    request_id STRING,
    code       STRING,
    revision   STRING,
    fault      JSON
)
PARTITION BY DATE(time)
CLUSTER BY code;
