//! `wireplug codec`: the codecs of a server at work.

mod control;
mod live;
mod show;

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// The codecs of a server, with their generations.
    List(live::List),
    /// Swap a codec for another version, under traffic.
    Swap(live::Swap),
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
        Command::List(args) => live::list(args).await,
        Command::Swap(args) => live::swap(args).await,
        Command::Try(args) => live::try_out(args).await,
        Command::Promote(args) => live::promote(args).await,
        Command::Rollback(args) => live::roll_back(args).await,
        Command::EndTrial(args) => live::end_trial(args).await,
    }
}
