use std::time::{Duration, Instant};
#[test]
fn smoke() {
    let r = asyncio::run(async {
        let t = asyncio::create_task(async {
            asyncio::sleep(Duration::from_millis(20)).await;
            5
        });
        let l = asyncio::get_running_loop();
        let f: asyncio::Future<i32> = l.create_future();
        let g = f.clone();
        l.call_later(Duration::from_millis(10), move || g.set_result(3).unwrap());
        let h = f.clone();
        l.call_soon(move || println!("soon {h:?}"));
        let t0 = Instant::now();
        println!("{:?}", t);
        let a = f.await.unwrap();
        println!("{:?}", t0.elapsed());
        let b = t.await.unwrap();
        println!("{:?}", t0.elapsed());
        for _ in 0..1000 {
            asyncio::yield_now().await;
        }
        a + b
    });
    assert_eq!(r, 8);
}
