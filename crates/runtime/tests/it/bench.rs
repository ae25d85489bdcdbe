//! A runtime in front of one upstream, and calls that are short to write.

use crate::prompt::Prompt;
use crate::upstream::{Service, Session, Upstream};
use bytes::Bytes;
use journal::Journal;
use policy::Policy;
use runtime::{
    Arrival, CallError, Delivery, Event, Link, Pending, Phase, Reply, Request, Run, Runtime, Settings, Stop,
};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use vocab::{Name, Verification};

pub const POLICY: &str = r#"
upstreams:
  shop: { mcp: { url: "http://127.0.0.1:9/mcp" } }
defaults: { quiescence: 1s, absent_spacing: 1s, probe_wait: 20s }
tools:
  - { match: shop.look, effect: read }
  - { match: shop.lookup_strict, effect: read }
  - match: shop.pay
    effect: write
    target: args.account
    readback:
      read: shop.look
      args: '{"account": args.account}'
      expect: 'read.paid == true'
      absent: 'read.paid == false'
      consistency: strong
      strength: exact
  - match: shop.pay_counted
    effect: write
    probe_wait: 40s
    readback:
      read: shop.look
      args: '{"account": args.account}'
      expect: 'read.count == pre.count + 1'
  - { match: shop.drop_me, effect: write, on_disconnect: cancel }
  - match: shop.pay_keyed
    effect: keyed
    key: { argument: idem, window: 1h }
  - { match: shop.note, effect: write, key: { meta: "x/key" } }
  - { match: shop.wipe, effect: destructive }
"#;

pub const TOOLS: &str = r#"{"tools":[
  {"name":"look","inputSchema":{"type":"object","properties":{"account":{"type":"string"}},"required":["account"]}},
  {"name":"lookup_strict","inputSchema":{"type":"object"},"outputSchema":{"type":"object","required":["paid"]}},
  {"name":"pay","inputSchema":{"type":"object","properties":{"account":{"type":"string"}},"required":["account"]},
   "outputSchema":{"type":"object","required":["paid"]}},
  {"name":"pay_counted","inputSchema":{"type":"object"}},
  {"name":"drop_me","inputSchema":{"type":"object"}},
  {"name":"pay_keyed","inputSchema":{"type":"object"}},
  {"name":"note","inputSchema":{"type":"object"}},
  {"name":"wipe","inputSchema":{"type":"object"}}
]}"#;

pub struct Bench {
    pub runtime: Runtime,
    pub upstream: Arc<Upstream>,
}

pub fn policy(text: &str) -> Arc<Policy> {
    Arc::new(Policy::parse(text, "test.yaml", &|_| None).expect("a policy"))
}

impl Bench {
    /// Inside a tokio runtime.
    pub fn new() -> Self {
        Self::on(Prompt::new(), Arc::default())
    }

    pub fn on(journal: Arc<dyn Journal>, upstream: Arc<Upstream>) -> Self {
        Self::with(POLICY, journal, upstream)
    }

    pub fn with(text: &str, journal: Arc<dyn Journal>, upstream: Arc<Upstream>) -> Self {
        let reader = Arc::new(Service(Arc::clone(&upstream)));
        let runtime = Runtime::start(Settings::default(), policy(text), journal, reader).expect("it starts");
        runtime.learn(&Name::from("shop"), &Bytes::from_static(TOOLS.as_bytes()));
        Self { runtime, upstream }
    }

    pub fn request(&self, tool: &str, args: &str) -> Request {
        self.request_on(tool, args).0
    }

    /// With the session that it comes on.
    pub fn request_on(&self, tool: &str, args: &str) -> (Request, Arc<Session>) {
        let (tool, args): (Name, Bytes) = (tool.into(), Bytes::copy_from_slice(args.as_bytes()));
        let session = Arc::new(Session {
            upstream: Arc::clone(&self.upstream),
            tool: tool.clone(),
            args: args.clone(),
            closed: AtomicBool::new(false),
        });
        let link = Arc::clone(&session) as Arc<dyn Link>;
        let request = Request {
            tenant: "t".into(),
            principal: "ann".into(),
            upstream: "shop".into(),
            tool,
            args,
            run: Run { name: "r1".to_owned(), explicit: true, client: "test 1".to_owned() },
            explicit_keys: Vec::new(),
            model_call: None,
            wire: None,
            continuation: None,
            task: false,
            patience: None,
            link,
        };
        (request, session)
    }

    pub fn start(&self, request: Request) -> Pending {
        self.runtime.call(request).expect("it is a step")
    }

    pub async fn ask(&self, request: Request) -> Reply {
        let (reply, delivery) = self.undelivered(request).await;
        delivery.report(Arrival::Seen);
        reply
    }

    /// The answer, and what is still to be said about its way.
    pub async fn undelivered(&self, request: Request) -> (Reply, Delivery) {
        answer(&mut self.start(request)).await
    }

    pub async fn call(&self, tool: &str, args: &str) -> Reply {
        self.ask(self.request(tool, args)).await
    }

    pub async fn keyed(&self, key: &str, tool: &str, args: &str) -> Reply {
        self.ask(Request { explicit_keys: vec![key.to_owned()], ..self.request(tool, args) }).await
    }

    pub fn refused(&self, request: Request) -> CallError {
        match self.runtime.call(request) {
            Ok(_) => unreachable!("it was taken for a step"),
            Err(error) => error,
        }
    }
}

/// The last event of a call; a bound keeps a test that waits for nothing from hanging.
pub async fn answer(pending: &mut Pending) -> (Reply, Delivery) {
    phases(pending).await.1
}

pub async fn phases(pending: &mut Pending) -> (Vec<Phase>, (Reply, Delivery)) {
    let mut phases = Vec::new();
    let answered = async {
        loop {
            match pending.next().await {
                Event::Phase(phase) => phases.push(phase),
                Event::Reply(reply, delivery) => return (reply, delivery),
            }
        }
    };
    let answered = tokio::time::timeout(Duration::from_secs(7200), answered).await.expect("an answer");
    (phases, answered)
}

/// A result that was passed on: its bytes, its verification, and whether it was replayed.
pub fn result(reply: Reply) -> (String, Verification, bool) {
    match reply {
        Reply::Result { result, verification, replayed, .. } => {
            (String::from_utf8(result.to_vec()).expect("text"), verification, replayed)
        }
        other => unreachable!("not a result: {other:?}"),
    }
}

pub fn stop(reply: Reply) -> Stop {
    match reply {
        Reply::Stop(stop) => *stop,
        other => unreachable!("not a stop: {other:?}"),
    }
}
