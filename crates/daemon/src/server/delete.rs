//! `DeleteGuest`: marks, answers at once; the guest's worker does the rest.

use std::sync::Arc;

use tonic::Status;
use xenios_api::v1;
use xenios_core::port::GuestCatalog;

use super::read::{blocking, named, resolve};
use crate::host::Host;
use crate::identity::Caller;
use crate::wire;

pub(super) async fn delete(
    host: &Arc<Host>,
    caller: Caller,
    request: v1::DeleteGuestRequest,
) -> Result<v1::Guest, Status> {
    named(&request.guest)?;
    let deleting = Arc::clone(host);
    let guest = blocking(move || {
        let found = resolve(&deleting, &caller, &request.guest)?;
        let guest = deleting.store.delete(&caller.tenant, found.id)?;
        tracing::info!(guest = %guest.id, tenant = %guest.tenant, "deletion asked for");
        deleting.supervisor.wake(guest.id);
        Ok(guest)
    })
    .await?;
    Ok(wire::guest(&guest, &host.name))
}
