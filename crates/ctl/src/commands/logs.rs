//! `logs`: a guest's console. Cleaned unless the bytes themselves are wanted,
//! also when no terminal reads it: what goes to a file is shown by one later.

use super::follow::Console;
use crate::calls::Daemon;
use crate::cli::LogsArgs;
use crate::failure::Failure;
use crate::output::Output;

pub(super) async fn logs(
    daemon: &Daemon,
    args: &LogsArgs,
    output: &mut Output<'_>,
) -> Result<u8, Failure> {
    let mut console = Console::new(daemon, &args.guest, args.raw);
    if args.follow {
        console.follow_to_end(output).await?;
    } else {
        console.print(false, output).await?;
        let rest = console.finish();
        output.text(&rest)?;
    }
    Ok(0)
}
