//! `#[asyncio::main]`, on functions of any name, return type and visibility.

use std::cell::Cell;

#[asyncio::main]
async fn adds() -> Result<u32, std::num::ParseIntError> {
    let task = asyncio::create_task(async { "40".parse::<u32>() });
    asyncio::yield_now().await;
    Ok(task.await.unwrap()? + 2)
}

thread_local! {
    static CALLS: Cell<u32> = const { Cell::new(0) };
}

/// Attributes and visibility stay.
#[asyncio::main]
#[inline(never)]
pub(crate) async fn counts() {
    CALLS.with(|calls| calls.set(calls.get() + 1));
    asyncio::sleep(asyncio::secs(0.0)).await;
}

#[test]
fn the_function_runs_on_a_loop_and_returns_what_its_body_does() {
    assert_eq!(adds(), Ok(42));
    counts();
    counts();
    assert_eq!(CALLS.with(Cell::get), 2);
    assert!(asyncio::try_get_running_loop().is_err());
}
