//! The metrics of codec slots and their generations.

use prometheus_client::registry::Unit;

use super::families::Families;
use crate::slot::{GenerationStatus, Role, Slot, SlotStatus, Step};

/// The labels of a generation: the name of its slot, and its number there.
const GENERATION: &[&str] = &["codec", "generation"];

/// A number of a slot.
type OfSlot = fn(&SlotStatus) -> u64;

/// A number of a generation.
type OfGeneration = fn(&GenerationStatus) -> u64;

/// Adds the metrics of all slots. `statuses` and `slots` may differ by a slot that has just come.
pub(super) fn add(families: &mut Families, statuses: &[SlotStatus], slots: &[Slot]) {
    add_slots(families, statuses);
    add_memory(families, slots);
    add_generations(families, statuses);
    add_steps(families, slots);
}

fn add_slots(families: &mut Families, statuses: &[SlotStatus]) {
    let gauges: [(_, _, OfSlot); 4] = [
        (
            "wireplug_codec_current_generation",
            "The number of the generation on which new sessions open. Each swap changes it.",
            |slot| slot.current,
        ),
        (
            "wireplug_codec_suspended",
            "1 while no session opens, because the codec failed too often, and otherwise 0.",
            |slot| slot.suspended.into(),
        ),
        (
            "wireplug_codec_refused_addresses",
            "Client addresses that are refused for a while, because the codec failed too often for them.",
            |slot| slot.refused_addresses as u64,
        ),
        (
            "wireplug_codec_over_cpu_budget",
            "1 while the codec is over its budget of CPU time (`limits.total-cpu`), and otherwise 0.",
            |slot| slot.cpu.is_over.into(),
        ),
    ];
    for (name, help, number) in gauges {
        let family = families.gauge(name, &["codec"], help);
        statuses.iter().for_each(|slot| {
            family.count(&[&slot.name], number(slot));
        });
    }
    let counters: [(_, _, OfSlot); 4] = [
        (
            "wireplug_codec_times_over_cpu_budget",
            "How often the codec went over its budget of CPU time.",
            |slot| slot.cpu.times_over,
        ),
        (
            "wireplug_codec_turns_delayed",
            "Turns of sessions that waited because the codec was over its budget of CPU time.",
            |slot| slot.cpu.delayed,
        ),
        (
            "wireplug_codec_sessions_over_cpu_budget",
            "How often a session went over its own budget of CPU time (`limits.session-cpu`).",
            |slot| slot.cpu.sessions_over,
        ),
        (
            "wireplug_codec_sessions_ended_over_cpu_budget",
            "Sessions that ended because they stayed over their own budget of CPU time.",
            |slot| slot.cpu.sessions_ended,
        ),
    ];
    for (name, help, number) in counters {
        let family = families.counter(name, &["codec"], help);
        statuses.iter().for_each(|slot| {
            family.count(&[&slot.name], number(slot));
        });
    }
    let delayed = families.counter_in(
        Unit::Seconds,
        "wireplug_codec_turns_delayed",
        &["codec"],
        "The sum of the times that these turns waited.",
    );
    statuses.iter().for_each(|slot| {
        delayed.set(&[&slot.name], slot.cpu.delayed_ms as f64 / 1e3);
    });
}

fn add_memory(families: &mut Families, slots: &[Slot]) {
    let memory = families.gauge_in(
        Unit::Bytes,
        "wireplug_codec_memory",
        &["codec", "account"],
        "Memory that is charged to a codec: `sandboxes` with the saved states of sessions that sleep, and `code`.",
    );
    for slot in slots {
        let [sandboxes, code] = slot.memory();
        memory.count(&[slot.name(), "sandboxes"], sandboxes as u64);
        memory.count(&[slot.name(), "code"], code as u64);
    }
    let limit = families.gauge_in(
        Unit::Bytes,
        "wireplug_codec_memory_limit",
        &["codec"],
        "The most memory that may be charged to a codec (`limits.total-memory`).",
    );
    slots.iter().for_each(|slot| {
        limit.count(&[slot.name()], slot.settings().limits.total_memory as u64);
    });
}

fn add_generations(families: &mut Families, statuses: &[SlotStatus]) {
    let numbers: Vec<_> = statuses
        .iter()
        .flat_map(|slot| slot.generations.iter().map(move |generation| (&slot.name, generation)))
        .map(|(slot, generation)| (slot.as_str(), generation.number.to_string(), generation))
        .collect();
    let info = families.info(
        "wireplug_generation",
        &["codec", "generation", "role", "name", "version", "signed_by"],
        "A generation of a codec that is held: its role, such as `current` or `canary`, the name and the version that \
         the codec gives itself, and the names of the keys that have signed it.",
    );
    for (slot, number, generation) in &numbers {
        let role = match generation.role {
            Role::Current => "current",
            Role::Shadow => "shadow",
            Role::Canary => "canary",
            Role::Previous => "previous",
            Role::Leaving => "leaving",
        };
        let signed_by = generation.signed_by.join(",");
        info.fact(&[slot, number, role, &generation.name, &generation.version, &signed_by]);
    }
    let gauges: [(_, _, OfGeneration); 2] = [
        ("wireplug_generation_sessions", "Sessions that are on the generation.", |generation| {
            generation.sessions as u64
        }),
        ("wireplug_generation_sessions_asleep", "Sessions that sleep, without a sandbox.", |generation| {
            generation.sleep.asleep
        }),
    ];
    for (name, help, number_of) in gauges {
        let family = families.gauge(name, GENERATION, help);
        for (slot, number, generation) in &numbers {
            family.count(&[slot, number], number_of(generation));
        }
    }
    let saved = families.gauge_in(
        Unit::Bytes,
        "wireplug_generation_saved",
        GENERATION,
        "The size of the saved states of the sessions that sleep.",
    );
    for (slot, number, generation) in &numbers {
        saved.count(&[slot, number], generation.sleep.saved_bytes);
    }
    let counters: [(_, _, OfGeneration); 6] = [
        ("wireplug_generation_sessions_opened", "Sessions that opened on the generation.", |generation| {
            generation.opened
        }),
        ("wireplug_generation_sessions_moved_in", "Sessions that moved here in a swap.", |generation| {
            generation.moved_in
        }),
        (
            "wireplug_generation_sandboxes_renewed",
            "How often a session got a new sandbox, because most of the memory of its old one was used up.",
            |generation| generation.renewed,
        ),
        ("wireplug_generation_packets_decoded", "Packets that the codec decoded.", |generation| {
            generation.packets_in
        }),
        ("wireplug_generation_packets_encoded", "Packets that the codec encoded.", |generation| {
            generation.packets_out
        }),
        (
            "wireplug_generation_shared_encodings",
            "Calls of the codec that encoded a push for all sessions of a class.",
            |generation| generation.shared,
        ),
    ];
    for (name, help, number_of) in counters {
        let family = families.counter(name, GENERATION, help);
        for (slot, number, generation) in &numbers {
            family.count(&[slot, number], number_of(generation));
        }
    }
    let faults = families.counter(
        "wireplug_generation_faults",
        &["codec", "generation", "kind"],
        "How often the codec failed, by kind, such as `trap`, `deadline` and `memory`.",
    );
    for (slot, number, generation) in &numbers {
        for (kind, count) in &generation.faults {
            faults.count(&[slot, number, kind], *count);
        }
    }
    let slept = families.counter(
        "wireplug_generation_sleeps",
        &["codec", "generation", "cause"],
        "How often a session fell asleep: `idle`, or `pressure` because another session needed its sandbox. `refused` \
         are the times that the codec refused, so that the session stayed awake.",
    );
    for (slot, number, generation) in &numbers {
        let sleep = &generation.sleep;
        for (cause, count) in
            [("idle", sleep.slept_idle), ("pressure", sleep.slept_pressure), ("refused", sleep.refused)]
        {
            slept.count(&[slot, number, cause], count);
        }
    }
    let woken = families.counter(
        "wireplug_generation_wakes",
        &["codec", "generation", "cause"],
        "How often a session was woken, by what it was woken for.",
    );
    for (slot, number, generation) in &numbers {
        let sleep = &generation.sleep;
        for (cause, count) in [
            ("packet", sleep.woken_packet),
            ("timer", sleep.woken_timer),
            ("message", sleep.woken_message),
            ("abandoned", sleep.woken_abandoned),
            ("swap", sleep.woken_swap),
            ("farewell", sleep.woken_farewell),
        ] {
            woken.count(&[slot, number, cause], count);
        }
    }
}

fn add_steps(families: &mut Families, slots: &[Slot]) {
    let times = families.times(
        "wireplug_codec_time",
        &["codec", "generation", "step"],
        "The times of a step in which the codec works: `decode` are the packets of one read, at most one batch, and \
         `encode` the messages that wait. A sample: each thread times one turn of a connection in a millisecond.",
    );
    for slot in slots {
        for generation in slot.generations() {
            let number = generation.number().to_string();
            for (name, step) in [("decode", Step::Decode), ("encode", Step::Encode)] {
                times.histogram(&[slot.name(), &number, name], generation.steps(step));
            }
        }
    }
}
