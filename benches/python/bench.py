"""The workloads that asyncio for Rust has in common with Python's event loops, step for step as in `src/workloads/`.

    python3 bench.py WORKLOAD [--uvloop] [N]     prints nanoseconds for one operation

What one operation is stands at the function of the same name in Rust.
"""

import asyncio
import socket
import sys
import threading
import time

BURST = 1000


class Countdown:
    def __init__(self, n):
        self.left = n
        self.done = asyncio.get_running_loop().create_future()

    def arrive(self):
        self.left -= 1
        if self.left == 0:
            self.done.set_result(None)


async def spawn(n):
    async def task(left):
        left.arrive()

    keep = set()
    for _ in range(n // BURST):
        left = Countdown(BURST)
        for _ in range(BURST):
            created = asyncio.create_task(task(left))
            keep.add(created)
        await left.done
        keep.clear()


async def spawn_join(n):
    async def task(i):
        return i

    for i in range(n):
        await asyncio.create_task(task(i))


async def fan_out(n):
    async def task(i):
        await asyncio.sleep(0)
        return i

    for _ in range(n // 100):
        await asyncio.gather(*(asyncio.create_task(task(i)) for i in range(100)))


async def yield_alone(n):
    for _ in range(n):
        await asyncio.sleep(0)


async def call_soon(n):
    loop = asyncio.get_running_loop()
    for _ in range(n // BURST):
        left = Countdown(BURST)
        for _ in range(BURST):
            loop.call_soon(left.arrive)
        await left.done


async def call_soon_chained(n):
    loop = asyncio.get_running_loop()
    end = loop.create_future()

    def link(left):
        if left == 0:
            end.set_result(None)
        else:
            loop.call_soon(link, left - 1)

    link(n)
    await end


async def call_soon_threadsafe(n):
    loop = asyncio.get_running_loop()
    over = loop.create_future()

    def nothing():
        pass

    def caller():
        for _ in range(n // BURST):
            ran = threading.Event()
            for _ in range(1, BURST):
                loop.call_soon_threadsafe(nothing)
            loop.call_soon_threadsafe(ran.set)
            ran.wait()
        loop.call_soon_threadsafe(over.set_result, None)

    threading.Thread(target=caller).start()
    await over


async def call_later_cancel(n):
    loop = asyncio.get_running_loop()

    def nothing():
        pass

    for _ in range(n):
        loop.call_later(3600, nothing).cancel()


async def future(n):
    loop = asyncio.get_running_loop()
    for i in range(n):
        created = loop.create_future()
        created.set_result(i)
        await created


async def echo_1(n):
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)

    async def serve():
        stream, _ = await loop.sock_accept(listener)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := await loop.sock_recv(stream, 1024):
            await loop.sock_sendall(stream, data)
        stream.close()

    server = asyncio.create_task(serve())
    client = socket.socket()
    client.setblocking(False)
    await loop.sock_connect(client, listener.getsockname())
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    message = bytes(64)
    for _ in range(n):
        await loop.sock_sendall(client, message)
        assert len(await loop.sock_recv(client, 64)) == 64
    client.close()
    await server
    listener.close()


WORKLOADS = {
    "spawn": (spawn, 200_000),
    "spawn-join": (spawn_join, 100_000),
    "fan-out": (fan_out, 100_000),
    "yield": (yield_alone, 200_000),
    "call-soon": (call_soon, 500_000),
    "call-soon-chained": (call_soon_chained, 200_000),
    "call-soon-threadsafe": (call_soon_threadsafe, 200_000),
    "call-later-cancel": (call_later_cancel, 200_000),
    "future": (future, 500_000),
    "echo-1": (echo_1, 20_000),
}


async def timed(workload, n):
    # In a task of its own, as in Rust.
    start, cpu = time.perf_counter_ns(), time.process_time_ns()
    await asyncio.create_task(workload(n))
    elapsed, cpu = time.perf_counter_ns() - start, time.process_time_ns() - cpu
    return f"ns/op\t{elapsed / n:.3f}\nCPU ns/op\t{cpu / n:.3f}"


def main():
    words = [word for word in sys.argv[1:] if word != "--uvloop"]
    workload, n = WORKLOADS[words[0]]
    n = int(words[1]) if len(words) > 1 else n
    if "--uvloop" in sys.argv:
        import uvloop

        run = uvloop.run
    else:
        run = asyncio.run
    print(run(timed(workload, n)))


if __name__ == "__main__":
    main()
