//! The one place that says what may be done with a visitor: identify, bucket, expose, store.

use super::consent::{Consent, Jurisdiction};

/// What the policy looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PolicyInputs {
    /// What the law where the visitor is asks for.
    pub jurisdiction: Jurisdiction,
    /// What the visitor said.
    pub consent: Consent,
    /// Whether the request carries `Sec-GPC: 1`.
    pub global_privacy_control: bool,
    /// Whether this is a crawler.
    pub bot: bool,
    /// Whether a signed preview is on.
    pub preview: bool,
}

/// What may be done with a visitor. Everything else (region, language, device) needs no permission, for it identifies
/// nobody and stores nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Permissions {
    /// Use the user id or the visitor id: read the session, tell the origin.
    pub identify: bool,
    /// Put the visitor into experiments and percentage rollouts.
    pub bucket: bool,
    /// Log that a variation was shown.
    pub expose: bool,
    /// Set the visitor cookie and the sticky cookie. (The preview's own cookie is its own affair.)
    pub store: bool,
}

impl Permissions {
    /// Nothing at all.
    pub const NONE: Self = Self { identify: false, bucket: false, expose: false, store: false };
    /// Everything.
    pub const ALL: Self = Self { identify: true, bucket: true, expose: true, store: true };
}

/// What may be done with a visitor in these circumstances. In order:
///
/// 1. A bot gets one stable answer: nothing is permitted.
/// 2. A refusal, by consent cookie, TCF string, GPP string or `Sec-GPC`, permits nothing anywhere, and `Sec-GPC` outweighs a yes. A string that
///    can't be read permits nothing either.
/// 3. Silence permits nothing where consent comes first, or where nobody knows where the visitor is.
/// 4. A preview counts for nobody: no exposure, and nothing that outlives it.
/// 5. Everything else permits everything.
#[must_use]
pub fn permissions(of: PolicyInputs) -> Permissions {
    let agreed = match (of.consent, of.jurisdiction) {
        (Consent::Refused | Consent::Unreadable, _) => false,
        (Consent::Granted, _) | (Consent::Silent, Jurisdiction::OptOut) => true,
        (Consent::Silent, Jurisdiction::OptIn | Jurisdiction::Unknown) => false,
    };
    if of.bot || of.global_privacy_control || !agreed {
        Permissions::NONE
    } else if of.preview {
        Permissions { expose: false, store: false, ..Permissions::ALL }
    } else {
        Permissions::ALL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every cell, written down by hand: I identify, B bucket, E expose, S store.
    const TABLE: &str = "\
jurisdiction consent    gpc | person preview bot  bot+preview
OptIn        Granted    no  | IBES   IB--    ---- ----
OptIn        Granted    yes | ----   ----    ---- ----
OptIn        Refused    no  | ----   ----    ---- ----
OptIn        Refused    yes | ----   ----    ---- ----
OptIn        Unreadable no  | ----   ----    ---- ----
OptIn        Unreadable yes | ----   ----    ---- ----
OptIn        Silent     no  | ----   ----    ---- ----
OptIn        Silent     yes | ----   ----    ---- ----
OptOut       Granted    no  | IBES   IB--    ---- ----
OptOut       Granted    yes | ----   ----    ---- ----
OptOut       Refused    no  | ----   ----    ---- ----
OptOut       Refused    yes | ----   ----    ---- ----
OptOut       Unreadable no  | ----   ----    ---- ----
OptOut       Unreadable yes | ----   ----    ---- ----
OptOut       Silent     no  | IBES   IB--    ---- ----
OptOut       Silent     yes | ----   ----    ---- ----
Unknown      Granted    no  | IBES   IB--    ---- ----
Unknown      Granted    yes | ----   ----    ---- ----
Unknown      Refused    no  | ----   ----    ---- ----
Unknown      Refused    yes | ----   ----    ---- ----
Unknown      Unreadable no  | ----   ----    ---- ----
Unknown      Unreadable yes | ----   ----    ---- ----
Unknown      Silent     no  | ----   ----    ---- ----
Unknown      Silent     yes | ----   ----    ---- ----
";

    fn letters(of: Permissions) -> String {
        [(of.identify, 'I'), (of.bucket, 'B'), (of.expose, 'E'), (of.store, 'S')]
            .map(|(may, letter)| if may { letter } else { '-' })
            .iter()
            .collect()
    }

    #[test]
    fn the_policy_table_holds_in_every_cell() {
        let mut printed = "jurisdiction consent    gpc | person preview bot  bot+preview\n".to_owned();
        let mut cells = 0;
        for jurisdiction in [Jurisdiction::OptIn, Jurisdiction::OptOut, Jurisdiction::Unknown] {
            for consent in [Consent::Granted, Consent::Refused, Consent::Unreadable, Consent::Silent] {
                for global_privacy_control in [false, true] {
                    let cell = |bot, preview| {
                        let of = PolicyInputs { jurisdiction, consent, global_privacy_control, bot, preview };
                        letters(permissions(of))
                    };
                    let line = format!(
                        "{:<12} {:<10} {:<3} | {:<6} {:<7} {:<4} {}\n",
                        format!("{jurisdiction:?}"),
                        format!("{consent:?}"),
                        if global_privacy_control { "yes" } else { "no" },
                        cell(false, false),
                        cell(false, true),
                        cell(true, false),
                        cell(true, true),
                    );
                    printed.push_str(&line);
                    cells += 4;
                }
            }
        }
        println!("{printed}{cells} cells");
        assert_eq!(printed, TABLE);
    }
}
