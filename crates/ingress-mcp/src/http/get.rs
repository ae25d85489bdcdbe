//! GET and DELETE: the stream that no request opened, streams taken up again, and the end of a session.

use super::door::{Asked, Door, OLD_TRANSPORT, accepts, one};
use super::events::Events;
use super::refusal::Refusal;
use super::replay::{OWN, Position};
use super::session::Session;
use http::StatusCode;
use mcp::Revision;
use mcp::meta::header;
use std::sync::Arc;

impl Door {
    pub fn get(&self, asked: &Asked) -> Result<Events, Refusal> {
        let headers = &asked.parts.headers;
        let session = self.session_of(asked)?.ok_or_else(|| {
            // What a client of 2024-11-05 does first.
            Refusal::bad_request(OLD_TRANSPORT)
        })?;
        if !accepts(headers, "text", "event-stream") {
            let text = "open a stream: send `Accept: text/event-stream`";
            return Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, text));
        }
        let every = self.config.keep_alive;
        let stop = || self.stop.clone().cancelled_owned();
        Ok(match one(headers, header::LAST_EVENT_ID)? {
            None => {
                let reader = session.own();
                let prime = session.revision() >= Some(Revision::V2025_11_25);
                let prime = prime.then(|| session.replay.prime(reader.flow(), self.config.retry));
                Events::numbered(Some(reader), every).first(prime).until(stop())
            }
            Some(id) => {
                let position = Position::parse(id).ok_or_else(|| {
                    Refusal::bad_request("take up the stream: Last-Event-ID is none of this gateway's")
                })?;
                let (missed, reader) = session.resume(position).ok_or_else(|| {
                    let text = "take up the stream: its events are no longer kept; \
                        send the request again, a call that was made is recognised";
                    Refusal::bad_request(text)
                })?;
                let events = Events::numbered(reader, every).first(missed);
                if position.flow == OWN { events.until(stop()) } else { events }
            }
        })
    }

    pub fn delete(&self, asked: &Asked) -> Result<(), Refusal> {
        let session =
            self.session_of(asked)?.ok_or_else(|| Refusal::bad_request("end a session: send its Mcp-Session-Id"))?;
        self.sessions.end(&session);
        Ok(())
    }

    /// The session that the headers name. `None`: they name none.
    fn session_of(&self, asked: &Asked) -> Result<Option<Arc<Session>>, Refusal> {
        let headers = &asked.parts.headers;
        if let Some(version) = one(headers, header::PROTOCOL_VERSION)? {
            let revision = Revision::parse(version).ok_or_else(|| Refusal::unsupported_version(version, true))?;
            if revision.is_stateless() {
                return Err(Refusal::method_not_allowed("POST", "2026-07-28 has no sessions"));
            }
        }
        let id = one(headers, header::SESSION_ID)?;
        id.map(|id| self.session(asked, id)).transpose()
    }
}
