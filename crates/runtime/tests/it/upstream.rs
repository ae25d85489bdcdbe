//! An upstream in memory: accounts that are paid, and what its next answers do wrong.

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use runtime::{Attempt, Link, Reader, TaskAsk};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use vocab::{Failure, FailureKind, Name};

/// What happens to the next call that is sent.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Done, and the answer is lost.
    Lost,
    /// Done, and the answer is this.
    Answers(&'static str),
    /// Not done, with proof.
    Refused,
    /// Not done, and nobody can tell.
    Vanishes,
    /// The connection breaks at once, and it is done half a second later.
    Late,
    /// Done when `release` is called; then it is answered.
    Held,
    /// The transport's own code fails.
    Panics,
}

#[derive(Default)]
pub struct Upstream {
    /// Account -> how often it was paid: the ground truth.
    paid: Mutex<BTreeMap<String, usize>>,
    /// Idempotency keys that were honoured.
    keys: Mutex<BTreeSet<String>>,
    faults: Mutex<VecDeque<Fault>>,
    pub attempts: Mutex<Vec<(String, Attempt)>>,
    pub sends: AtomicUsize,
    pub reads: AtomicUsize,
    /// Reads through the gateway's own session.
    pub service_reads: AtomicUsize,
    pub cancels: AtomicUsize,
    pub dropped: AtomicUsize,
    /// Reads of the world fail.
    pub blind: AtomicBool,
    /// What it will say of its task.
    pub words: Mutex<VecDeque<&'static str>>,
    /// What it was asked about tasks.
    pub asked: Mutex<Vec<String>>,
    release: Notify,
    sent: Notify,
}

impl Upstream {
    pub fn fault(&self, fault: Fault) {
        self.faults.lock().push_back(fault);
    }

    pub fn paid(&self, account: &str) -> usize {
        self.paid.lock().get(account).copied().unwrap_or(0)
    }

    /// Somebody who does not go through the gateway.
    pub fn pay_from_elsewhere(&self, account: &str) {
        *self.paid.lock().entry(account.to_owned()).or_default() += 1;
    }

    pub fn sends(&self) -> usize {
        self.sends.load(Ordering::SeqCst)
    }

    pub fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    /// Lets what is held go on.
    pub fn release(&self) {
        self.release.notify_one();
    }

    /// Waits until so many calls were sent in all.
    pub async fn sent(&self, count: usize) {
        loop {
            let sent = self.sent.notified();
            tokio::pin!(sent);
            sent.as_mut().enable();
            if self.sends() >= count {
                return;
            }
            sent.await;
        }
    }

    fn do_it(&self, tool: &str, args: &Value) -> Value {
        let account = args["account"].as_str().unwrap_or("").to_owned();
        match tool {
            "pay_keyed" if !self.keys.lock().insert(args["idem"].to_string()) => json!({"paid": true}),
            "pay" | "pay_keyed" | "pay_counted" => {
                *self.paid.lock().entry(account).or_default() += 1;
                json!({"paid": true})
            }
            "refund" => {
                self.paid.lock().entry(account).and_modify(|count| *count -= 1);
                json!({"refunded": true})
            }
            _ => json!({"paid": self.paid(&account) > 0, "account": account, "count": self.paid(&account)}),
        }
    }

    fn answer(&self, tool: &str, args: &Bytes) -> Bytes {
        let args: Value = serde_json::from_slice(args).expect("arguments are JSON");
        let shown = self.do_it(tool, &args);
        json!({"content": [{"type": "text", "text": shown.to_string()}], "structuredContent": shown}).to_string().into()
    }

    async fn send(self: Arc<Self>, tool: Name, args: Bytes, attempt: Attempt) -> Result<Bytes, Failure> {
        let fault = self.faults.lock().pop_front();
        let args = attempt.args.clone().unwrap_or(args);
        self.attempts.lock().push((tool.to_string(), attempt));
        self.sends.fetch_add(1, Ordering::SeqCst);
        self.sent.notify_waiters();
        match fault {
            None => Ok(self.answer(&tool, &args)),
            Some(Fault::Lost) => {
                self.answer(&tool, &args);
                Err(Failure::new(FailureKind::Eof, "the stream ended"))
            }
            Some(Fault::Answers(answer)) => {
                self.answer(&tool, &args);
                Ok(Bytes::from_static(answer.as_bytes()))
            }
            Some(Fault::Refused) => Err(Failure::new(FailureKind::Connect, "connection refused")),
            Some(Fault::Vanishes) => Err(Failure::new(FailureKind::Reset, "connection reset")),
            Some(Fault::Late) => {
                let upstream = Arc::clone(&self);
                drop(tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    upstream.answer(&tool, &args);
                }));
                Err(Failure::new(FailureKind::Reset, "connection reset"))
            }
            Some(Fault::Held) => {
                let mut waiting = Waiting { count: &self.dropped, given_up: true };
                self.release.notified().await;
                waiting.given_up = false;
                Ok(self.answer(&tool, &args))
            }
            Some(Fault::Panics) => unreachable!("a bug in a transport"),
        }
    }

    /// What it says of its task; silence is an id that it does not know.
    fn about(&self, ask: TaskAsk, task: &str) -> Result<Bytes, Failure> {
        self.asked.lock().push(format!("{} {task}", ask.method()));
        let word = self.words.lock().pop_front();
        let unknown = Failure::new(FailureKind::Rpc { code: -32602, status: None }, "no such task");
        word.map(|word| Bytes::from_static(word.as_bytes())).ok_or(unknown)
    }

    fn look(self: &Arc<Self>, tool: &Name, args: &Bytes) -> Result<Bytes, Failure> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        if self.blind.load(Ordering::SeqCst) {
            return Err(Failure::new(FailureKind::Timeout, "no answer"));
        }
        Ok(self.answer(tool, args))
    }
}

/// Counts attempts that were given up while they waited.
struct Waiting<'a> {
    count: &'a AtomicUsize,
    given_up: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.given_up {
            self.count.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// One call on a caller's session.
pub struct Session {
    pub upstream: Arc<Upstream>,
    pub tool: Name,
    pub args: Bytes,
    pub closed: AtomicBool,
}

impl Link for Session {
    fn send(&self, attempt: Attempt) -> BoxFuture<'static, Result<Bytes, Failure>> {
        Arc::clone(&self.upstream).send(self.tool.clone(), self.args.clone(), attempt).boxed()
    }

    fn read(&self, tool: Name, args: Bytes) -> BoxFuture<'static, Result<Bytes, Failure>> {
        let upstream = Arc::clone(&self.upstream);
        async move { upstream.look(&tool, &args) }.boxed()
    }

    fn task(&self, ask: TaskAsk, task: Name) -> BoxFuture<'static, Result<Bytes, Failure>> {
        std::future::ready(self.upstream.about(ask, &task)).boxed()
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    fn cancel(&self) {
        self.upstream.cancels.fetch_add(1, Ordering::SeqCst);
    }
}

/// The gateway's own session.
pub struct Service(pub Arc<Upstream>);

impl Reader for Service {
    fn read(&self, _upstream: Name, tool: Name, args: Bytes) -> BoxFuture<'static, Result<Bytes, Failure>> {
        let upstream = Arc::clone(&self.0);
        upstream.service_reads.fetch_add(1, Ordering::SeqCst);
        async move { upstream.look(&tool, &args) }.boxed()
    }

    fn task(&self, _upstream: Name, ask: TaskAsk, task: Name) -> BoxFuture<'static, Result<Bytes, Failure>> {
        self.0.service_reads.fetch_add(1, Ordering::SeqCst);
        std::future::ready(self.0.about(ask, &task)).boxed()
    }

    fn send(
        &self,
        _upstream: Name,
        tool: Name,
        args: Bytes,
        attempt: Attempt,
    ) -> BoxFuture<'static, Result<Bytes, Failure>> {
        Arc::clone(&self.0).send(tool, args, attempt).boxed()
    }
}
