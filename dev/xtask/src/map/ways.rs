//! The ways in which one page can be personalized.

/// Where the page is made, and what has to be asked from afar for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// At the edge: the origin's page is in its cache, the session is in its KV store.
    EdgeSession,
    /// At the edge, for a visitor without a session; the origin's page is in its cache.
    EdgeHit,
    /// At the edge: the session is asked of the central data centre, within `session.budget_ms`.
    EdgeAsked,
    /// At the edge, the session at hand: the origin's page is asked of the central data centre.
    EdgeMiss,
    /// In the central data centre, after so many calls to servers beside it.
    Central(usize),
    /// Near the visitor, after so many calls to the central data centre, one after the other.
    Calls(usize),
}

/// All of them, as the tables have them.
pub const WAYS: [Way; 10] = [
    Way::EdgeHit,
    Way::EdgeSession,
    Way::EdgeAsked,
    Way::EdgeMiss,
    Way::Central(1),
    Way::Central(2),
    Way::Central(3),
    Way::Calls(1),
    Way::Calls(2),
    Way::Calls(3),
];

impl Way {
    /// Round trips between the visitor's city and the central data centre: to set up a connection, and for a page.
    pub fn trips(self) -> (usize, usize) {
        match self {
            Self::EdgeSession | Self::EdgeHit => (0, 0),
            Self::EdgeAsked | Self::EdgeMiss => (0, 1),
            Self::Central(_) => (HANDSHAKE as usize, 1),
            Self::Calls(count) => (0, count),
        }
    }

    /// Whether the browser is connected with the central data centre itself.
    pub fn is_central(self) -> bool {
        matches!(self, Self::Central(_))
    }

    /// As the head of a table's column.
    pub fn title(self, central: &str) -> String {
        let calls = |count: usize| if count == 1 { "1 call".to_owned() } else { format!("{count} calls") };
        match self {
            Self::EdgeHit => "edge: hit".to_owned(),
            Self::EdgeSession => "edge: hit, session".to_owned(),
            Self::EdgeAsked => "edge: hit, session afar".to_owned(),
            Self::EdgeMiss => "edge: miss".to_owned(),
            Self::Central(count) => format!("{central}: {}", calls(count)),
            Self::Calls(count) => format!("near: {}", calls(count)),
        }
    }

    /// Calls that are made before the page.
    pub fn calls(self) -> usize {
        match self {
            Self::Central(count) | Self::Calls(count) => count,
            _ => 0,
        }
    }
}

/// Round trips before a browser's first request: one for TCP, one for TLS 1.3.
pub const HANDSHAKE: u32 = 2;
