//! Redis Streams as a source: a consumer of a group.
//!
//! What this consumer has read and not acknowledged is read again after every new connection: a reply that was lost on its way had made
//! entries pending which nobody holds. What other consumers left is taken over after a time.

mod reply;

use std::collections::HashMap;
use std::fmt::{Display, Formatter};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use redis::{Client, Cmd, Connection, ConnectionAddr, ErrorKind, RedisError, Value, cmd};

use self::reply::{Claimed, Delivered, Fields};
use super::Options;
use super::source::{Backlog, Entry, Refused, Source, Trouble};

/// How long connecting, and any reply, may take beyond what a command waits for.
const PATIENCE: Duration = Duration::from_secs(10);
/// What Redis answers while it can't serve, and will again (redis.io, "Redis serialization protocol", error prefixes).
const PASSING: [&str; 11] = [
    "LOADING",
    "BUSY",
    "TRYAGAIN",
    "CLUSTERDOWN",
    "MASTERDOWN",
    "READONLY",
    "MISCONF",
    "OOM",
    "NOREPLICAS",
    "UNBLOCKED",
    "NOGROUP",
];

/// A stream, as one consumer of a group sees it.
pub struct Streams {
    client: Client,
    server: String,
    stream: String,
    group: String,
    consumer: String,
    field: String,
    refused: String,
    claim_after: Duration,
    connected: Option<Connected>,
    /// Entries that were given and are not settled, with their fields.
    held: HashMap<String, Fields>,
    /// When to look again for what other consumers left.
    claim_at: Instant,
}

/// A connection, and how far it has come.
struct Connected {
    connection: Connection,
    /// The last of this consumer's own pending entries that were read again; `None` once all were.
    own: Option<String>,
    /// Where to go on with claiming; `None` between two rounds.
    claim: Option<String>,
}

impl Display for Streams {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { server, stream, group, consumer, .. } = self;
        write!(formatter, "stream '{stream}' of Redis at {server}, as '{consumer}' of group '{group}'")
    }
}

impl Streams {
    /// Gets ready; connects to nothing yet.
    ///
    /// # Errors
    ///
    /// The URL is none of Redis, or names are missing.
    pub fn open(options: &Options) -> anyhow::Result<Self> {
        // The URL may hold a password: no message quotes it.
        let client = Client::open(options.redis.as_str()).context(
            "--redis: expected a URL such as redis://127.0.0.1:6379 or rediss://host, but found another one",
        )?;
        let server = match client.get_connection_info().addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => format!("{host}:{port}"),
            other => other.to_string(),
        };
        let refused = options.refused.clone().unwrap_or_else(|| format!("{}:refused", options.stream));
        for (option, name) in
            [("--stream", &options.stream), ("--group", &options.group), ("--consumer", &options.consumer)]
        {
            if name.is_empty() {
                bail!("{option}: expected a name, but found an empty one");
            }
        }
        if refused == options.stream {
            bail!(
                "--refused: expected another stream than --stream, but found the same: refused entries would come again"
            );
        }
        Ok(Self {
            client,
            server,
            stream: options.stream.clone(),
            group: options.group.clone(),
            consumer: options.consumer.clone(),
            field: options.field.clone(),
            refused,
            claim_after: Duration::from_secs(options.claim_after),
            connected: None,
            held: HashMap::new(),
            claim_at: Instant::now(),
        })
    }

    /// Connects if need be; makes the group, and the stream, if there is none.
    fn connect(&mut self) -> Result<(), Trouble> {
        if self.connected.is_some() {
            return Ok(());
        }
        let opened = self.client.get_connection_with_timeout(PATIENCE).and_then(|connection| {
            connection.set_read_timeout(Some(PATIENCE))?;
            connection.set_write_timeout(Some(PATIENCE))?;
            Ok(connection)
        });
        let connection = opened.map_err(|error| {
            let never = matches!(error.kind(), ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig);
            let problem = anyhow!("Redis at {}: {error}", self.server);
            if never { Trouble::Never(problem) } else { Trouble::Later(problem) }
        })?;
        self.connected = Some(Connected { connection, own: Some("0".to_owned()), claim: None });
        let mut create = cmd("XGROUP");
        create.arg("CREATE").arg(&self.stream).arg(&self.group).arg("0").arg("MKSTREAM");
        match self.query(&create) {
            Ok(_) => Ok(()),
            // It is there already; or somebody else has to make it, and reading says so if nobody did.
            Err(error) if matches!(error.code(), Some("BUSYGROUP" | "NOPERM")) => Ok(()),
            Err(error) => Err(self.trouble("XGROUP CREATE", &self.stream.clone(), &error)),
        }
    }

    fn query(&mut self, command: &Cmd) -> Result<Value, RedisError> {
        match &mut self.connected {
            Some(connected) => command.query(&mut connected.connection),
            None => Err(RedisError::from((ErrorKind::Io, "not connected"))),
        }
    }

    /// What an error of a command on `key` means. After any the connection is made anew: nobody knows what is still on its way.
    fn trouble(&mut self, command: &str, key: &str, error: &RedisError) -> Trouble {
        self.connected = None;
        let code = error.code();
        let problem = anyhow!("Redis at {}: {command}: {error}", self.server);
        match code {
            None | Some("NOGROUP") => Trouble::Later(problem),
            Some("WRONGTYPE") => {
                Trouble::Never(problem.context(format!("expected '{key}' to be a stream, but found another type")))
            }
            Some(code) if PASSING.contains(&code) || error.to_string().contains("max number of clients") => {
                Trouble::Later(problem)
            }
            Some("ERR") if error.to_string().contains("unknown command") => {
                Trouble::Never(problem.context("expected Redis 6.2 or newer, but found one that lacks a command"))
            }
            Some(_) => Trouble::Never(problem),
        }
    }

    /// A reply that isn't what the command gives.
    fn strange(&mut self, command: &str) -> Trouble {
        self.connected = None;
        Trouble::Later(anyhow!("Redis at {}: expected a reply to {command}, but found another one", self.server))
    }

    /// Entries of XREADGROUP: from `after` on those that are pending for this consumer, or, for `>`, new ones.
    fn read_group(&mut self, after: &str, most: usize, wait: Duration) -> Result<Vec<Delivered>, Trouble> {
        let mut read = cmd("XREADGROUP");
        read.arg("GROUP").arg(&self.group).arg(&self.consumer).arg("COUNT").arg(most);
        if !wait.is_zero() {
            read.arg("BLOCK").arg(u64::try_from(wait.as_millis()).unwrap_or(1));
        }
        read.arg("STREAMS").arg(&self.stream).arg(after);
        let reply = self.query(&read).map_err(|error| self.trouble("XREADGROUP", &self.stream.clone(), &error))?;
        reply::entries(reply).ok_or_else(|| self.strange("XREADGROUP"))
    }

    /// What was read by this consumer before, and is held by nobody.
    fn own(&mut self, most: usize) -> Result<Vec<Entry>, Trouble> {
        while let Some(after) = self.connected.as_ref().and_then(|connected| connected.own.clone()) {
            let delivered = self.read_group(&after, most, Duration::ZERO)?;
            let last = delivered.last().map(|delivered| delivered.id.clone());
            if let Some(connected) = &mut self.connected {
                connected.own = last;
            }
            let entries = self.hold(delivered);
            if !entries.is_empty() {
                return Ok(entries);
            }
        }
        Ok(Vec::new())
    }

    /// What other consumers have read and left.
    fn left_by_others(&mut self, most: usize) -> Result<Vec<Entry>, Trouble> {
        if Instant::now() >= self.claim_at {
            if let Some(connected) = &mut self.connected {
                connected.claim = Some("0-0".to_owned());
            }
            self.claim_at = Instant::now() + self.claim_after / 2;
        }
        while let Some(from) = self.connected.as_ref().and_then(|connected| connected.claim.clone()) {
            let mut claim = cmd("XAUTOCLAIM");
            claim.arg(&self.stream).arg(&self.group).arg(&self.consumer);
            claim.arg(u64::try_from(self.claim_after.as_millis()).unwrap_or(u64::MAX)).arg(from).arg("COUNT").arg(most);
            let reply = self.query(&claim).map_err(|error| self.trouble("XAUTOCLAIM", &self.stream.clone(), &error))?;
            let Some(Claimed { next, delivered }) = reply::claimed(reply) else {
                return Err(self.strange("XAUTOCLAIM"));
            };
            if let Some(connected) = &mut self.connected {
                connected.claim = (next != "0-0").then_some(next);
            }
            let entries = self.hold(delivered);
            if !entries.is_empty() {
                return Ok(entries);
            }
        }
        Ok(Vec::new())
    }

    /// Remembers entries until they are settled; gives those that weren't held yet.
    fn hold(&mut self, delivered: Vec<Delivered>) -> Vec<Entry> {
        let mut entries = Vec::with_capacity(delivered.len());
        for Delivered { id, fields } in delivered {
            if self.held.contains_key(&id) {
                continue;
            }
            let update = match &fields {
                None => Err("expected an entry, but it was trimmed from the stream before it was sent".to_owned()),
                Some(fields) => fields
                    .iter()
                    .find(|(name, _)| name == self.field.as_bytes())
                    .map(|(_, value)| value.clone())
                    .ok_or_else(|| format!("expected field '{}', but found none", self.field)),
            };
            self.held.insert(id.clone(), fields.unwrap_or_default());
            entries.push(Entry { id, update });
        }
        entries
    }

    /// Keeps refused entries: their id and the reason, and the fields they came with.
    fn keep(&mut self, refused: &[Refused]) -> Result<(), Trouble> {
        for one in refused {
            let mut add = cmd("XADD");
            add.arg(&self.refused).arg("*").arg("id").arg(&one.id).arg("reason").arg(&one.reason);
            for (name, value) in self.held.get(&one.id).into_iter().flatten() {
                add.arg(name.as_slice()).arg(value.as_slice());
            }
            self.query(&add).map_err(|error| self.trouble("XADD", &self.refused.clone(), &error))?;
        }
        Ok(())
    }
}

impl Source for Streams {
    fn read(&mut self, most: usize, wait: Duration) -> Result<Vec<Entry>, Trouble> {
        self.connect()?;
        let entries = self.own(most)?;
        if !entries.is_empty() {
            return Ok(entries);
        }
        let entries = self.left_by_others(most)?;
        if !entries.is_empty() {
            return Ok(entries);
        }
        let delivered = self.read_group(">", most, wait)?;
        Ok(self.hold(delivered))
    }

    fn settle(&mut self, taken: &[String], refused: &[Refused]) -> Result<(), Trouble> {
        self.connect()?;
        // First kept, then acknowledged. What ends in between keeps an entry twice, and loses none.
        self.keep(refused)?;
        let ids = || taken.iter().chain(refused.iter().map(|one| &one.id));
        let mut acknowledge = cmd("XACK");
        acknowledge.arg(&self.stream).arg(&self.group);
        for id in ids() {
            acknowledge.arg(id);
        }
        self.query(&acknowledge).map_err(|error| self.trouble("XACK", &self.stream.clone(), &error))?;
        for id in ids() {
            self.held.remove(id);
        }
        Ok(())
    }

    fn backlog(&mut self) -> Result<Backlog, Trouble> {
        self.connect()?;
        let mut about = cmd("XINFO");
        about.arg("GROUPS").arg(&self.stream);
        match self.query(&about) {
            Ok(reply) => Ok(reply::backlog(&reply, &self.group)),
            // A user who may feed may lack the right to ask for figures.
            Err(error) if error.code().is_some() => Ok(Backlog::default()),
            Err(error) => Err(self.trouble("XINFO", &self.stream.clone(), &error)),
        }
    }
}
