//! A throwaway Postgres cluster from the installed binaries: one directory, one port, gone when it is dropped.
//!
//! The server ends with the process that started it, however that ends: a shell between the two waits for the end of a
//! pipe. As root it runs as another user, because Postgres refuses to be root.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to come up on a loaded machine.
const READY_WAIT: Duration = Duration::from_secs(60);
const ASK_EVERY: Duration = Duration::from_millis(20);
/// `nobody`, everywhere.
const OTHER_USER: u32 = 65_534;
/// Ports that others took in between.
const PORTS_TRIED: usize = 5;

/// A running server, or one that was stopped.
pub struct Cluster {
    directory: PathBuf,
    port: u16,
    binaries: PathBuf,
    guard: Option<Child>,
}

impl Cluster {
    /// Starts one with these lines added to its configuration. `None`: Postgres is not installed here.
    ///
    /// # Errors
    /// It is installed and does not start.
    pub fn start(settings: &[&str]) -> io::Result<Option<Self>> {
        let Some(binaries) = binaries() else { return Ok(None) };
        let cluster = Self::bare(binaries)?;
        let data = cluster.data();
        let made = cluster
            .command("initdb")
            .args(["--no-sync", "--auth=trust", "--username=cofferdam", "--encoding=UTF8", "--no-locale", "-D"])
            .arg(&data)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .output()?;
        if !made.status.success() {
            return Err(io::Error::other(format!("initdb: {}", String::from_utf8_lossy(&made.stderr))));
        }
        cluster.begin(settings).map(Some)
    }

    /// A standby of this one, under its name for `synchronous_standby_names`.
    ///
    /// # Errors
    /// It does not start.
    pub fn standby(&self, name: &str) -> io::Result<Self> {
        let standby = Self::bare(self.binaries.clone())?;
        let copied = standby
            .command("pg_basebackup")
            .args(["--checkpoint=fast", "--no-sync", "--wal-method=stream", "--write-recovery-conf", "-D"])
            .arg(standby.data())
            .arg("-d")
            .arg(format!("host=127.0.0.1 port={} user=cofferdam application_name={name}", self.port))
            .stderr(Stdio::piped())
            .output()?;
        if !copied.status.success() {
            return Err(io::Error::other(format!("pg_basebackup: {}", String::from_utf8_lossy(&copied.stderr))));
        }
        let conninfo =
            format!("primary_conninfo = 'host=127.0.0.1 port={} user=cofferdam application_name={name}'", self.port);
        standby.begin(&[&conninfo, "synchronous_standby_names = ''"])
    }

    /// The directory of a cluster that is not there yet.
    fn bare(binaries: PathBuf) -> io::Result<Self> {
        let unique = format!("cofferdam-pg-{}-{}", std::process::id(), unique());
        let directory = std::env::temp_dir().join(unique);
        fs::create_dir(&directory)?;
        if is_root() {
            chown(&directory, Some(OTHER_USER), Some(OTHER_USER))?;
        }
        Ok(Self { directory, port: 0, binaries, guard: None })
    }

    fn begin(mut self, settings: &[&str]) -> io::Result<Self> {
        let mut text = fs::read_to_string(self.data().join("postgresql.conf"))?;
        text += "\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\nshared_buffers = 32MB\n\
                 max_connections = 100\nmax_wal_senders = 4\nautovacuum = off\nlogging_collector = off\n";
        settings.iter().for_each(|line| text += &format!("{line}\n"));
        fs::write(self.data().join("postgresql.conf"), text)?;
        for _ in 0..PORTS_TRIED {
            self.port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            match self.resume() {
                Err(error) if error.kind() == ErrorKind::AddrInUse => {}
                done => return done.map(|()| self),
            }
        }
        Err(io::Error::other("find a free port for Postgres"))
    }

    /// Starts it again on the same directory and port.
    ///
    /// # Errors
    /// It does not come up.
    pub fn resume(&mut self) -> io::Result<()> {
        let log = fs::File::create(self.directory.join("log"))?;
        // `wait` ends when the server does, `read` when this process does.
        let script = r#""$0" -D "$1" -p "$2" & pid=$!; (read -r _; kill -QUIT $pid) <&3 & wait $pid; kill $!"#;
        let mut command = self.user(Command::new("sh"));
        command.arg("-c").arg(format!("exec 3<&0 </dev/null; {script}"));
        command.arg(self.binaries.join("postgres")).arg(self.data()).arg(self.port.to_string());
        let mut guard =
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log).current_dir(&self.directory).spawn()?;
        let began = Instant::now();
        loop {
            if guard.try_wait()?.is_some() {
                let log = self.log();
                let taken = log.contains("Address already in use");
                let kind = if taken { ErrorKind::AddrInUse } else { ErrorKind::Other };
                return Err(io::Error::new(kind, format!("Postgres ended: {log}")));
            }
            if self.is_ready() {
                self.guard = Some(guard);
                return Ok(());
            }
            if began.elapsed() > READY_WAIT {
                guard.kill()?;
                return Err(io::Error::other(format!("Postgres is not ready after {READY_WAIT:?}: {}", self.log())));
            }
            std::thread::sleep(ASK_EVERY);
        }
    }

    /// The postmaster writes its state into a file once it takes connections.
    fn is_ready(&self) -> bool {
        let state = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        let ready = matches!(state.lines().nth(7).map(str::trim), Some("ready" | "standby"));
        ready && TcpStream::connect(("127.0.0.1", self.port)).is_ok()
    }

    /// Ends it at once, as a loss of power would.
    ///
    /// # Errors
    /// It cannot be signalled.
    pub fn kill(&mut self) -> io::Result<()> {
        let processes = self.processes();
        let names: Vec<String> = processes.iter().map(u32::to_string).collect();
        // Its children end with it.
        if !names.is_empty() {
            Command::new("kill").arg("-9").args(&names).stderr(Stdio::null()).status()?;
        }
        if let Some(mut guard) = self.guard.take() {
            guard.wait()?;
        }
        fs::remove_file(self.data().join("postmaster.pid")).or_else(|error| match error.kind() {
            ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })
    }

    /// Makes a standby the primary.
    ///
    /// # Errors
    /// It refuses.
    pub fn promote(&self) -> io::Result<()> {
        let done = self.command("pg_ctl").args(["promote", "-w", "-t", "60", "-D"]).arg(self.data()).output()?;
        if done.status.success() {
            return Ok(());
        }
        Err(io::Error::other(format!("pg_ctl promote: {}", String::from_utf8_lossy(&done.stderr))))
    }

    fn postmaster(&self) -> Option<u32> {
        fs::read_to_string(self.data().join("postmaster.pid")).ok()?.lines().next()?.trim().parse().ok()
    }

    /// The postmaster and its children.
    fn processes(&self) -> Vec<u32> {
        let Some(postmaster) = self.postmaster() else { return Vec::new() };
        let parent = |pid: u32| -> Option<u32> {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
        };
        let all = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        std::iter::once(postmaster).chain(pids.filter(|pid| parent(*pid) == Some(postmaster))).collect()
    }

    /// `postgres://…` of a database in it.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://cofferdam@127.0.0.1:{}/{database}", self.port)
    }

    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// What the server wrote.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn command(&self, name: &str) -> Command {
        let mut command = self.user(Command::new(self.binaries.join(name)));
        command.stdin(Stdio::null()).current_dir(&self.directory);
        command
    }

    fn user(&self, mut command: Command) -> Command {
        if is_root() {
            command.uid(OTHER_USER).gid(OTHER_USER);
        }
        command.env("LC_ALL", "C").env("HOME", &self.directory);
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Whoever drops it is done with it; what cannot be removed lies in the temporary directory.
        drop(self.kill());
        drop(fs::remove_dir_all(&self.directory));
    }
}

/// Where `postgres` and `initdb` are.
fn binaries() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has_both = |directory: &Path| ["postgres", "initdb"].iter().all(|name| directory.join(name).is_file());
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = debian.map(|version| version.path().join("bin"));
    let found = std::env::split_paths(&path).chain(debian).find(|directory| has_both(directory))?;
    // What lies in PATH may be a link; the other programs are beside the real one.
    fs::canonicalize(found.join("postgres")).ok()?.parent().map(Path::to_owned)
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}

fn unique() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
