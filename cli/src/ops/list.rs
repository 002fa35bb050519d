//! The one list: what to be woken for, and what to look at. Every file of ops/ is made from it.
//!
//! Expressions are of Prometheus' language, over the gauges that `personalizer report --format prometheus` writes (`crate::report`). Labels
//! are places and names of the rules: never a path, an id or a cache key.

/// How soon somebody should look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Now: visitors see it.
    Page,
    /// Today.
    Ticket,
}

impl Severity {
    /// The label.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Ticket => "ticket",
        }
    }
}

/// Something to be woken for.
#[derive(Debug, Clone, Copy)]
pub struct Alert {
    /// Its name.
    pub name: &'static str,
    /// The rows of the table "At three in the morning" (docs/ROLLOUT.md) that it is for.
    pub rows: &'static [&'static str],
    /// When it is true.
    pub expr: &'static str,
    /// Minutes that it has to stay true.
    pub minutes: u32,
    /// How soon to look.
    pub severity: Severity,
    /// What is wrong, with Prometheus' `{{ $labels.name }}` where that helps.
    pub summary: &'static str,
    /// What to do first.
    pub action: &'static str,
}

/// Rows of the table that no figure can see, and why.
pub const BY_PEOPLE: [(&str, &str); 2] = [
    ("one visitor complains", "one line among millions is no figure: their request id leads to it"),
    (
        "a visitor sees another's data",
        "no line holds what was shown; `cargo xtask leak` looks for it before it is released",
    ),
];

/// All alerts, the most urgent first.
pub const ALERTS: [Alert; 10] = [
    Alert {
        name: "EdgeErrors",
        rows: &["errors or empty pages since a change of rules"],
        expr: "edge_report_failed{by=\"revision\"} / edge_report_requests{by=\"revision\"} > 0.02 and edge_report_requests{by=\"revision\"} >= 50",
        minutes: 2,
        severity: Severity::Page,
        summary: "{{ $value | humanizePercentage }} of the requests of {{ $labels.name }} end with a status of 500 and above",
        action: "personalizer rollback, if somebody changed rules",
    },
    Alert {
        name: "EdgeUnpersonalized",
        rows: &["everybody gets the unpersonalized page"],
        expr: "edge_report_requests{by=\"route\",name=\"no route\"} / on() sum(edge_report_requests{by=\"route\"}) > 0.95 and on() \
               sum(edge_report_requests{by=\"route\"}) >= 50",
        minutes: 2,
        severity: Severity::Page,
        summary: "{{ $value | humanizePercentage }} of the requests meet no route: the kill switch is on, or no rules are usable",
        action: "personalizer status; enable, or rollback",
    },
    Alert {
        name: "EdgeRuleFault",
        rows: &["everybody gets the unpersonalized page", "nobody is in an experiment, everywhere"],
        expr: "edge_report_errors{code=\"rule-fault\"} > 0",
        minutes: 0,
        severity: Severity::Page,
        summary: "A rule or an entry of the store can't be used",
        action: "The line in errors names it; personalizer rollback",
    },
    Alert {
        name: "EdgeFallback",
        rows: &["one route is unpersonalized"],
        expr: "edge_report_fallback{by=\"route\"} / edge_report_requests{by=\"route\"} > 0.05 and edge_report_requests{by=\"route\"} >= 50",
        minutes: 2,
        severity: Severity::Page,
        summary: "{{ $value | humanizePercentage }} of the requests of the route {{ $labels.name }} get the fallback",
        action: "The origin's path for it; \"enabled\": false on the route",
    },
    Alert {
        name: "EdgeTemplates",
        rows: &["one route is unpersonalized"],
        expr: "sum(edge_report_errors{code=~\"template-.*\"}) / sum(edge_report_requests{by=\"sandbox\"}) > 0.01",
        minutes: 2,
        severity: Severity::Ticket,
        summary: "{{ $value | humanizePercentage }} of the requests have a template that couldn't be filled",
        action: "What the template reads: the session, a feature",
    },
    Alert {
        name: "EdgeSlow",
        rows: &["slow pages"],
        expr: "edge_report_total_p99_seconds{by=\"route\"} > 2 and edge_report_requests{by=\"route\"} >= 50",
        minutes: 5,
        severity: Severity::Ticket,
        summary: "One request in a hundred of the route {{ $labels.name }} takes more than {{ $value | humanizeDuration }}",
        action: "origin_ms against total_ms: the origin; session_ms: settings.session.budget_ms",
    },
    Alert {
        name: "EdgeSessions",
        rows: &["the cart or the recent views are old or missing"],
        expr: "sum(edge_report_errors{code=~\"session-.*|replication-.*\"}) / sum(edge_report_requests{by=\"sandbox\"}) > 0.01",
        minutes: 2,
        severity: Severity::Ticket,
        summary: "{{ $value | humanizePercentage }} of the requests have trouble with the session",
        action: "The session API, the feed, the secret replication",
    },
    Alert {
        name: "EdgeIdentity",
        rows: &["logged-in users count as strangers"],
        expr: "sum(edge_report_errors{code=~\"identity-.*|secret-store\"}) / sum(edge_report_requests{by=\"sandbox\"}) > 0.01",
        minutes: 2,
        severity: Severity::Ticket,
        summary: "{{ $value | humanizePercentage }} of the requests bring a proof that doesn't count, or the secrets can't be read",
        action: "The secret identity, the clock of who signs",
    },
    Alert {
        name: "EdgeExposuresWithoutKey",
        rows: &["an experiment has no lines"],
        expr: "edge_report_errors{code=\"exposure-no-key\"} > 0",
        minutes: 0,
        severity: Severity::Ticket,
        summary: "Experiments run, and nobody counts them",
        action: "The secret identity",
    },
    Alert {
        name: "EdgeLogsSilent",
        rows: &[],
        expr: "(sum(edge_report_requests{by=\"sandbox\"}) or vector(0)) == 0",
        minutes: 10,
        severity: Severity::Ticket,
        summary: "No line of decisions came: nothing else on this list can be seen",
        action: "The log endpoint and the way from there",
    },
];

/// Something to look at.
#[derive(Debug, Clone, Copy)]
pub struct Panel {
    /// What it shows.
    pub title: &'static str,
    /// Each line that it draws.
    pub expr: &'static str,
    /// What a line is called.
    pub legend: &'static str,
    /// Grafana's name of the unit.
    pub unit: &'static str,
}

/// All panels, in the order of looking.
pub const PANELS: [Panel; 10] = [
    Panel { title: "Requests by route", expr: "edge_report_requests{by=\"route\"}", legend: "{{name}}", unit: "short" },
    Panel {
        title: "Failed (5xx) by revision",
        expr: "edge_report_failed{by=\"revision\"} / edge_report_requests{by=\"revision\"}",
        legend: "{{name}}",
        unit: "percentunit",
    },
    Panel {
        title: "Fallbacks by route",
        expr: "edge_report_fallback{by=\"route\"} / edge_report_requests{by=\"route\"}",
        legend: "{{name}}",
        unit: "percentunit",
    },
    Panel { title: "Error codes", expr: "edge_report_errors", legend: "{{code}}", unit: "short" },
    Panel {
        title: "99th percentile to the answer's head, by POP",
        expr: "edge_report_total_p99_seconds{by=\"pop\"}",
        legend: "{{name}}",
        unit: "s",
    },
    Panel {
        title: "99th percentile of the edge's own share, by route",
        expr: "edge_report_own_p99_seconds{by=\"route\"}",
        legend: "{{name}}",
        unit: "s",
    },
    Panel {
        title: "Cold starts",
        expr: "sum(edge_report_cold{by=\"pop\"}) / sum(edge_report_requests{by=\"pop\"})",
        legend: "share",
        unit: "percentunit",
    },
    Panel {
        title: "vCPU seconds for a million requests, by route",
        expr: "edge_report_vcpu_seconds_per_million{by=\"route\"}",
        legend: "{{name}}",
        unit: "s",
    },
    Panel {
        title: "Sample ratio (p): below 0.001 nothing else counts",
        expr: "edge_report_srm_p",
        legend: "{{experiment}} {{key}}",
        unit: "short",
    },
    Panel {
        title: "Lift, with its confidence sequence",
        expr: "edge_report_lift or edge_report_lift_low or edge_report_lift_high",
        legend: "{{experiment}} {{variation}} {{metric}} {{__name__}}",
        unit: "percentunit",
    },
];

/// An alert of Fastly's own, on the service's statistics: no log line is needed.
#[derive(Debug, Clone, Copy)]
pub struct Watch {
    /// Its name.
    pub name: &'static str,
    /// Fastly's name of the metric.
    pub metric: &'static str,
    /// Above how many in one minute.
    pub threshold: u32,
    /// What it means.
    pub description: &'static str,
}

/// What Fastly watches by itself. Metrics: Fastly, "Historical stats" and "Compute error events reference".
pub const WATCHES: [Watch; 2] = [
    Watch {
        name: "Edge: answers of 500 and above",
        metric: "status_5xx",
        threshold: 50,
        description: "Too many failed answers. personalizer rollback, if somebody changed rules; then docs/ROLLOUT.md",
    },
    Watch {
        name: "Edge: limits of the platform",
        metric: "compute_service_resource_limits_error",
        threshold: 1,
        description: "A request met a limit of vCPU, memory or time. personalizer rollback, if somebody changed rules",
    },
];

/// What Fastly's own dashboard shows: a title, the metric, and the format of its figures.
pub const CHARTS: [(&str, &str, &str); 3] = [
    ("Requests", "requests", "requests"),
    ("Failed answers", "all_status_5xx_rate", "percent"),
    ("Hit ratio", "hit_ratio", "percent"),
];
