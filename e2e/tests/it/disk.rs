//! The disk under the journal fails: what is not written down is not done, and what was done is not forgotten.

use crate::hostile::{POLICY, SESSIONS, Stage, program};
use anyhow::{Context, Result, bail};
use e2e::gateway::Setup;
use e2e::{Gateway, Server};
use serde_json::json;
use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use testkit::Client;
use testkit::client::{Answer, CallOptions, Error, Identity};

/// Room for a fresh journal, and soon full.
const DISK: &str = "3m";
/// Calls until a full disk is felt: the last page may hold a few more records.
const CALLS_MAX: usize = 64;
/// Until a journal writes again for which there is room.
const ROOM_WAIT: Duration = Duration::from_secs(60);
/// Documented in `docs/operating.md`.
const POISONED: i32 = 7;

/// The gateway in a mount namespace of its own, with its journal on a small disk that is gone with the process.
struct SmallDisk {
    stage: Stage,
    journal: PathBuf,
    _files: tempfile::TempDir,
}

impl SmallDisk {
    async fn set() -> Result<Option<Self>> {
        let Some(binary) = e2e::binary()? else { return Ok(None) };
        let files = tempfile::tempdir()?;
        let journal = files.path().join("journal");
        fs::create_dir(&journal)?;
        let mount = format!("mount -t tmpfs -o size={DISK} none \"$0\"");
        let probe =
            Command::new("unshare").args(["--map-root-user", "--mount", "sh", "-c", &mount]).arg(&journal).status();
        if !probe.is_ok_and(|status| status.success()) {
            e2e::skip("no file system can be mounted here: `unshare --map-root-user --mount` fails")?;
            return Ok(None);
        }
        let script = files.path().join("on-a-small-disk");
        let text = format!(
            "#!/bin/sh\nexec unshare --map-root-user --mount sh -c '{mount} && exec \"$@\"' {journal:?} {binary:?} \"$@\"\n"
        );
        fs::write(&script, text)?;
        fs::set_permissions(&script, Permissions::from_mode(0o755))?;
        let server = Server::start(program(), &[]).await?;
        let policy = format!("journal: {{ path: {journal:?} }}\n{}", POLICY.replace("{url}", &server.url));
        let gateway = Gateway::start_binary(&script, Setup { policy, ..Setup::default() }).await?;
        Ok(Some(Self { stage: Stage { gateway, server }, journal, _files: files }))
    }

    /// The small disk as seen from outside of its namespace.
    fn inside(&self, name: &str) -> Result<PathBuf> {
        let process = self.stage.gateway.process().context("it runs")?;
        Ok(Path::new("/proc").join(process.to_string()).join("root").join(self.journal.strip_prefix("/")?).join(name))
    }

    fn fill(&self) -> Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(self.inside("filler")?)?;
        for size in [64 * 1024, 4096, 512, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        Ok(())
    }
}

async fn append(client: &Client, text: &str) -> Result<Answer, Error> {
    client.call("append", json!({ "text": text }), &CallOptions::default()).await
}

async fn reads(client: &Client) -> Result<()> {
    let answer = client.call("list_entries", json!({}), &CallOptions::default()).await?;
    if answer.is_error { bail!("a read was refused: {answer:?}") } else { Ok(()) }
}

//= G4
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_mutations_reads_go_on_and_room_brings_them_back() -> Result<()> {
    let Some(disk) = SmallDisk::set().await? else { return Ok(()) };
    let stage = &disk.stage;
    let client = stage.client(SESSIONS).await?;
    assert!(!append(&client, "before").await?.is_error);
    disk.fill()?;
    let (mut refused, mut may_be_done) = (0, 0);
    for call in 0..CALLS_MAX {
        let text = format!("full-{call}");
        let answer = append(&client, &text).await?;
        match answer.guard_word("executed") {
            Some("no") => {
                assert_eq!(answer.guard_word("code"), Some("journal_unavailable"), "{answer:?}");
                assert!(answer.is_error, "{answer:?}");
                assert_eq!(stage.effects(Some(&text)).await?, 0, "{answer:?}");
                refused += 1;
            }
            _ => may_be_done += 1,
        }
        reads(&client).await?;
        if refused == 3 {
            break;
        }
    }
    assert_eq!(refused, 3, "a full disk is felt: {may_be_done} calls went on\n{}", stage.gateway.log());
    fs::remove_file(disk.inside("filler")?)?;
    let began = Instant::now();
    loop {
        let text = format!("after-{}", began.elapsed().as_micros());
        if !append(&client, &text).await?.is_error {
            assert_eq!(stage.effects(Some(&text)).await?, 1);
            break;
        }
        assert!(began.elapsed() < ROOM_WAIT, "there is room again:\n{}", stage.gateway.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stage.is_well().await
}

/// As a disk that dies does it: from the moment on that the file exists, nothing can be made durable.
const SHIM: &str = r#"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static int fails(void) {
    const char *file = getenv("FSYNC_FAILS_WHILE");
    if (file && access(file, F_OK) == 0) { errno = EIO; return -1; }
    return 0;
}

int fsync(int fd) { (void)fd; return fails(); }
int fdatasync(int fd) { (void)fd; return fails(); }
"#;

//= G4
#[tokio::test(flavor = "multi_thread")]
async fn an_fsync_that_fails_ends_the_process_with_its_code_and_a_start_recovers_from_the_disk() -> Result<()> {
    if e2e::binary()?.is_none() {
        return Ok(());
    }
    let files = tempfile::tempdir()?;
    let (source, shim, flag) = (files.path().join("shim.c"), files.path().join("shim.so"), files.path().join("fails"));
    fs::write(&source, SHIM)?;
    if !Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&shim).arg(&source).status()?.success() {
        bail!("compile the shim that makes fsync fail");
    }
    let server = Server::start(program(), &[]).await?;
    let environment = [("LD_PRELOAD", &shim), ("FSYNC_FAILS_WHILE", &flag)];
    let environment = environment.map(|(name, path)| (name.to_owned(), path.display().to_string())).to_vec();
    let setup = Setup { policy: POLICY.replace("{url}", &server.url), environment };
    let Some(gateway) = Gateway::start_with(setup).await? else { return Ok(()) };
    let mut stage = Stage { gateway, server };
    let client = stage.client(SESSIONS).await?;
    assert!(!append(&client, "before").await?.is_error);
    fs::write(&flag, "")?;
    // Refused, or cut off because the process has ended; but never told done, and never done.
    if let Ok(answer) = append(&client, "lost").await {
        assert_eq!(answer.guard_word("executed"), Some("no"), "{answer:?}");
        assert_eq!(answer.guard_word("code"), Some("journal_unavailable"), "{answer:?}");
    }
    let status = stage.gateway.wait().await?;
    assert_eq!(status.code(), Some(POISONED), "{status}\n{}", stage.gateway.log());
    let log = stage.gateway.log();
    assert!(log.contains("make the journal durable") && log.contains("recover from disk"), "says why: {log}");
    assert_eq!(stage.effects(Some("lost")).await?, 0);
    fs::remove_file(&flag)?;
    stage.gateway.restart().await?;
    assert_eq!(stage.effects(Some("before")).await?, 1);
    let client = Client::http(&stage.gateway.url_of("ledger"), Identity::speaking(SESSIONS)).await?;
    // Its intent may have reached the disk all the same: then it is unknown to the new process, and never sent.
    let again = append(&client, "lost").await?;
    let is_unknown = again.guard_word("executed") == Some("unknown");
    assert!(!again.is_error || is_unknown, "{again:?}");
    assert_eq!(stage.effects(Some("lost")).await?, usize::from(!is_unknown));
    stage.is_well().await
}
