//! Reads a configuration file, and finds all errors in it in one run.
//!
//! The text becomes JSON. The schema finds keys and values that are not allowed. These are removed,
//! and the rest is searched for conflicts. Each error gets its line in the file.

use std::path::Path;

use serde::Deserialize as _;

use super::repair::repair;
use super::schema::Schema;
use super::source::Source;
use super::validate::{self, Conflict};
use super::{Config, Key, Problem, Problems};
use wireplug_connectors::Connectors;

impl Config {
    /// Reads a configuration file. Paths in the file are relative to its directory. Its listeners
    /// can use the built-in connectors.
    ///
    /// # Errors
    /// Returns an error if anything in the configuration is wrong. The error lists everything.
    pub fn load(file: &Path) -> Result<Self, Problems> {
        Self::load_with(file, &Connectors::default())
    }

    /// Reads a configuration file whose listeners can use other connectors.
    ///
    /// # Errors
    /// Returns an error if anything in the configuration is wrong. The error lists everything.
    pub fn load_with(file: &Path, connectors: &Connectors) -> Result<Self, Problems> {
        Self::parse_with(&read(file)?, file, connectors)
    }

    /// Reads the configuration file of a program that has no application of its own, such as the
    /// command `wireplug`. The file must name an application. Its listeners can use the built-in
    /// connectors.
    ///
    /// # Errors
    /// Returns an error if anything in the configuration is wrong. The error lists everything.
    pub fn load_standalone(file: &Path) -> Result<Self, Problems> {
        Self::parse_standalone(&read(file)?, file)
    }

    /// Does the same as [`Config::load_standalone`], from the text of a file.
    ///
    /// # Errors
    /// Returns an error if anything in the configuration is wrong. The error lists everything.
    pub fn parse_standalone(text: &str, file: &Path) -> Result<Self, Problems> {
        parse(text, file, &Connectors::default(), Application::InFile)
    }

    /// Reads a configuration from the text of a file. The name of the file appears in errors, and
    /// its directory is the base of relative paths. The listeners can use the built-in connectors.
    ///
    /// ```
    /// use std::path::Path;
    ///
    /// use wireplug::{App, Config, Server};
    ///
    /// let text = r#"
    ///     [codecs.pomelo]
    ///     builtin = "pomelo"
    ///
    ///     [[listeners]]
    ///     url = "tcp://127.0.0.1:3010"
    ///     codec = "pomelo"
    /// "#;
    /// let config = Config::parse(text, Path::new("wireplug.toml"))?;
    /// let server = Server::from_config(App::new(), &config, Path::new("."));
    /// # Ok::<(), wireplug::config::Problems>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if anything in the configuration is wrong. The error lists everything.
    pub fn parse(text: &str, file: &Path) -> Result<Self, Problems> {
        Self::parse_with(text, file, &Connectors::default())
    }

    /// Does the same as [`Config::parse`], for listeners that can use other connectors.
    ///
    /// # Errors
    /// Returns an error if anything in the configuration is wrong. The error lists everything.
    pub fn parse_with(text: &str, file: &Path, connectors: &Connectors) -> Result<Self, Problems> {
        parse(text, file, connectors, Application::Own)
    }

    /// Returns the JSON Schema of a configuration file.
    pub fn schema() -> serde_json::Value {
        Schema::new().json
    }
}

impl Problems {
    /// Returns the same problems, with the file that the configuration was read from, and with the
    /// line of each key in it.
    #[must_use]
    pub fn in_file(mut self, file: &Path) -> Self {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        // If the file can no longer be read, there are no lines.
        if let Ok(source) = Source::parse(&text) {
            for problem in self.list.iter_mut().filter(|problem| !problem.key.steps().is_empty()) {
                problem.position = Some(source.nearest(&problem.key));
            }
        }
        Self { file: Some(file.to_owned()), ..self }.sorted()
    }

    /// Returns the same problems, in the order of the file.
    fn sorted(mut self) -> Self {
        self.list.sort_by_key(|problem| problem.position);
        self
    }
}

/// Who provides the application of a program.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Application {
    /// The program provides it.
    Own,
    /// The file names it.
    InFile,
}

fn read(file: &Path) -> Result<String, Problems> {
    std::fs::read_to_string(file).map_err(|error| {
        let what = format!("the configuration cannot be read: {error}");
        let list = vec![Problem { position: None, key: Key::default(), what }];
        Problems { file: Some(file.to_owned()), list }
    })
}

fn parse(
    text: &str,
    file: &Path,
    connectors: &Connectors,
    application: Application,
) -> Result<Config, Problems> {
    let directory = file.parent().unwrap_or(Path::new(""));
    let found = find(text, directory, connectors, application);
    found.map_err(|list| Problems { file: Some(file.to_owned()), list }.sorted())
}

fn find(
    text: &str,
    directory: &Path,
    connectors: &Connectors,
    application: Application,
) -> Result<Config, Vec<Problem>> {
    let source = Source::parse(text)?;
    let schema = Schema::new();
    let mut problems = Vec::new();
    let mut json = source.to_json(&mut problems);
    let mut wrong: Vec<Key> = problems.iter().map(|problem| problem.key.clone()).collect();
    for (key, what) in schema.check(&json) {
        // One error is enough for a value that is wrong in several ways.
        if wrong.iter().all(|other| !key.is_within(other)) {
            wrong.push(key.clone());
            problems.push(Problem { position: Some(source.nearest(&key)), key, what });
        }
    }

    repair(&mut json, &schema, &mut wrong);
    match Config::deserialize(json) {
        Ok(config) => {
            let of_the_file = |conflict: &Conflict| {
                let mut keys = conflict.others.iter().chain([&conflict.key]);
                keys.all(|key| wrong.iter().all(|wrong| !key.is_within(wrong)))
            };
            let mut found = validate::find(&config, directory, connectors);
            if application == Application::InFile {
                found.extend(validate::no_application(&config));
            }
            let found = found.into_iter().filter(of_the_file);
            problems.extend(found.map(|conflict| locate(&source, &schema, conflict)));
            if problems.is_empty() { Ok(config) } else { Err(problems) }
        }
        Err(error) => {
            // The schema accepts no value that the types refuse. If it did, this reports it.
            problems.push(Problem { position: None, key: Key::default(), what: error.to_string() });
            Err(problems)
        }
    }
}

/// Turns a conflict into a problem at the first of its keys that the file has. Adds the lines
/// of the other keys, or their defaults.
fn locate(source: &Source<'_>, schema: &Schema, Conflict { key, others, what }: Conflict) -> Problem {
    let mut keys: Vec<Key> = [key].into_iter().chain(others).collect();
    let first = keys.iter().position(|key| source.position(key).is_some()).unwrap_or_default();
    let key = keys.remove(first);
    let others = keys.iter().filter(|other| !other.is_within(&key)).filter_map(|other| {
        let place = match source.position(other) {
            Some((line, _)) => format!("line {line}"),
            None => format!("{} by default", schema.default_of(other)?),
        };
        Some(format!("; see {other}, {place}"))
    });
    let what = what + &others.collect::<String>();
    Problem { position: Some(source.nearest(&key)), key, what }
}
