//! What is done from time to time: scheduled backups, and forgetting what is old.

use std::time::Duration;

use dataplane::config::Backup;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Ctx, audit, auth};
use crate::store::{Store, StoreError, now_ms};

/// How often old rows are looked for, and whether a backup is due.
const EVERY: Duration = Duration::from_secs(60);
/// Looks between two times of forgetting.
const LOOKS_PER_PRUNING: u64 = 60;

/// Keeps the store up until the process ends.
pub(crate) async fn keep_up(ctx: Ctx) {
    let mut look = interval(EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looks = 0_u64;
    let mut failed_at: Option<Instant> = None;
    loop {
        look.tick().await;
        let backup = &ctx.config().api.backup;
        // One that failed is tried again as late as the next would be, or an hour later.
        let patience = backup.every.0.min(Duration::from_secs(3_600));
        if failed_at.is_none_or(|at| at.elapsed() >= patience) {
            match back_up(ctx.store(), backup, now_ms()).await {
                Ok(None) => failed_at = None,
                Ok(Some(name)) => {
                    failed_at = None;
                    tracing::info!(event = "backup", name, "the store was backed up");
                }
                Err(error) => {
                    failed_at = Some(Instant::now());
                    tracing::error!(event = "backup_failed", reason = %error, "the store could not be backed up");
                }
            }
        }
        if looks.is_multiple_of(LOOKS_PER_PRUNING) {
            let pruned = async {
                audit::prune(ctx.store()).await?;
                auth::prune(ctx.store()).await
            };
            if let Err(error) = pruned.await {
                tracing::warn!(event = "prune_failed", reason = %error, "old rows could not be removed");
            }
        }
        looks += 1;
    }
}

/// Takes a backup if one is due; returns its name.
async fn back_up(store: &Store, backup: &Backup, now_ms: i64) -> Result<Option<String>, StoreError> {
    if backup.every.0.is_zero() || store.folder().is_none() {
        return Ok(None);
    }
    let newest = store.backups().await?.first().map_or(i64::MIN, |newest| newest.created_ms);
    let every_ms = i64::try_from(backup.every.as_millis()).unwrap_or(i64::MAX);
    if newest > now_ms.saturating_sub(every_ms) {
        return Ok(None);
    }
    // Room first: the bound on backups must not stop the schedule.
    store.keep_backups(usize::from(backup.keep)).await?;
    let taken = store.backup().await?;
    store.keep_backups(usize::from(backup.keep)).await?;
    Ok(Some(taken.name))
}

#[cfg(test)]
mod tests {
    use dataplane::config::Time;

    use super::*;

    #[test]
    fn a_backup_is_taken_when_it_is_due_and_old_ones_go() {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = Store::open(folder.path());
            let plan = Backup { every: Time::from_secs(3_600), keep: 2 };
            let now = now_ms();
            assert!(back_up(&store, &plan, now).await.unwrap().is_some());
            assert_eq!(back_up(&store, &plan, now + 3_000_000).await, Ok(None));
            for hours in 2..5 {
                assert!(back_up(&store, &plan, now + hours * 3_601_000).await.unwrap().is_some());
            }
            assert_eq!(store.backups().await.unwrap().len(), 2);
            let none = Backup { every: Time::from_secs(0), keep: 2 };
            assert_eq!(back_up(&store, &none, i64::MAX).await, Ok(None));
        });
    }
}
