//! Formats answers of the control API as text for people.

use std::fmt::Write as _;

use wireplug::admin::Candidate;
use wireplug::codec::CpuStatus;
use wireplug::slot::{GenerationStatus, RemoteStatus, Role, SleepStatus, SlotStatus, SwapReport};

use crate::status::ago;
use crate::table::table;

/// The number of digits that are shown of a digest: enough for people to recognize it.
const DIGITS: usize = 12;

const HEAD: [&str; 8] =
    ["CODEC", "GENERATION", "ROLE", "VERSION", "SHA-256", "SIGNED BY", "SESSIONS", "FAULTS"];

/// Formats a table of all generations, and below it notes on their slots, such as suspensions.
pub(super) fn slots(slots: &[SlotStatus]) -> String {
    let mut rows = vec![HEAD.map(str::to_owned)];
    for slot in slots {
        rows.extend(slot.generations.iter().map(|generation| row(&slot.name, generation)));
    }
    table(&rows) + &slots.iter().map(notes).collect::<String>()
}

fn row(slot: &str, generation: &GenerationStatus) -> [String; 8] {
    let GenerationStatus { number, role, name, version, sha256, signed_by, sessions, faults, .. } =
        generation;
    let role = match role {
        Role::Current => "current",
        Role::Shadow => "shadow",
        Role::Canary => "canary",
        Role::Previous => "previous",
        Role::Leaving => "leaving",
    };
    let causes: Vec<_> = faults.iter().map(|(cause, count)| format!("{count} {cause}")).collect();
    [
        slot.to_owned(),
        number.to_string(),
        role.to_owned(),
        format!("{name} {version}"),
        sha256.map_or_else(|| "native".to_owned(), |digest| digest.to_string()[..DIGITS].to_owned()),
        if signed_by.is_empty() { "-".to_owned() } else { signed_by.join(",") },
        sessions.to_string(),
        if causes.is_empty() { "0".to_owned() } else { causes.join(", ") },
    ]
}

fn notes(slot: &SlotStatus) -> String {
    let SlotStatus { name, suspended, refused_addresses, cpu, generations, shadow, rolled_back, .. } = slot;
    let mut text = String::new();
    // Writing to a string cannot fail.
    if *suspended {
        let _ = writeln!(text, "\n{name}: it fails so often that no session opens for a while");
    }
    if *refused_addresses > 0 {
        let addresses = if *refused_addresses == 1 { "address is" } else { "addresses are" };
        let _ = writeln!(
            text,
            "\n{name}: {refused_addresses} client {addresses} refused for a while: the codec failed too often for them"
        );
    }
    text += &remote_notes(slot);
    text += &cpu_notes(name, cpu);
    for GenerationStatus { number, renewed, .. } in generations.iter().filter(|it| it.renewed > 0) {
        let _ = writeln!(
            text,
            "\n{name}: in generation {number} a session used up its sandbox's memory {}, and went on in a new one",
            many(*renewed, "time"),
        );
    }
    for generation in generations {
        text += &sleep_notes(name, generation.number, &generation.sleep);
    }
    for digest in rolled_back {
        let _ = writeln!(text, "\n{name}: {digest} was rolled back, and is taken again only with --force");
    }
    if let Some(compared) = shadow {
        let _ = writeln!(
            text,
            "\n{name}: the shadow has compared {}, and {} differ; {} not mirrored",
            many(compared.compared, "answer"),
            compared.differences,
            many(compared.not_mirrored, "session"),
        );
        for difference in &compared.first {
            let _ = writeln!(text, "  {} {}", difference.call, difference.input);
            let _ = writeln!(text, "    current    {}", difference.current);
            let _ = writeln!(text, "    candidate  {}", difference.candidate);
        }
    }
    text
}

/// Formats where the generations of a codec in a registry came from, and whether it can be fetched.
fn remote_notes(SlotStatus { name, generations, remote, .. }: &SlotStatus) -> String {
    let mut text = String::new();
    for GenerationStatus { number, origin, from_cache, .. } in generations {
        if *from_cache || remote.is_some() {
            let _ = writeln!(text, "\n{name}: generation {number} is {origin}");
        }
    }
    if let Some(RemoteStatus { reference, failing_since: Some(since), problem, .. }) = remote {
        let problem = problem.as_deref().unwrap_or_default();
        let _ = writeln!(text, "\n{name}: {reference} cannot be fetched for {}: {problem}", ago(*since));
    }
    text
}

fn sleep_notes(name: &str, number: u64, sleep: &SleepStatus) -> String {
    let SleepStatus { asleep, saved_bytes, slept_idle, slept_pressure, refused, .. } = sleep;
    let mut text = String::new();
    if slept_idle + slept_pressure > 0 {
        let woken = [
            (sleep.woken_packet, "packet"),
            (sleep.woken_timer, "timer"),
            (sleep.woken_message, "message"),
            (sleep.woken_abandoned, "abandoned request"),
            (sleep.woken_swap, "swap"),
            (sleep.woken_farewell, "farewell"),
        ];
        let causes = woken.iter().filter(|(count, _)| *count > 0).map(|(count, cause)| many(*count, cause));
        let causes = causes.collect::<Vec<_>>().join(", ");
        let _ = writeln!(
            text,
            "\n{name}: in generation {number} {} asleep, with {saved_bytes} bytes of saved state; sessions fell asleep \
             {} because they were idle and {} because others needed their place (server.max-awake), and were woken \
             by {}",
            many(*asleep, "session"),
            many(*slept_idle, "time"),
            many(*slept_pressure, "time"),
            if causes.is_empty() { "nothing" } else { &causes },
        );
    }
    if *refused > 0 {
        let _ = writeln!(
            text,
            "\n{name}: in generation {number} the codec refused {} to save an idle session, which stayed awake",
            many(*refused, "time"),
        );
    }
    text
}

fn cpu_notes(name: &str, cpu: &CpuStatus) -> String {
    let CpuStatus { is_over, times_over, delayed, delayed_ms, sessions_over, sessions_ended } = cpu;
    let mut text = String::new();
    if *times_over > 0 {
        let now = if *is_over { ", and is over it now" } else { "" };
        let _ = writeln!(
            text,
            "\n{name}: it went over its CPU budget (limits.total-cpu) {}{now}; its sessions waited for {}, {delayed_ms} \
             ms in all",
            many(*times_over, "time"),
            many(*delayed, "turn"),
        );
    }
    if *sessions_over > 0 {
        let _ = writeln!(
            text,
            "\n{name}: sessions went over their CPU budget (limits.session-cpu) {}; {} ended for it",
            many(*sessions_over, "time"),
            many(*sessions_ended, "session"),
        );
    }
    text
}

pub(super) fn swap(report: &SwapReport) -> String {
    let SwapReport {
        slot, from, to, to_signed_by, moved, staying, reasons, longest_move_us, took_ms, ..
    } = report;
    let mut text = format!("{slot}: generation {from} -> {to}, in {took_ms} ms\n");
    if !to_signed_by.is_empty() {
        text += &format!("  signed by {}\n", to_signed_by.join(", "));
    }
    text += &format!("  {} moved", many(*moved, "session"));
    if *moved > 0 {
        text += &format!("; the longest stood still for {} ms", *longest_move_us as f64 / 1000.0);
    }
    text += &format!("\n  {} on older generations, until they end or drain\n", many(*staying, "session"));
    for (reason, count) in reasons {
        text += &format!("  {} could not move: {reason}\n", many(*count, "session"));
    }
    text + "  until the server is started anew: then its configuration says again which version serves\n"
}

pub(super) fn candidate(Candidate { slot, generation }: &Candidate, trial: &str, share: f64) -> String {
    let percent = share * 100.0;
    format!(
        "{slot}: generation {generation} is on trial as a {trial}, with {percent} % of the sessions
`wireplug codec list` tells how it does; `promote` makes it the current one, `end-trial` gives it up"
    )
}

pub(super) fn trial_ended(Candidate { slot, generation }: &Candidate) -> String {
    format!("{slot}: the trial of generation {generation} was ended")
}

fn many(count: u64, what: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {what}{s}")
}
