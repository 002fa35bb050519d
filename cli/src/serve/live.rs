//! Rules as they are in the folder right now, over what else is in the config store: pushed revisions and the pointer.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use edge_personalizer::rules::dictionary::{DICTIONARIES, dictionary_of, is_whole, part_name};
use edge_personalizer::rules::entries;
use serde_json::Value;

use crate::check;
use crate::folder::Folder;
use crate::folder::payload::PayloadOptions;
use crate::output;

/// Longer than what a sandbox has read counts: rules that change are seen by the next request.
const MOMENT: Duration = Duration::from_secs(2);
/// The entry that says which revision serves.
const POINTER: &str = "active";

/// Where rules come from.
#[derive(Debug)]
pub struct Sources {
    /// The folder of dictionaries.
    pub folder: PathBuf,
    pub payload: PayloadOptions,
    /// The file with the config store's entries, if there is one.
    pub store: Option<PathBuf>,
    /// Where backends are named, for the checker.
    pub manifest: Option<PathBuf>,
}

/// The config store at one moment.
#[derive(Debug, Default)]
pub struct Entries {
    /// The texts by their entries' names.
    pub texts: HashMap<String, String>,
    /// What is added to a sandbox's age, so that it reads again.
    pub passed: Duration,
}

/// The rules, looked at anew whenever a file has changed.
#[derive(Debug)]
pub struct LiveRules {
    sources: Sources,
    /// Held while the files are read.
    turn: Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    seen: Stamps,
    entries: Arc<Entries>,
}

type Stamps = BTreeMap<PathBuf, (SystemTime, u64)>;

impl LiveRules {
    /// Reads everything, and prints what the checker says.
    ///
    /// # Errors
    ///
    /// The folder can't be read, or has no dictionary.
    pub fn start(sources: Sources) -> anyhow::Result<Self> {
        let state = State { seen: sources.stamps(), ..State::default() };
        let folder = Folder::read(&sources.folder, &sources.payload)?;
        let rules = Self { sources, turn: Mutex::default(), state: Mutex::new(state) };
        rules.take(&folder);
        if let Some(why) = rules.held() {
            output::note(&why);
        }
        rules.report(&folder);
        Ok(rules)
    }

    /// The config store as it is.
    pub fn entries(&self) -> Arc<Entries> {
        Arc::clone(&self.state.lock().unwrap_or_else(PoisonError::into_inner).entries)
    }

    /// Takes changes over, if there are any, and prints what the checker says of them. Where the folder can't be read, what was read
    /// before goes on serving.
    pub fn look(&self) {
        let read = {
            // Who looks meanwhile waits: an answer by the old rules would be one too many.
            let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
            let now = self.sources.stamps();
            if !self.is_news(now) {
                return;
            }
            Folder::read(&self.sources.folder, &self.sources.payload).inspect(|folder| self.take(folder))
        };
        match read {
            Ok(folder) => {
                match self.held() {
                    Some(why) => output::line(&format!("The rules changed, but {why}.")),
                    None if folder.parsed().is_err() => {
                        output::line("The rules changed: the next request follows them, but for what isn't JSON.");
                    }
                    None => output::line("The rules changed: the next request follows them."),
                }
                self.report(&folder);
            }
            Err(error) => output::line(&format!("The rules changed, but the old ones go on serving: {error:#}")),
        }
    }

    /// Why the folder's rules don't serve, where they don't.
    fn held(&self) -> Option<String> {
        self.entries().texts.get(POINTER).and_then(|pointer| told(pointer))
    }

    fn is_news(&self, now: Stamps) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = state.seen != now;
        state.seen = now;
        is_news
    }

    fn take(&self, folder: &Folder) {
        let stored = self.sources.stored();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut texts = dictionaries(folder, &state.entries.texts);
        match stored {
            // The folder is what is at the bare names; all others are the store's.
            Ok(stored) => {
                let others = stored.into_iter().filter(|(entry, _)| !DICTIONARIES.contains(&dictionary_of(entry)));
                texts.extend(others);
            }
            Err(error) => {
                output::line(&format!("{error:#}: its last revisions go on serving"));
                let others =
                    state.entries.texts.iter().filter(|(entry, _)| !DICTIONARIES.contains(&dictionary_of(entry)));
                texts.extend(others.map(|(entry, text)| (entry.clone(), text.clone())));
            }
        }
        let passed = state.entries.passed + MOMENT;
        state.entries = Arc::new(Entries { texts, passed });
    }

    fn report(&self, folder: &Folder) {
        let report = check::check(folder, &self.sources.folder, self.sources.manifest.as_deref());
        match report {
            Ok(report) => check::lines(&report).iter().for_each(|line| output::line(line)),
            Err(error) => output::line(&format!("{error:#}")),
        }
    }
}

impl Sources {
    /// What tells that a file has changed.
    fn stamps(&self) -> Stamps {
        let folder = fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let files = folder.filter(|file| file.extension().is_some_and(|extension| extension == "json"));
        let others = self.payload.file.iter().chain(&self.store).cloned();
        let stamp = |file: PathBuf| {
            let about = fs::metadata(&file).ok()?;
            Some((file, (about.modified().ok()?, about.len())))
        };
        files.chain(others).filter_map(stamp).collect()
    }

    /// The store's file; without one, or before the first push, it is empty.
    fn stored(&self) -> anyhow::Result<HashMap<String, String>> {
        let Some(file) = self.store.as_deref() else { return Ok(HashMap::new()) };
        read_store(file)
    }
}

fn read_store(file: &Path) -> anyhow::Result<HashMap<String, String>> {
    match fs::read_to_string(file) {
        Ok(text) => {
            serde_json::from_str(&text).with_context(|| format!("{}: expected an object of texts", file.display()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(HashMap::new()),
        Err(error) => Err(error).with_context(|| format!("{}: can't read it", file.display())),
    }
}

/// The entries of a folder's dictionaries. One that can't be used keeps its entries of before, as a sandbox keeps what it read last; where
/// there are none, it goes in as it is, and the service names it.
fn dictionaries(folder: &Folder, before: &HashMap<String, String>) -> HashMap<String, String> {
    let mut texts = HashMap::new();
    let values = folder.values();
    for name in DICTIONARIES {
        let parts = match values.get(name) {
            Some(value) => parts(name, value),
            None => match folder.dictionaries.get(name) {
                Some(source) => Err(source.text.clone()),
                None => continue,
            },
        };
        match parts {
            Ok(parts) => {
                texts.extend(parts.into_iter().enumerate().map(|(index, text)| (part_name(name, index + 1), text)));
            }
            Err(text) if before.get(name).is_none_or(|known| is_whole(name, known).is_err()) => {
                texts.insert(name.to_owned(), text);
            }
            Err(_) => {
                let kept = before.iter().filter(|(entry, _)| dictionary_of(entry) == name);
                texts.extend(kept.map(|(entry, text)| (entry.clone(), text.clone())));
            }
        }
    }
    texts
}

/// The entries of a dictionary; or its text, where it can't be used as a whole.
fn parts(name: &str, value: &Value) -> Result<Vec<String>, String> {
    let text = value.to_string();
    if is_whole(name, &text).is_err() {
        return Err(text);
    }
    // Here nothing is too long.
    Ok(entries::split(name, value).unwrap_or_else(|_| vec![text]))
}

/// What a pointer means for who edits the folder.
fn told(pointer: &str) -> Option<String> {
    let pointer: Value = serde_json::from_str(pointer).ok()?;
    if pointer.get("enabled") == Some(&Value::Bool(false)) {
        return Some("the store's pointer switches everything off (`personalizer enable` ends that)".to_owned());
    }
    let revision = pointer.get("revision")?.as_str()?;
    Some(format!("the store's pointer names revision {revision}: that serves, and the folder's rules wait"))
}
