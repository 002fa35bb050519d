-- The four logs in DuckDB: views over files of lines, one JSON object each; .gz and .zst are read too.
-- Say first where they are:
--   SET VARIABLE logs = 'logs';   -- the folder that holds decisions*, exposures*, conversions* and errors*
-- Lines come at least once: questions.sql takes each once.

CREATE OR REPLACE VIEW decisions AS
SELECT *
FROM read_json(
    getvariable('logs') || '/decisions*',
    format = 'newline_delimited',
    ignore_errors = true,
    columns = {
        v              : 'BIGINT',
        time           : 'TIMESTAMP',
        request_id     : 'VARCHAR',
        trace_id       : 'VARCHAR',
        pop            : 'VARCHAR',
        service_version: 'BIGINT',
        revision       : 'VARCHAR',
        role           : 'VARCHAR',
        shadow         : 'JSON',
        route          : 'VARCHAR',
        method         : 'VARCHAR',
        path           : 'VARCHAR',
        status         : 'BIGINT',
        region         : 'VARCHAR',
        country        : 'VARCHAR',
        device         : 'VARCHAR',
        variant        : 'JSON',
        facts          : 'JSON',
        slot           : 'BIGINT',
        sample         : 'DOUBLE',
        cache_key      : 'VARCHAR',
        backend        : 'VARCHAR',
        backend_path   : 'VARCHAR',
        shield         : 'VARCHAR',
        pass           : 'BIGINT',
        fallback       : 'VARCHAR',
        session        : 'VARCHAR',
        session_age    : 'BIGINT',
        session_ms     : 'BIGINT',
        preview        : 'BOOLEAN',
        errors         : 'VARCHAR[]',
        cold           : 'BOOLEAN',
        lookups        : 'BIGINT',
        total_ms       : 'DOUBLE',
        done_ms        : 'DOUBLE',
        rules_ms       : 'DOUBLE',
        origin_ms      : 'DOUBLE',
        vcpu_ms        : 'BIGINT',
        heap_mib       : 'BIGINT',
        bytes          : 'BIGINT'
    }
);

CREATE OR REPLACE VIEW exposures AS
SELECT *
FROM read_json(
    getvariable('logs') || '/exposures*',
    format = 'newline_delimited',
    ignore_errors = true,
    columns = {
        v            : 'BIGINT',
        timestamp    : 'TIMESTAMP',
        request_id   : 'VARCHAR',
        revision     : 'VARCHAR',
        experiment_id: 'VARCHAR',
        variation_id : 'VARCHAR',
        variation    : 'BIGINT',
        feature_id   : 'VARCHAR',
        unit_type    : 'VARCHAR',
        unit_id      : 'VARCHAR',
        key          : 'VARCHAR',
        sticky       : 'BOOLEAN',
        shown        : 'BOOLEAN',
        fallback     : 'VARCHAR',
        attributes   : 'JSON'
    }
);

CREATE OR REPLACE VIEW conversions AS
SELECT *
FROM read_json(
    getvariable('logs') || '/conversions*',
    format = 'newline_delimited',
    ignore_errors = true,
    columns = {
        v         : 'BIGINT',
        timestamp : 'TIMESTAMP',
        request_id: 'VARCHAR',
        revision  : 'VARCHAR',
        event     : 'VARCHAR',
        event_id  : 'VARCHAR',
        value     : 'DOUBLE',
        currency  : 'VARCHAR',
        source    : 'VARCHAR',
        unit_type : 'VARCHAR',
        unit_id   : 'VARCHAR',
        key       : 'VARCHAR',
        attributes: 'JSON'
    }
);

CREATE OR REPLACE VIEW errors AS
SELECT *
FROM read_json(
    getvariable('logs') || '/errors*',
    format = 'newline_delimited',
    ignore_errors = true,
    columns = {
        v         : 'BIGINT',
        time      : 'TIMESTAMP',
        request_id: 'VARCHAR',
        code      : 'VARCHAR',
        revision  : 'VARCHAR',
        fault     : 'JSON'
    }
);
