//! Named points at which a test build ends the process as a crash would.
//!
//! `COFFERDAM_FAILPOINT=name` aborts at the first passage, `name:3` at the third. Without the feature `failpoints`
//! nothing of this is compiled.

#[cfg(feature = "failpoints")]
pub(crate) fn hit(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static CHOSEN: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);

    let chosen = CHOSEN.get_or_init(|| {
        let text = std::env::var("COFFERDAM_FAILPOINT").ok()?;
        let (name, nth) = text.split_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), nth.parse().unwrap_or(1)))
    });
    if let Some((chosen, nth)) = chosen
        && chosen == name
        && PASSED.fetch_add(1, Ordering::SeqCst) + 1 == *nth
    {
        std::process::abort();
    }
}

#[cfg(not(feature = "failpoints"))]
pub(crate) const fn hit(_name: &str) {}
