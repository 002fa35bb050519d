//! The codes that logs name what went wrong by: one list, which `docs/ROLLOUT.md` has a row for each of.

use std::fmt;

use serde::{Serialize, Serializer};

macro_rules! codes {
    ($($(#[$what:meta])* $name:ident = $text:literal,)*) => {
        /// What went wrong, as a log line names it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $($(#[$what])* $name,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word in log lines.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

codes! {
    /// The request's URL is longer than the platform takes.
    UrlTooLong = "url-too-long",
    /// The request's headers are more or longer than the platform takes.
    HeadersTooLarge = "headers-too-large",
    /// `CONNECT` or `TRACE`.
    MethodNotAllowed = "method-not-allowed",
    /// The request's host is none.
    BadHost = "bad-host",
    /// The request's path is none.
    BadPath = "bad-path",
    /// The service called itself.
    Loop = "loop",
    /// A rule or an entry can't be used.
    RuleFault = "rule-fault",
    /// The config store didn't answer.
    ConfigStore = "config-store",
    /// The secret store didn't answer.
    SecretStore = "secret-store",
    /// `settings.front` is there, and the request came by another way.
    FrontUnproven = "front-unproven",
    /// There is no secret that the hop in front could prove itself by.
    FrontNoSecret = "front-no-secret",
    /// The hop in front proved itself, and named no address.
    FrontAddress = "front-address",
    /// The hop in front proved itself, and named a host that is none.
    FrontHost = "front-host",
    /// The platform knows no shield of this code.
    ShieldUnknown = "shield-unknown",
    /// There is no key to prove a request to the shield with.
    ShieldNoSecret = "shield-no-secret",
    /// The shield gave no answer, or refused.
    ShieldFailed = "shield-failed",
    /// The GrowthBook payload can't be read.
    GrowthBookPayload = "growthbook-payload",
    /// The request's patterns took all the work that they may; the later ones didn't match.
    PatternWork = "pattern-work",
    /// A placeholder has no value.
    TemplateAbsent = "template-absent",
    /// A template of an answer can't be rendered: the origin is asked instead.
    TemplateFailed = "template-failed",
    /// The KV store has no value at the key of an answer's body: the origin is asked instead.
    StoredBodyMissing = "stored-body-missing",
    /// The KV store couldn't give an answer's body: the origin is asked instead.
    StoredBodyFailed = "stored-body-failed",
    /// A redirect would lead back to the page that was asked for.
    RedirectLoop = "redirect-loop",
    /// A list of the session would make the URL too long.
    SessionListTooLong = "session-list-too-long",
    /// There is no key to make pseudonyms with.
    ExposureNoKey = "exposure-no-key",
    /// The origin's `Edge-Event` is no list of events: it is dropped.
    EventMalformed = "event-malformed",
    /// A cache may keep the answer that has an `Edge-Event`: it is dropped.
    EventShared = "event-shared",
    /// There are more events than are counted at once: the first sixteen are.
    EventTooMany = "event-too-many",
    /// What a browser sent to the path of `settings.events` is no event that settings name, or no event at all.
    BeaconMalformed = "beacon-malformed",
    /// No page of this site sent it.
    BeaconForeign = "beacon-foreign",
    /// A sandbox was sent more in a minute than settings allow.
    BeaconTooMany = "beacon-too-many",
    /// A server that asks for flags showed a key that is none.
    OfrepKey = "ofrep-key",
    /// A rule names a backend that the service doesn't have.
    BackendUnknown = "backend-unknown",
    /// The backend can't be reached.
    BackendUnreachable = "backend-unreachable",
    /// The backend didn't answer in time.
    BackendTimeout = "backend-timeout",
    /// The backend gave no answer.
    BackendFailed = "backend-failed",
    /// The backend's answer is a status that counts as a failure.
    BackendStatus = "backend-status",
    /// A body is encoded in a way that can't be rewritten.
    BodyEncoded = "body-encoded",
    /// A page is in a charset that can't be rewritten.
    BodyCharset = "body-charset",
    /// The origin broke off in mid-body.
    BodyBroken = "body-broken",
    /// A body is longer than the limit for editing.
    BodyTooLarge = "body-too-large",
    /// A body isn't what its content type says.
    BodyMalformed = "body-malformed",
    /// A page's vCPU budget ran out.
    HtmlBudget = "html-budget",
    /// Rewriting a page failed.
    HtmlFailed = "html-failed",
    /// The client went away before the whole answer was sent.
    ClientGone = "client-gone",
    /// There is no key of the kind that the proof needs.
    IdentityNoKey = "identity-no-key",
    /// `X-User-ID` came without a signature.
    IdentityUnsigned = "identity-unsigned",
    /// The proof has not its form.
    IdentityMalformed = "identity-malformed",
    /// No key made the signature.
    IdentitySignature = "identity-signature",
    /// The proof's time is over.
    IdentityExpired = "identity-expired",
    /// The proof's time has not come.
    IdentityNotYet = "identity-not-yet",
    /// The token's algorithm is not allowed.
    IdentityAlgorithm = "identity-algorithm",
    /// The token's header asks for something unsupported.
    IdentityHeader = "identity-header",
    /// The token's issuer is another.
    IdentityIssuer = "identity-issuer",
    /// The token is for another audience.
    IdentityAudience = "identity-audience",
    /// The user id breaks its rules.
    IdentityUserId = "identity-user-id",
    /// A TCF or GPP string can't be read.
    ConsentUnreadable = "consent-unreadable",
    /// A preview's token has not its form.
    PreviewMalformed = "preview-malformed",
    /// No key made the preview's signature.
    PreviewSignature = "preview-signature",
    /// The preview's time is over.
    PreviewExpired = "preview-expired",
    /// The preview would be valid for too long.
    PreviewTooLong = "preview-too-long",
    /// The preview names a feature, variation or region that the rules don't have.
    PreviewUnknown = "preview-unknown",
    /// The revision that the preview names can't be read.
    PreviewRevision = "preview-revision",
    /// A link of the inspector has not its form, is signed by no key, is for another host, or its time is over.
    InspectToken = "inspect-token",
    /// The KV store `sessions` isn't there.
    SessionNoStore = "session-no-store",
    /// The KV store throttles.
    SessionStoreThrottled = "session-store-throttled",
    /// The KV store failed.
    SessionStoreFailed = "session-store-failed",
    /// What is stored is no record.
    SessionRecordBroken = "session-record-broken",
    /// The session's budget was over before the session API could be asked.
    SessionBudgetSpent = "session-budget-spent",
    /// The session API is left alone after failures.
    SessionApiBreakerOpen = "session-api-breaker-open",
    /// There is no session API.
    SessionApiNoBackend = "session-api-no-backend",
    /// The session API can't be reached.
    SessionApiUnreachable = "session-api-unreachable",
    /// The session API didn't answer in time.
    SessionApiTimedOut = "session-api-timed-out",
    /// The session API answered with an error status.
    SessionApiStatus = "session-api-status",
    /// The session API's answer is too long.
    SessionApiTooLarge = "session-api-too-large",
    /// The session API's answer broke off.
    SessionApiBrokenOff = "session-api-broken-off",
    /// The session API's answer is no record.
    SessionApiMalformed = "session-api-malformed",
    /// What the session API said could not be stored.
    SessionWriteBack = "session-write-back",
    /// The session record of a visitor who refused could not be deleted.
    SessionErase = "session-erase",
    /// A batch has too many bytes.
    ReplicationTooLarge = "replication-too-large",
    /// A batch has too many items.
    ReplicationTooMany = "replication-too-many",
    /// The secret store didn't answer.
    ReplicationNoSecretStore = "replication-no-secret-store",
    /// There is no usable webhook secret.
    ReplicationNoSecret = "replication-no-secret",
    /// A batch lacks the headers of its proof.
    ReplicationHeaders = "replication-headers",
    /// A batch was signed too long ago.
    ReplicationTooOld = "replication-too-old",
    /// A batch was signed in the future.
    ReplicationTooNew = "replication-too-new",
    /// No secret made the batch's signature.
    ReplicationSignature = "replication-signature",
    /// A batch is neither NDJSON nor JSON.
    ReplicationContentType = "replication-content-type",
    /// A batch is compressed.
    ReplicationContentEncoding = "replication-content-encoding",
    /// A batch's body broke off.
    ReplicationBrokenOff = "replication-broken-off",
    /// A batch can't be read.
    ReplicationMalformed = "replication-malformed",
    /// Items of a batch can never be stored.
    ReplicationRefused = "replication-refused",
    /// The KV store throttles: the batch is to be sent again.
    ReplicationThrottled = "replication-throttled",
    /// The KV store failed: the batch is to be sent again.
    ReplicationStoreFailed = "replication-store-failed",
}

impl Code {
    /// The code of this exact word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == word)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_word_of_its_own() {
        for code in Code::ALL {
            assert_eq!(Code::named(code.as_str()), Some(*code));
            assert!(code.as_str().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{code}");
        }
    }
}
