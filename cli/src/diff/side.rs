//! One of the two rule sets: a folder, or a revision in a store.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail};
use edge_personalizer::growthbook::DefinitionSource;
use edge_personalizer::rules::RuleSet;
use edge_personalizer::rules::dictionary::{DICTIONARIES, part_name};
use edge_personalizer::rules::pack::Pack;
use serde_json::{Map, Value, json};

use crate::folder::payload::PayloadOptions;
use crate::folder::{Folder, rule_set};
use crate::rollout::Store;
use crate::target::{self, Address, Api, Target};

/// What a rule set is called where log lines name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// Nothing: a folder.
    Folder,
    /// By no name: the entries at their bare names.
    Bare,
    /// A revision.
    Revision(String),
}

/// A rule set.
pub struct Side {
    /// As it was asked for.
    pub name: String,
    /// Each dictionary, its parts together.
    pub dictionaries: Map<String, Value>,
    /// The same, as the edge compiles it.
    pub rules: RuleSet,
    /// What the edge leaves out.
    pub notes: Vec<String>,
    /// What log lines call it.
    pub which: Which,
}

impl Side {
    /// Compiles dictionaries.
    pub fn new(name: &str, dictionaries: Map<String, Value>) -> Self {
        let texts = dictionaries.iter().map(|(dictionary, value)| (dictionary.as_str(), value.to_string()));
        let (rules, faults) = rule_set(texts, dictionaries.get("features"));
        let notes = match faults.first() {
            Some(fault) => vec![format!(
                "{name}: expected rules without a fault, but found {}, the first {fault}: the edge, and this comparison, leave such rules out",
                faults.len()
            )],
            None => Vec::new(),
        };
        Self { name: name.to_owned(), dictionaries, rules, notes, which: Which::Folder }
    }

    /// The content of a dictionary: `features` of `features`, ….
    pub fn content(&self, dictionary: &str) -> Option<&Value> {
        let value = self.dictionaries.get(dictionary)?;
        value.get(dictionary).or_else(|| value.get("savedGroups").filter(|_| dictionary == "segments"))
    }
}

/// Reads sides, the store once for both.
pub struct Reader<'o> {
    on: Option<&'o Address>,
    api: &'o Api,
    payload: &'o PayloadOptions,
    open: Option<(Box<dyn Target>, Store)>,
}

impl<'o> Reader<'o> {
    /// A reader of folders, each with its payload, and of the store `on`.
    pub fn new(on: Option<&'o Address>, api: &'o Api, payload: &'o PayloadOptions) -> Self {
        Self { on, api, payload, open: None }
    }

    /// The names of the store's revisions.
    ///
    /// # Errors
    ///
    /// There is no store, or it can't be read.
    pub fn revisions(&mut self) -> anyhow::Result<Vec<String>> {
        let (_, store) = self.store("@active")?;
        Ok(store.revisions().into_iter().map(str::to_owned).collect())
    }

    fn store(&mut self, name: &str) -> anyhow::Result<&mut (Box<dyn Target>, Store)> {
        if self.open.is_none() {
            let on = self.on.with_context(|| {
                format!(
                    "expected a folder of rules, or a revision and --on TARGET, but found '{name}', which is no folder"
                )
            })?;
            let mut target = target::open(on, self.api)?;
            let store = Store::read(&mut *target)?;
            self.open = Some((target, store));
        }
        self.open.as_mut().context("the store isn't open")
    }

    /// Reads what is called `name`.
    ///
    /// # Errors
    ///
    /// There is no such folder and no such revision, or a part of it can't be read.
    pub fn read(&mut self, name: &str) -> anyhow::Result<Side> {
        let is_path = name.contains(['/', '\\']) || name == ".";
        if is_path || (Path::new(name).is_dir() && !name.starts_with('@')) {
            return of_folder(name, self.payload);
        }
        let (target, store) = self.store(name)?;
        of_store(&mut **target, store, name)
    }
}

fn of_folder(name: &str, payload: &PayloadOptions) -> anyhow::Result<Side> {
    let folder = Folder::read(Path::new(name), payload)?;
    folder.parsed()?;
    Ok(Side::new(name, folder.values()))
}

fn of_store(target: &mut dyn Target, store: &Store, name: &str) -> anyhow::Result<Side> {
    let Some(role) = name.strip_prefix('@') else { return of_revision(target, store, name, name) };
    if role == "bare" {
        let bare = store.entries.iter().filter(|(key, _)| !key.contains('/'));
        let dictionaries = merged("", bare.map(|(key, text)| (key.clone(), text.clone())).collect())?;
        if dictionaries.is_empty() {
            bail!("@bare: expected dictionaries at their bare names, but found none");
        }
        return Ok(Side { which: Which::Bare, ..Side::new(name, dictionaries) });
    }
    let pointer = store.pointer("active")?;
    let revision = match role {
        "active" => pointer.revision,
        "previous" => pointer.previous,
        "canary" => pointer.canary.map(|canary| canary.revision),
        "shadow" => pointer.shadow,
        _ => bail!("expected @active, @previous, @canary, @shadow or @bare, but found '{name}'"),
    };
    let revision = revision.with_context(|| format!("{name}: expected a pointer that names one, but found none"))?;
    of_revision(target, store, &revision, &format!("{name} ({revision})"))
}

fn of_revision(target: &mut dyn Target, store: &Store, revision: &str, name: &str) -> anyhow::Result<Side> {
    let manifest = store.whole(revision)?;
    let dictionaries = match manifest.pack {
        Some(_) => {
            let bytes = target
                .pack(revision)?
                .with_context(|| format!("{revision}: expected it in the KV store, but found none"))?;
            unpacked(&Pack::read(bytes).map_err(anyhow::Error::msg)?)?
        }
        None => merged(&format!("{revision}/"), store.entries_of(revision))?,
    };
    Ok(Side { which: Which::Revision(revision.to_owned()), ..Side::new(name, dictionaries) })
}

/// Entries as dictionaries: further parts are added to the first.
fn merged(prefix: &str, entries: BTreeMap<String, String>) -> anyhow::Result<Map<String, Value>> {
    let mut dictionaries = Map::new();
    for name in DICTIONARIES {
        for number in 1.. {
            let entry = part_name(name, number);
            let Some(text) = entries.get(&entry) else { break };
            let part: Value = serde_json::from_str(text)
                .with_context(|| format!("{prefix}{entry}: expected JSON, but found a mistake"))?;
            match (dictionaries.get_mut(name), part.get(name)) {
                (None, _) => {
                    let mut first = part;
                    if let Some(members) = first.as_object_mut() {
                        members.shift_remove("parts");
                    }
                    dictionaries.insert(name.to_owned(), first);
                }
                (Some(first), Some(Value::Array(more))) => {
                    first
                        .get_mut(name)
                        .and_then(Value::as_array_mut)
                        .into_iter()
                        .for_each(|list| list.extend(more.clone()));
                }
                (Some(first), Some(Value::Object(more))) => {
                    first
                        .get_mut(name)
                        .and_then(Value::as_object_mut)
                        .into_iter()
                        .for_each(|all| all.extend(more.clone()));
                }
                (Some(_), _) => bail!("{prefix}{entry}: expected '{name}' to go on, but found something else"),
            }
        }
    }
    Ok(dictionaries)
}

/// A pack as dictionaries.
fn unpacked(pack: &Pack) -> anyhow::Result<Map<String, Value>> {
    let mut dictionaries = Map::new();
    for name in DICTIONARIES {
        if let Some(text) = pack.dictionary(name) {
            dictionaries.insert(name.to_owned(), serde_json::from_str(text)?);
        }
    }
    let routes = (0..pack.routes()).filter_map(|index| pack.route(index)).map(|(text, _)| serde_json::from_str(text));
    dictionaries.insert("routes".to_owned(), json!({ "routes": routes.collect::<Result<Vec<Value>, _>>()? }));
    let entries = (0..pack.count()).filter_map(|place| pack.entry(place));
    let features = entries.map(|(key, text)| Ok((key.to_owned(), serde_json::from_str(text)?)));
    let features = features.collect::<Result<Map<String, Value>, serde_json::Error>>()?;
    // What stands beside the features is there already.
    let beside = dictionaries.entry("features").or_insert_with(|| json!({}));
    if let Some(members) = beside.as_object_mut() {
        members.insert("features".to_owned(), Value::Object(features));
    }
    Ok(dictionaries)
}
