//! The short form of the measurement in `docs/effects.md`: fewer seeds, shorter waits, the same zeros.

use anyhow::{Result, bail};
use e2e::effects::{Matrix, Route, Tally, Transport, Trouble, run};
use std::path::PathBuf;
use testkit::Fault;

fn matrix(routes: &[Route]) -> Matrix {
    Matrix {
        server: PathBuf::from(env!("CARGO_BIN_EXE_effects")),
        gateway: None,
        routes: routes.to_vec(),
        troubles: Trouble::all(),
        transports: Transport::ALL.to_vec(),
        seeds: 0..1,
        hurried: true,
        parallel: 120,
        explain: true,
    }
}

/// One after the other: a machine that is busy with thousands of tasks makes clients give up on servers that do nothing
/// wrong.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

async fn tally(matrix: &Matrix) -> Result<Tally> {
    let mut tally = Tally::default();
    for (_, score) in run(matrix, |_, _, _| ()).await? {
        tally.add(&score);
    }
    if tally.tasks == 0 {
        bail!("nothing was played");
    }
    Ok(tally)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_gateway_there_are_duplicates_lies_and_garbage() -> Result<()> {
    let _turn = TURN.lock().await;
    let [duplicates, lies, garbage] = tally(&matrix(&[Route::Direct])).await?.harm();
    assert!(duplicates > 0 && lies > 0 && garbage > 0, "the faults strike: {duplicates} {lies} {garbage}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_goes_wrong_every_task_is_clean_without_the_gateway() -> Result<()> {
    let _turn = TURN.lock().await;
    let mut matrix = matrix(&[Route::Direct]);
    matrix.troubles = vec![Trouble::Nothing, Trouble::Server(Fault::StaleRead)];
    let tally = tally(&matrix).await?;
    assert_eq!((tally.clean, tally.sum.unknown), (tally.tasks, 0), "the measure itself finds no harm: {tally:?}");
    Ok(())
}

//= S-23
//= G1
//= G3
#[tokio::test(flavor = "multi_thread")]
async fn through_the_gateway_there_is_no_duplicate_no_lie_and_no_garbage() -> Result<()> {
    let _turn = TURN.lock().await;
    let Some(gateway) = e2e::binary()? else { return Ok(()) };
    let routes = [Route::Readback, Route::Init, Route::Bare];
    let mut matrix = matrix(&routes);
    matrix.gateway = Some(gateway);
    let scores = run(&matrix, |_, _, _| ()).await?;
    for route in routes {
        let mut tally = Tally::default();
        scores.iter().filter(|(case, _)| case.route == route).for_each(|(_, score)| tally.add(score));
        assert_eq!(tally.harm(), [0; 3], "{}: {tally:?}", route.name());
        assert!(tally.sum.done * 2 > tally.sum.writes, "{}: most writes are done and said so: {tally:?}", route.name());
    }
    Ok(())
}
