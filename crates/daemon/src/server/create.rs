//! `CreateGuest`, dry runs included.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tonic::Status;
use xenios_api::v1;

use super::error::{CallError, bad_field};
use super::read::blocking;
use crate::host::Host;
use crate::identity::Caller;
use crate::wire;

/// Tells the blocking thread that nobody waits for it any more.
struct Abandon(Arc<AtomicBool>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub(super) async fn create(
    host: &Arc<Host>,
    caller: Caller,
    request: v1::CreateGuestRequest,
) -> Result<v1::CreateGuestResponse, Status> {
    let spec = request
        .spec
        .ok_or_else(|| bad_field("spec", "is missing: say what shall run"))?;
    let draft = wire::draft(spec).map_err(CallError::from)?;
    // They go with the work, not with the call: a caller who gives up has not stopped
    // the work, and could have any amount of it done.
    let own = host.shares.of(&caller.tenant).decision().await;
    let permit = Arc::clone(&host.decisions).acquire_owned().await;
    let abandon = Abandon(Arc::new(AtomicBool::new(false)));
    let abandoned = Arc::clone(&abandon.0);
    let deciding = Arc::clone(host);
    let created = blocking(move || {
        let _held = (own, permit);
        if request.dry_run {
            deciding.plan(caller, draft)
        } else {
            deciding.create(caller, draft, &abandoned)
        }
    })
    .await?;
    let guest = match &created.guest {
        Some(guest) => wire::guest(guest, &host.name),
        None => wire::would_be(created.decision.draft, &host.name),
    };
    Ok(v1::CreateGuestResponse {
        guest: Some(guest),
        changes: wire::changes(created.decision.changes),
        warnings: wire::warnings(created.decision.warnings),
        refusals: wire::refusals(created.refusals),
    })
}
