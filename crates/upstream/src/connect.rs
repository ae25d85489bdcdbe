//! Opening a session: which era the upstream speaks, the handshake, and what is remembered of it.

use crate::config::{Config, ConnectOptions, Transport};
use crate::failure::fail;
use crate::handshake::{self, Era, Settled};
use crate::http::Http;
use crate::session::{Session, Sink};
use crate::stdio::Stdio;
use mcp::Revision;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use vocab::{Failure, FailureKind};

/// Starts or reaches the upstream, settles on a revision and returns a session that is ready for requests.
///
/// The caller's era is asked first, with a handshake and never with a call; an upstream that speaks only the other one
/// is remembered in `config.known`.
///
/// # Errors
/// How the connection or the handshake failed. Whatever it is: no request of a caller was sent.
pub async fn connect(config: Arc<Config>, options: ConnectOptions, sink: Sink) -> Result<Arc<dyn Session>, Failure> {
    match tokio::time::timeout(config.connect_timeout, negotiate(&config, &options, &sink)).await {
        Ok(Ok(opened)) => Ok(opened.session()),
        Ok(Err(failure)) => Err(failure),
        Err(_) => Err(fail(FailureKind::Timeout, "the upstream did not finish the handshake in time")),
    }
}

/// A transport before its handshake.
enum Opened {
    Stdio(Arc<Stdio>),
    Http(Arc<Http>),
}

impl Opened {
    fn open(config: &Config, sink: &Sink) -> Result<Self, Failure> {
        match config.transport {
            Transport::Stdio { .. } => Stdio::spawn(config, sink.clone()).map(Self::Stdio),
            Transport::Http { .. } => Http::new(config, sink.clone()).map(Self::Http),
        }
    }

    fn session(self) -> Arc<dyn Session> {
        match self {
            Self::Stdio(stdio) => stdio,
            Self::Http(http) => http,
        }
    }

    fn as_session(&self) -> &dyn Session {
        match self {
            Self::Stdio(stdio) => &**stdio,
            Self::Http(http) => &**http,
        }
    }

    /// A child goes on after a refusal; over HTTP each attempt is a session of its own.
    fn can_be_asked_again(&self) -> bool {
        matches!(self, Self::Stdio(stdio) if !stdio.is_closed())
    }

    async fn begin(&self, settled: Settled) -> Result<(), Failure> {
        let has_handshake = !settled.revision.is_stateless();
        match self {
            Self::Stdio(stdio) => stdio.settle(settled),
            Self::Http(http) => http.settle(settled),
        }
        if has_handshake {
            self.as_session().post(handshake::INITIALIZED).await?;
        }
        if let Self::Http(http) = self {
            http.listen();
        }
        Ok(())
    }
}

/// A question in one era. An early one gets only a share of the time.
#[derive(Clone, Copy)]
struct Question {
    era: Era,
    /// What the upstream named itself.
    named: Option<Revision>,
    limit: Option<Duration>,
}

async fn negotiate(config: &Config, options: &ConnectOptions, sink: &Sink) -> Result<Opened, Failure> {
    let mut questions = questions(config, options);
    let mut first: Option<(Era, Failure)> = None;
    let mut is_told = false;
    let mut open: Option<Opened> = None;
    while let Some(question) = questions.pop_front() {
        let opened = match open.take().filter(Opened::can_be_asked_again) {
            Some(opened) => opened,
            None => Opened::open(config, sink)?,
        };
        let failure = match ask(question, &opened, config, options).await {
            Ok(settled) => {
                if first.is_some_and(|(era, failure)| era != question.era && is_telling(&failure)) {
                    config.known.pin(question.era);
                }
                opened.begin(settled).await?;
                return Ok(opened);
            }
            Err(failure) => failure,
        };
        tracing::debug!(upstream = %config.name, era = ?question.era, why = failure.detail, "a handshake failed");
        // The upstream's own word for what it speaks is taken once.
        let wanted = |revision: &Revision| config.revision.is_none_or(|only| only == *revision);
        if let Some(revision) = handshake::named_in(&failure, question.era).filter(wanted)
            && !std::mem::replace(&mut is_told, true)
        {
            let era = Era::of(revision);
            questions.retain(|other| other.era != era);
            questions.push_front(Question { era, named: Some(revision), limit: None });
        }
        if questions.is_empty() || !can_mean_another_era(&failure) {
            return Err(first.map_or(failure, |(_, failure)| failure));
        }
        if failure.kind == FailureKind::Timeout {
            // A child may only have been slow to start.
            questions.push_back(Question { limit: None, ..question });
        }
        first.get_or_insert((question.era, failure));
        open = Some(opened);
    }
    Err(first.map_or_else(|| fail(FailureKind::NotSent, "there is no era to ask in"), |(_, failure)| failure))
}

async fn ask(
    question: Question,
    opened: &Opened,
    config: &Config,
    options: &ConnectOptions,
) -> Result<Settled, Failure> {
    let performed = handshake::perform(question.era, question.named, opened.as_session(), config, options);
    let Some(limit) = question.limit else {
        return performed.await;
    };
    match tokio::time::timeout(limit, performed).await {
        Ok(performed) => performed,
        Err(_) => Err(fail(FailureKind::Timeout, "the upstream did not answer the handshake")),
    }
}

/// The eras in the order in which they are asked.
fn questions(config: &Config, options: &ConnectOptions) -> VecDeque<Question> {
    if let Some(revision) = config.revision {
        return VecDeque::from([Question { era: Era::of(revision), named: None, limit: None }]);
    }
    let callers = match (&options.initialize, options.revision) {
        (None, Some(revision)) => Era::of(revision),
        // Nobody's own era: the newer one, where an older server answers it at once.
        (None, None) if matches!(config.transport, Transport::Http { .. }) => Era::Stateless,
        // Servers of the stateless era answer a handshake in words; some older ones answer nothing but a handshake.
        _ => Era::Session,
    };
    let first = config.known.only().unwrap_or(callers);
    // Servers of the session era may be silent before a handshake. The other way round silence is not to be expected.
    // Longer than reaching the server may take (a third), or its failure to be reached would be taken for silence.
    let limit = (first == Era::Stateless).then(|| config.connect_timeout / 2);
    let first = Question { era: first, named: None, limit };
    VecDeque::from([first, Question { era: first.era.other(), named: None, limit: None }])
}

/// Can the failure of a handshake be all that an upstream of the other era has to say? Not if it was not reached, is
/// not ready, or does not know us.
fn can_mean_another_era(failure: &Failure) -> bool {
    let status = match failure.kind {
        FailureKind::Connect | FailureKind::Tls | FailureKind::Spawn | FailureKind::NotSent => return false,
        FailureKind::Status(status) => Some(status),
        FailureKind::Rpc { status, .. } => status,
        _ => None,
    };
    !matches!(status, Some(401 | 403 | 407 | 429 | 502..=504))
}

/// A connection that broke says nothing about what was asked on it.
const fn is_telling(failure: &Failure) -> bool {
    !matches!(failure.kind, FailureKind::Eof | FailureKind::Reset | FailureKind::Cut)
}
