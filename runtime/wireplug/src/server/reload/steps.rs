//! The steps of a reload.
//!
//! Everything that can fail comes first: codecs are loaded, addresses are bound, connectors take
//! their options. Only then clients, sessions and codecs see the change.

use std::path::Path;
use std::sync::Arc;

use tokio::task::spawn_blocking;
use tracing::error;

use super::{ConfigFile, ReloadError, ReloadReport, Reloading};
#[cfg(feature = "control")]
use crate::admin::Reread;
use crate::audit::{Actor, Record};
#[cfg(feature = "control")]
use crate::config::Key;
use crate::config::{Change, Config, Difference, Effect, ListenerConfig, Problems, ServerConfig, matched};
use crate::server::listener::Resolved;
use crate::server::listeners::{Bound, Listening};
use crate::server::running::Running;
use crate::server::services::ServiceTable;
use crate::server::{ListenerSettings, StartError, accept_limits, descriptors, from_config, services};
use crate::slot::{Replacement, Slot, SwapReport};
use crate::trust::Trust;
use wireplug_base::Chain;
use wireplug_connectors::ListenOptions;
use wireplug_connectors::certificates::Certificates;

/// The steps of a reload that were prepared, and are not made yet.
#[derive(Default)]
struct Steps {
    replacements: Vec<(Slot, Record, Replacement)>,
    /// Codecs that stay as they are although their files have changed, with the reasons.
    kept: Vec<(String, String)>,
    /// The listeners of the configuration, in its order.
    listeners: Vec<Next>,
    /// The settings for all listeners together, with as many connections as there are descriptors
    /// for.
    server: ServerConfig,
    /// The services, if they change.
    services: Option<ServiceTable>,
    /// The clients of the control API, if they change.
    #[cfg(feature = "control")]
    clients: Option<Reread>,
    /// Connectors that have taken other options, with those that they had.
    updated: Vec<(Listening, ListenOptions)>,
}

/// A listener as it will be.
enum Next {
    New(Bound),
    Same(Listening),
    Changed(Listening, ListenerSettings),
}

/// The configurations before and after a reload.
struct Turn<'a> {
    current: &'a Config,
    after: &'a Config,
    /// The directory of the paths in both.
    directory: &'a Path,
    /// Whose codecs are loaded after the reload.
    trust: Arc<Trust>,
}

impl Running {
    pub(crate) async fn reload_file(&self, actor: Actor) -> Result<ReloadReport, ReloadError> {
        let (file, config) = self.read_file(None).await?;
        let report = self.reload(actor, &config, file.directory()).await?;
        if let Some(config) = &self.reloading.lock().await.config {
            file.applied(config);
        }
        Ok(report)
    }

    #[cfg(feature = "control")]
    pub(crate) async fn preview_file(&self, text: Option<String>) -> Result<ReloadReport, ReloadError> {
        let (file, config) = self.read_file(text).await?;
        self.preview(&config, file.directory()).await
    }

    async fn read_file(&self, text: Option<String>) -> Result<(Arc<dyn ConfigFile>, Config), ReloadError> {
        let file = self.reloading.lock().await.file.clone().ok_or(ReloadError::NoFile)?;
        let of = Arc::clone(&file);
        // The file may be on a slow disk.
        let read = spawn_blocking(move || of.read(text.as_deref()));
        Ok((file, read.await.expect("reading does not panic")?))
    }

    pub(crate) async fn preview(
        &self,
        config: &Config,
        directory: &Path,
    ) -> Result<ReloadReport, ReloadError> {
        let reloading = self.reloading.lock().await;
        let current = reloading.config.as_ref().ok_or(ReloadError::NotConfigured)?;
        self.check(config, directory).await?;
        #[cfg_attr(not(feature = "control"), expect(unused_mut))]
        let mut changes = self.changes(current, config);
        #[cfg(feature = "control")]
        self.read_clients(&current.after_reload(config), directory, &mut changes).await?;
        Ok(ReloadReport { changes, ..ReloadReport::default() })
    }

    /// Reads the tokens of the control API again. Returns its clients if they change, and then adds
    /// the file of the tokens to the changes.
    #[cfg(feature = "control")]
    async fn read_clients(
        &self,
        after: &Config,
        directory: &Path,
        changes: &mut Vec<Change>,
    ) -> Result<Option<Reread>, ReloadError> {
        let (Some(access), Some(config)) = (self.control.get(), &after.control) else { return Ok(None) };
        let clients = Reread::read(access, config, directory).await?;
        let key = Key::default().name("control").name("token-file").to_string();
        let has_other_tokens = clients.as_ref().is_some_and(|clients| clients.has_other_tokens);
        if has_other_tokens && !changes.iter().any(|change| change.key == key) {
            let effect = Effect::AtOnce;
            changes.push(Change { key, from: None, to: None, effect, connections: 0 });
        }
        Ok(clients)
    }

    pub(crate) async fn reload(
        &self,
        actor: Actor,
        config: &Config,
        directory: &Path,
    ) -> Result<ReloadReport, ReloadError> {
        let mut reloading = self.reloading.lock().await;
        let reloading = &mut *reloading;
        if self.stop.is_cancelled() || self.moved_away.is_cancelled() {
            return Err(ReloadError::Draining);
        }
        let current = reloading.config.clone().ok_or(ReloadError::NotConfigured)?;
        self.check(config, directory).await?;
        #[cfg_attr(not(feature = "control"), expect(unused_mut))]
        let mut changes = self.changes(&current, config);
        let after = current.after_reload(config);
        // Together with values that stay until a restart, the others may contradict each other.
        self.check(&after, directory).await?;
        let trust = match (&current.trust, &after.trust) {
            // What was set by code stays.
            (None, None) => reloading.slots.trust(),
            _ => trust(&after, directory).await?,
        };
        let turn = Turn { current: &current, after: &after, directory, trust };

        let slots = reloading.slots.len();
        let mut steps = Steps::default();
        #[cfg(feature = "control")]
        {
            steps.clients = self.read_clients(&after, directory, &mut changes).await?;
        }
        if let Err(error) = self.prepare(reloading, &turn, &actor, &mut steps).await {
            undo(steps, &reloading.common.certificates).await;
            reloading.slots.truncate(slots);
            return Err(error);
        }
        let (swaps, kept) = self.make(reloading, &turn, steps).await;
        reloading.config = Some(after);
        Ok(ReloadReport { changes, swaps, kept })
    }

    /// Checks a configuration as a start does.
    async fn check(&self, config: &Config, directory: &Path) -> Result<(), Problems> {
        let (config, directory) = (config.clone(), directory.to_owned());
        let connectors = self.state.connectors.clone();
        // The check reads files, which may be on a slow disk.
        let check = spawn_blocking(move || config.check(&directory, &connectors));
        check.await.expect("a check does not panic")
    }

    /// Returns the differences between two configurations, with the connections that each concerns.
    fn changes(&self, current: &Config, new: &Config) -> Vec<Change> {
        let listening = self.configured(current);
        let slots = self.slots.all();
        let concerned = |difference: &Difference| match *difference.names() {
            ["listeners", _, "access", "allow" | "deny"] => {
                let access = difference.listener().map(|index| &new.listeners[index].access)?;
                Some(listening[difference.old_listener()?].as_ref()?.context.admission.refused_by(access))
            }
            ["listeners", _, "limits", _] => {
                Some(listening[difference.old_listener()?].as_ref()?.connections())
            }
            ["codecs", name, _] => Some(slots.iter().find(|slot| slot.name() == name)?.sessions() as u64),
            _ => None,
        };
        let counted = |difference: &Difference| {
            let mut change = difference.change();
            if change.effect == Effect::AtOnce {
                change.connections = concerned(difference).unwrap_or_default();
            }
            change
        };
        current.differences(new).iter().map(counted).collect()
    }

    /// Returns the listener of each entry in the configuration of the server.
    fn configured(&self, current: &Config) -> Vec<Option<Listening>> {
        let open = self.listeners.all();
        let open: Vec<Listening> = open.into_iter().filter(|open| open.configured.is_some()).collect();
        let places = matched(open.iter().filter_map(|open| open.configured.as_deref()), urls(current));
        places.into_iter().map(|place| place.map(|place| open[place].clone())).collect()
    }

    /// Prepares everything that can fail.
    async fn prepare(
        &self,
        reloading: &mut Reloading,
        turn: &Turn<'_>,
        actor: &Actor,
        steps: &mut Steps,
    ) -> Result<(), ReloadError> {
        let configured = self.configured(turn.current);
        let places = matched(urls(turn.current), urls(turn.after));
        let before: Vec<Option<(&ListenerConfig, Listening)>> = places
            .into_iter()
            .map(|place| {
                place.and_then(|place| Some((&turn.current.listeners[place], configured[place].clone()?)))
            })
            .collect();
        steps.server = self.server_settings(reloading, turn, &before)?;
        #[cfg(any(feature = "http", feature = "nats"))]
        if turn.current.services != turn.after.services {
            let services = from_config::services(turn.after, turn.directory);
            steps.services = Some(self.nodes.services().prepare(&services)?);
        }
        // New listeners come first, so that the codecs that are loaded below must fit them too.
        for (listener, before) in turn.after.listeners.iter().zip(&before) {
            let next = match before {
                None => {
                    let resolved = self.resolve(reloading, turn, listener)?;
                    let slot = match reloading.slots.named(&resolved.codec.settings.name) {
                        Some(slot) if resolved.named => slot.clone(),
                        _ => reloading.slots.of(resolved.codec.clone(), resolved.named, &turn.trust).await?,
                    };
                    Next::New(Bound::bind(resolved, slot, &steps.server, &reloading.common).await?)
                }
                Some((before, listening)) if *before == listener => Next::Same(listening.clone()),
                Some((_, listening)) => {
                    let (limits, access) = (listener.limits, listener.access.clone());
                    Next::Changed(listening.clone(), ListenerSettings { limits, access })
                }
            };
            steps.listeners.push(next);
        }
        for (name, codec) in &turn.after.codecs {
            let Some(slot) = reloading.slots.named(name) else { continue };
            if slot.is_rolled_out() && turn.current.codecs.get(name) == Some(codec) {
                // The rollout is newer than what the configuration says.
                continue;
            }
            let record = slot.record(actor.clone(), "reload");
            match slot.prepare(from_config::source(name, codec, turn.directory), &turn.trust).await {
                Ok(replacement) => steps.replacements.push((slot.clone(), record, replacement)),
                Err(refused) => {
                    slot.audit_refused(record, &refused);
                    // A file that broke by itself, or that was rolled back, must not stand in the
                    // way of other changes, such as blocking an attacker.
                    if turn.current.codecs.get(name) != Some(codec) {
                        return Err(ReloadError::Codec { codec: name.clone(), source: refused });
                    }
                    steps.kept.push((name.clone(), Chain::of(&refused).to_string()));
                }
            }
        }
        // Connectors come last, because clients see their options at once.
        let server = self.state.config.get();
        let is_same = server.max_connections == steps.server.max_connections;
        for (listener, before) in turn.after.listeners.iter().zip(before) {
            let Some((before, listening)) = before.filter(|(before, _)| *before != listener || !is_same)
            else {
                continue;
            };
            let options = |listener, server| {
                let resolved = self.resolve(reloading, turn, listener)?;
                Ok::<_, StartError>(resolved.options(server, &reloading.common))
            };
            let had = options(before, &server)?;
            listening.update(options(listener, &steps.server)?).await?;
            steps.updated.push((listening, had));
        }
        Ok(())
    }

    /// Returns the settings for all listeners together. There are descriptors for other numbers of
    /// connections if listeners come or go.
    fn server_settings(
        &self,
        reloading: &Reloading,
        turn: &Turn<'_>,
        before: &[Option<(&ListenerConfig, Listening)>],
    ) -> Result<ServerConfig, StartError> {
        let (wanted, current) = (&turn.after.server, self.state.config.get());
        let stay = before.iter().flatten().count();
        let is_same = stay == turn.after.listeners.len() && stay == turn.current.listeners.len();
        let is_same = is_same && turn.current.services == turn.after.services;
        if is_same && turn.current.server == *wanted {
            return Ok(ServerConfig { max_connections: current.max_connections, ..wanted.clone() });
        }
        let configured = turn.after.listeners.iter().zip(before).map(|(listener, before)| match before {
            Some((_, listening)) => Ok(listening.descriptors),
            None => Ok(self.resolve(reloading, turn, listener)?.connector.descriptors()),
        });
        let mut descriptors = configured.collect::<Result<Vec<_>, StartError>>()?;
        let open = self.listeners.all();
        // Listeners that were added by code are in no configuration.
        let others = open.iter().filter(|listening| listening.configured.is_none());
        descriptors.extend(others.map(|listening| listening.descriptors));
        let connections = open.iter().map(Listening::connections).sum();
        let to_services = services::connections(&turn.after.services);
        let max = descriptors::limit_connections(
            wanted.max_connections,
            descriptors.into_iter(),
            connections,
            to_services,
        );
        Ok(ServerConfig { max_connections: max, ..wanted.clone() })
    }

    fn resolve(
        &self,
        reloading: &Reloading,
        turn: &Turn<'_>,
        listener: &ListenerConfig,
    ) -> Result<Resolved, StartError> {
        // A listener whose codec was taken out of the file keeps it until a restart.
        let codec = listener.codec.as_ref().and_then(|name| {
            let codec = turn.after.codecs.get(name).or_else(|| turn.current.codecs.get(name))?;
            Some(from_config::source(name, codec, turn.directory))
        });
        let listener = from_config::listener(listener, codec, turn.directory);
        listener.resolve(&self.state.connectors, &reloading.default_codecs)
    }

    /// Makes what was prepared. Returns the swaps, and the codecs that stay as they were.
    async fn make(
        &self,
        reloading: &mut Reloading,
        turn: &Turn<'_>,
        steps: Steps,
    ) -> (Vec<SwapReport>, Vec<(String, String)>) {
        let Steps { replacements, mut kept, listeners, server, services, updated: _, .. } = steps;
        #[cfg(feature = "control")]
        if let Some(clients) = steps.clients {
            clients.apply();
        }
        let configured = self.configured(turn.current);
        let changed = listeners.iter().any(|next| matches!(next, Next::Changed(..)));
        let distrusts = *reloading.slots.trust() != *turn.trust;
        reloading.slots.set_trust(Arc::clone(&turn.trust));
        // The settings come first: a client that they refuse goes before its session moves.
        let listeners: Vec<Listening> = listeners
            .into_iter()
            .map(|next| match next {
                Next::New(bound) => bound.open(false, &self.state, &self.stop, &self.tasks),
                Next::Same(listening) => listening,
                Next::Changed(listening, settings) => {
                    listening.context.settings.set(settings);
                    listening
                }
            })
            .collect();
        let stays = |one: &Listening| listeners.iter().any(|other| Arc::ptr_eq(&one.context, &other.context));
        for gone in configured.iter().flatten().filter(|listening| !stays(listening)) {
            gone.close(&reloading.common.certificates);
        }
        // Listeners that were added by code are in no configuration.
        let is_configured = |one: &Listening| {
            configured.iter().flatten().any(|other| Arc::ptr_eq(&one.context, &other.context))
        };
        let others = self.listeners.all().into_iter().filter(|listening| !is_configured(listening));
        let listeners: Vec<Listening> = others.chain(listeners).collect();
        self.set_server(server);
        self.state.access_log.set(turn.after.log.access);
        if let Some(services) = services {
            self.nodes.services().set(services);
        }
        if changed {
            self.state.sessions.wake_all();
        }

        let listed = self.slots.all();
        for slot in reloading.slots.all() {
            if !listed.iter().any(|other| other.is(slot)) {
                self.slots.add(slot, &self.stop, &self.tasks);
            }
        }
        let is_used = |slot: &Slot| listeners.iter().any(|listening| listening.context.slot.is(slot));
        for unused in listed.iter().filter(|slot| !is_used(slot)) {
            self.slots.retire(unused);
            reloading.slots.forget(unused);
        }
        self.listeners.set(listeners);

        let mut swaps = Vec::new();
        for (slot, record, replacement) in replacements {
            let replaced = slot.replace(replacement).await;
            slot.audit_reload(record, &replaced);
            match replaced {
                Ok(report) => swaps.extend(report),
                Err(error) => kept.push((slot.name().to_owned(), Chain::of(&error).to_string())),
            }
        }
        if distrusts {
            reloading.slots.all().for_each(|slot| slot.warn_if_untrusted(&turn.trust));
        }
        (swaps, kept)
    }

    /// Replaces the settings for all listeners together.
    fn set_server(&self, server: ServerConfig) {
        if *self.state.config.get() == server {
            return;
        }
        self.state.connections.set_max(server.max_connections);
        self.state.accept_rate.set(&accept_limits(&server), &self.state.time);
        self.state.config.set(server);
    }
}

/// Reads whose codecs a configuration trusts. The files of the keys may be on a slow disk.
async fn trust(config: &Config, directory: &Path) -> Result<Arc<Trust>, Problems> {
    let (config, directory) = (config.trust.clone(), directory.to_owned());
    let read =
        spawn_blocking(move || config.map_or_else(|| Ok(Trust::default()), |it| Trust::of(&it, &directory)));
    read.await.expect("reading does not panic").map(Arc::new)
}

/// Takes back what was prepared.
async fn undo(steps: Steps, certificates: &Certificates) {
    for (listening, options) in steps.updated.into_iter().rev() {
        if let Err(error) = listening.update(options).await {
            let error = Chain::of(&error).to_string();
            error!(url = listening.url, error, "a listener cannot go back to the options that it had");
        }
    }
    for next in steps.listeners {
        if let Next::New(bound) = next {
            bound.abandon(certificates);
        }
    }
}

fn urls(config: &Config) -> impl Iterator<Item = &str> {
    config.listeners.iter().map(|listener| &*listener.url)
}
