//! The binary as a process starts, ends and starts again.

use anyhow::Result;
use e2e::Gateway;

#[tokio::test]
async fn a_policy_that_cannot_be_read_ends_the_start_with_file_line_and_column() -> Result<()> {
    let Some(binary) = e2e::binary()? else { return Ok(()) };
    let setup = e2e::gateway::Setup { policy: "upstreams:\n  shop: { mpc: {} }\n".into(), ..Default::default() };
    let Err(error) = Gateway::start_binary(&binary, setup).await else { anyhow::bail!("it started") };
    let text = error.to_string();
    assert!(text.contains("cofferdam.yaml"), "names the file: {text}");
    assert!(text.contains("mpc"), "names the key: {text}");
    Ok(())
}
