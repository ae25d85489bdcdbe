//! Newline-delimited JSON over two pipes, one task per request.

use super::MESSAGE_MAX;
use super::protocol::{Handled, INTERNAL, PARSE_ERROR, Service, error, misshape};
use serde_json::Value;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio_util::task::TaskTracker;

/// Why serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The client closed the pipe.
    Closed,
    /// A fault: the process should now end without a word.
    Lost,
}

/// Requests that are worked on at once.
const REQUESTS_MAX: usize = 256;

pub(super) async fn serve(
    service: Arc<Service>,
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin + Send + 'static,
) -> io::Result<Ended> {
    let output = Arc::new(Mutex::new(output));
    let places = Arc::new(Semaphore::new(REQUESTS_MAX));
    let (lost, mut is_lost) = mpsc::channel(1);
    let requests = TaskTracker::new();
    let mut input = BufReader::new(input);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut bounded = (&mut input).take(MESSAGE_MAX as u64);
        let length = tokio::select! {
            length = bounded.read_until(b'\n', &mut line) => length?,
            _ = is_lost.recv() => return Ok(Ended::Lost),
        };
        if length == 0 {
            break;
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let Ok(message) = serde_json::from_slice::<Value>(&line) else {
            let refusal = error(&Value::Null, PARSE_ERROR, "not JSON");
            write_line(&output, refusal.to_string().as_bytes()).await?;
            continue;
        };
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
        let (service, output, lost) = (Arc::clone(&service), Arc::clone(&output), lost.clone());
        requests.spawn(async move {
            let _place = place;
            let written = match service.handle(&message, None).await {
                Handled::Nothing => Ok(()),
                Handled::Answer(answer) => write_line(&output, answer.to_string().as_bytes()).await,
                Handled::Unavailable | Handled::GatewayTimeout => {
                    let trouble = error(&message["id"], INTERNAL, "the service does not answer");
                    write_line(&output, trouble.to_string().as_bytes()).await
                }
                Handled::Bad(bad, answer) => write_line(&output, &misshape(bad, answer).0).await,
                // Otherwise silence: the request is never answered.
                Handled::Lost if service.faults.plan().exit_on_lost => {
                    // Full means that the end is already on its way.
                    lost.try_send(()).ok();
                    Ok(())
                }
                Handled::Lost => Ok(()),
            };
            // The client has closed its end: there is nobody left to tell.
            drop(written);
        });
    }
    requests.close();
    tokio::select! {
        () = requests.wait() => {}
        _ = is_lost.recv() => return Ok(Ended::Lost),
    }
    service.calls.close();
    service.calls.wait().await;
    Ok(Ended::Closed)
}

async fn write_line(output: &Mutex<impl AsyncWrite + Unpin>, line: &[u8]) -> io::Result<()> {
    let mut whole = Vec::with_capacity(line.len() + 1);
    whole.extend_from_slice(line);
    whole.push(b'\n');
    let mut output = output.lock().await;
    output.write_all(&whole).await?;
    output.flush().await
}
