//! What is learned of an upstream once and holds for its later sessions.

use crate::failure::not_sent;
use crate::handshake::Era;
use crate::http::Client;
use http::Uri;
use parking_lot::Mutex;
use std::fmt;
use std::time::Duration;
use vocab::Failure;

/// The era that an upstream speaks alone, and its HTTP connections. A clone knows nothing: it may be changed to be
/// another upstream.
#[derive(Default)]
pub struct Known {
    /// Set once the other era was refused and this one worked.
    only: Mutex<Option<Era>>,
    client: Mutex<Option<Client>>,
}

impl Known {
    pub(crate) fn only(&self) -> Option<Era> {
        *self.only.lock()
    }

    pub(crate) fn pin(&self, era: Era) {
        *self.only.lock() = Some(era);
    }

    /// Connections are shared by all sessions with one upstream.
    pub(crate) fn client(&self, uri: &Uri, connect_timeout: Duration) -> Result<Client, Failure> {
        let mut client = self.client.lock();
        match &*client {
            Some(client) => Ok(client.clone()),
            None => {
                let new = Client::new(uri, connect_timeout).map_err(|error| not_sent(&error.to_string()))?;
                Ok(client.insert(new).clone())
            }
        }
    }
}

impl Clone for Known {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").field("only", &self.only()).finish_non_exhaustive()
    }
}
