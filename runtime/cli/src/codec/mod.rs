//! `wireplug codec`: the commands for authors of codecs, and those for the codecs of a running
//! server.

mod bench;
mod build;
mod check;
mod inspect;
mod keygen;
mod live;
mod load;
mod new;
mod registry;
mod show;
mod sign;
mod signers;
mod test;
mod verify;

use std::path::Path;

use anyhow::Context as _;

pub(super) use self::live::parse_share;

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Make the project of a new codec.
    New(new::Args),
    /// Build a codec's project: NAME.wasm, in its folder. Runs programs of the project, such as
    /// build scripts, and asks before.
    Build(build::Args),
    /// Tell what a component is and what it needs; also of one that would be refused.
    Inspect(inspect::Args),
    /// Make a pair of keys that sign codecs: a private key in FILE, and the public key in FILE.pub.
    Keygen(keygen::Args),
    /// Sign a component. The signature is in the file: docs/trust.md tells how servers check it.
    Sign(sign::Args),
    /// Check whether one of some keys has signed a component as it is.
    Verify(verify::Args),
    /// Replay a codec's test vectors: docs/vectors.md tells how they are written.
    Test(test::Args),
    /// Check what every codec promises, with inputs that nobody wrote: docs/check.md tells what is
    /// checked.
    Check(check::Args),
    /// Measure what a codec costs, beside one that does nothing: docs/bench.md tells how to read
    /// it.
    Bench(bench::Args),
    /// Push a component to a registry or an object store of NATS, and print the reference to pin.
    Push(registry::Push),
    /// Pull a component from a registry or an object store of NATS.
    Pull(registry::Pull),
    /// The codecs of a server at work, with their generations; or the tags of a repository, or the
    /// objects in a bucket.
    List(live::List),
    /// Swap a codec for another version, under traffic.
    Swap(live::Swap),
    /// Read a codec again from where the configuration says, and swap if it has changed.
    Reload(live::Named),
    /// Try another version on a share of the sessions.
    Try(live::Try),
    /// Make the version that is on trial the current one.
    Promote(live::Promote),
    /// Go back to the version before the current one.
    Rollback(live::Named),
    /// End the trial of a version.
    EndTrial(live::Named),
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::New(args) => new::run(args),
        Command::Build(args) => build::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Keygen(args) => keygen::run(&args),
        Command::Sign(args) => sign::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Test(args) => test::run(args),
        Command::Check(args) => check::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Push(args) => registry::push(args).await,
        Command::Pull(args) => registry::pull(args).await,
        Command::List(args) => live::list(args).await,
        Command::Swap(args) => live::swap(args).await,
        Command::Reload(args) => live::reload(args).await,
        Command::Try(args) => live::try_out(args).await,
        Command::Promote(args) => live::promote(args).await,
        Command::Rollback(args) => live::roll_back(args).await,
        Command::EndTrial(args) => live::end_trial(args).await,
    }
}

/// Reads the bytes of a component from a file.
fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("cannot read the codec {}", file.display()))
}
