//! Prints a console as it grows, and comes back after a lost connection.

use std::time::Duration;

use xenios_api::v1;

use crate::calls::{Daemon, phase_of};
use crate::clean::Cleaner;
use crate::cli::Format;
use crate::failure::{Failure, Kind};
use crate::output::Output;
use crate::view::json;

/// How often a daemon that went away is tried again.
pub(super) const ATTEMPTS: u32 = 60;
pub(super) const RETRY_DELAY: Duration = Duration::from_millis(500);

/// One guest's console, and how much of it was printed.
pub(super) struct Console<'a> {
    daemon: &'a Daemon,
    guest: &'a str,
    offset: u64,
    raw: bool,
    cleaner: Cleaner,
}

impl<'a> Console<'a> {
    pub(super) fn new(daemon: &'a Daemon, guest: &'a str, raw: bool) -> Self {
        Self {
            daemon,
            guest,
            offset: 0,
            raw,
            cleaner: Cleaner::default(),
        }
    }

    /// Prints what there is; with `follow` also what comes, until the stream ends.
    pub(super) async fn print(
        &mut self,
        follow: bool,
        output: &mut Output<'_>,
    ) -> Result<(), Failure> {
        let mut stream = self.daemon.console(self.guest, self.offset, follow).await?;
        while let Some(piece) = stream.message().await? {
            let length = u64::try_from(piece.data.len()).expect("a message is small");
            self.offset = piece.offset.saturating_add(length);
            self.print_piece(&piece, output)?;
        }
        Ok(())
    }

    fn print_piece(
        &mut self,
        piece: &v1::GetConsoleLogResponse,
        output: &mut Output<'_>,
    ) -> Result<(), Failure> {
        if output.format == Format::Json {
            return output.json(&json::Event::console(piece.offset, &piece.data));
        }
        if self.raw {
            return output.bytes(&piece.data);
        }
        let text = self.cleaner.push(&piece.data);
        output.text(&text)
    }

    /// Follows the console until the guest has ended, and answers the guest.
    pub(super) async fn follow_to_end(
        &mut self,
        output: &mut Output<'_>,
    ) -> Result<v1::Guest, Failure> {
        let mut failed = 0;
        loop {
            let before = self.offset;
            match self.round(output).await {
                Ok(Some(guest)) => {
                    let rest = self.finish();
                    output.text(&rest)?;
                    return Ok(guest);
                }
                Ok(None) => failed = 0,
                Err(failure) if failure.is(Kind::Unavailable) && failed < ATTEMPTS => {
                    if failed == 0 {
                        output.remark("the connection was lost; trying again");
                    }
                    failed = if self.offset > before { 1 } else { failed + 1 };
                }
                Err(failure) => return Err(failure),
            }
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }

    /// One stream, and whether the guest has ended after it.
    async fn round(&mut self, output: &mut Output<'_>) -> Result<Option<v1::Guest>, Failure> {
        self.print(true, output).await?;
        let guest = self.daemon.get(self.guest).await?;
        if !has_ended(&guest) {
            return Ok(None);
        }
        // A stream also ends when the daemon stops: what came after it is
        // printed now.
        self.print(false, output).await?;
        Ok(Some(guest))
    }

    /// What the cleaner held back.
    pub(super) fn finish(&mut self) -> String {
        self.cleaner.finish()
    }
}

/// Nothing more will happen to the guest by itself.
pub(super) fn has_ended(guest: &v1::Guest) -> bool {
    match phase_of(guest) {
        v1::Phase::Exited | v1::Phase::Failed | v1::Phase::Deleting | v1::Phase::Deleted => true,
        v1::Phase::Unspecified
        | v1::Phase::Preparing
        | v1::Phase::Starting
        | v1::Phase::Running => false,
    }
}
